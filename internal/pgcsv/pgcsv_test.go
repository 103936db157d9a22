package pgcsv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/refill"
)

// newChunker returns a Chunker that cuts chunks of that size.
func newChunker(r io.Reader, size, maxRecord int) *Chunker {
	c := NewChunker(r, maxRecord)
	c.SetSize(size)
	return c
}

// chunks cuts all of r and returns the chunks and the error that ended them, nil
// for a clean end.
func chunks(r io.Reader, size, maxRecord int) ([]string, error) {
	var got []string
	c := newChunker(r, size, maxRecord)
	for {
		chunk, err := c.Next(nil)
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, string(chunk))
	}
}

func TestChunker(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		size     int
		want     []string
	}{
		{"empty", "", 8, nil},
		{"one record", "a,b\n", 8, []string{"a,b\n"}},
		{"no final newline", "a\nb", 8, []string{"a\nb"}},
		{"cut at the last record end", "aa\nbb\ncc\n", 7, []string{"aa\nbb\n", "cc\n"}},
		{"exactly one chunk", "aa\nbb\n", 6, []string{"aa\nbb\n"}},
		{"quoted newline at the cut", "a\n\"b\nc\"\nd\n", 5, []string{"a\n", "\"b\nc\"\n", "d\n"}},
		{"longer than a chunk", "abcdefgh\nij\n", 3, []string{"abcdefgh\n", "ij\n"}},
		{"longer and quoted", "\"ab\n\n\n\ncd\"\nij\n", 3, []string{"\"ab\n\n\n\ncd\"\n", "ij\n"}},
		{"CRLF", "aa\r\nbb\r\n", 5, []string{"aa\r\n", "bb\r\n"}},
		{"CR", "aa\rbb\r", 4, []string{"aa\r", "bb\r"}},
		{"CRLF split by the chunk's end", "aa\r\nbb\r\n", 3, []string{"aa\r\n", "bb\r\n"}},
		{"quote inside a field toggles", "a\"\n\"b\nc\n", 3, []string{"a\"\n\"b\n", "c\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"end with it":  iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				got, err := chunks(r, tt.size, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s: chunks (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestChunkerErrors(t *testing.T) {
	if got, err := chunks(strings.NewReader("a\n\"b\nc\n"), 64, 1<<20); !errors.Is(err, ErrOpenQuote) || len(got) != 0 {
		t.Errorf("open quote: %q, %v", got, err)
	}
	var long *refill.TooLongError
	if _, err := chunks(strings.NewReader("a\n"+strings.Repeat("x", 100)+"\n"), 4, 50); !errors.As(err, &long) {
		t.Errorf("long record: %v", err)
	}
	if got, err := chunks(strings.NewReader(strings.Repeat("x", 50)+"\n"), 4, 50); err != nil || len(got) != 1 {
		t.Errorf("a record of the greatest length: %d chunks, %v", len(got), err)
	}
	broken := errors.New("broken")
	if _, err := chunks(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken)), 64, 50); !errors.Is(err, broken) {
		t.Errorf("reader's error: %v", err)
	}
}

// A long record is searched once, and not copied with every step in which it is
// read.
func TestChunkerCopiesLongRecordsSeldom(t *testing.T) {
	const steps = 1000
	record := "\"" + strings.Repeat("x\n", 64*steps/2) + "\"\r\n"
	got := testing.AllocsPerRun(1, func() {
		cut, err := chunks(strings.NewReader(record+record), 64, 1<<20)
		if diff := cmp.Diff([]string{record, record}, cut); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
	if got > steps/2 {
		t.Errorf("%.0f allocations for two records read in %d steps each", got, steps)
	}
}

// records scans b as one chunk.
func records(b string, eol EOL) (recs [][]string, lines []int64, complaints []string) {
	var s Scanner
	s.Reset([]byte(b), eol, 1)
	for s.Next() {
		var rec []string
		var scratch []byte
		for _, f := range s.AppendFields(nil) {
			var v []byte
			v, scratch = f.Value(s.Record(), scratch)
			if f.IsNull(s.Record(), "") {
				rec = append(rec, "<null>")
			} else {
				rec = append(rec, string(v))
			}
		}
		recs = append(recs, rec)
		lines = append(lines, s.Line())
		complaints = append(complaints, s.LineBreak())
	}
	return recs, lines, complaints
}

func TestScanner(t *testing.T) {
	in := "1,,\"\"\n\"a \"\"b\"\"\",\"x\ny\",z\n\np\"q,r\"s,\"t\"u,v\nlast"
	recs, lines, _ := records(in, LF)
	want := [][]string{{"1", "<null>", ""}, {`a "b"`, "x\ny", "z"}, {"<null>"}, {"pq,rs", "tu", "v"}, {"last"}}
	if diff := cmp.Diff(want, recs); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{1, 2, 4, 5, 6}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestLineBreaks(t *testing.T) {
	for _, tt := range []struct {
		in   string
		eol  EOL
		want []string
	}{
		{"a\nb\r\nc\n", LF, []string{"", "unquoted carriage return found in data", ""}},
		{"a\n\"b\r\n\"\nc\n", LF, []string{"", "", ""}},
		{"a\r\nb\nc\r\n", CRLF, []string{"", "unquoted newline found in data", ""}},
		{"a\r\nb\rc\r\n", CRLF, []string{"", "unquoted carriage return found in data"}},
		{"a\rb\nc\r", CR, []string{"", "unquoted newline found in data"}},
		{"a\r\nb", CRLF, []string{"", ""}},
	} {
		_, _, got := records(tt.in, tt.eol)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestAppendField(t *testing.T) {
	for in, want := range map[string]string{
		"": `""`, "a": "a", "a,b": `"a,b"`, `"`: `""""`, "a\nb": "\"a\nb\"", `\.`: `"\."`, "ä b": "ä b",
	} {
		if got := string(AppendField(nil, []byte(in), ',')); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// FuzzChunker holds that chunks add up to the input, that each ends outside
// quotes, and that neither the chunk's size nor the reader changes the records.
func FuzzChunker(f *testing.F) {
	f.Add([]byte("1,\"two\nlines\"\n2,\"a \"\"b\"\"\"\n"), uint8(4))
	f.Add([]byte("a\r\nb\r\n"), uint8(1))
	f.Add([]byte("a\rb\r\"\n\"\r"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		got, err := chunks(bytes.NewReader(in), int(size)+1, 1<<20)
		slow, _ := chunks(iotest.OneByteReader(bytes.NewReader(in)), int(size)+1, 1<<20)
		if diff := cmp.Diff(slow, got); diff != "" {
			t.Fatalf("chunks depend on the reader:\n%s", diff)
		}
		joined := strings.Join(got, "")
		if err == nil && joined != string(in) || !strings.HasPrefix(string(in), joined) {
			t.Fatalf("chunks do not add up to the input: %q", got)
		}
		eol := CSV.Dialect().rules().eol(in, 0, outside, true)
		var cut [][]string
		for _, chunk := range got {
			if strings.Count(chunk, `"`)%2 != 0 {
				t.Fatalf("chunk %q ends inside quotes", chunk)
			}
			recs, _, _ := records(chunk, eol)
			cut = append(cut, recs...)
		}
		if whole, _, _ := records(joined, eol); !cmp.Equal(whole, cut) {
			t.Fatalf("records differ: %s", cmp.Diff(whole, cut))
		}
	})
}

// FuzzAgainstEncodingCSV compares with an independent reader wherever the two
// dialects agree: line feeds, and no quote in an unquoted field.
func FuzzAgainstEncodingCSV(f *testing.F) {
	f.Add([]byte("1,\"two\nlines\"\n2,\"a \"\"b\"\"\"\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.IndexByte(in, '\r') >= 0 {
			return
		}
		r := csv.NewReader(bytes.NewReader(in))
		r.FieldsPerRecord = -1
		want, err := r.ReadAll()
		if err != nil {
			return
		}
		var got [][]string
		recs, _, _ := records(string(in), LF)
		for _, rec := range recs {
			if len(rec) == 1 && rec[0] == "<null>" {
				continue // encoding/csv passes over empty lines
			}
			for i := range rec {
				if rec[i] == "<null>" {
					rec[i] = ""
				}
			}
			got = append(got, rec)
		}
		if !cmp.Equal(want, got) {
			t.Fatalf("%q: %s", in, cmp.Diff(want, got))
		}
	})
}

func FuzzAppendField(f *testing.F) {
	f.Add([]byte("a,\"b\"\n"))
	f.Fuzz(func(t *testing.T, v []byte) {
		field := AppendField(nil, v, ',')
		recs, _, _ := records(string(field)+"\n", LF)
		if len(recs) != 1 || len(recs[0]) != 1 || recs[0][0] != string(v) {
			t.Fatalf("%q written as %q reads back as %q", v, field, recs)
		}
	})
}
