package pgcsv

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// textChunks cuts all of r as text, as chunks does as CSV.
func textChunks(r io.Reader, size int) ([]string, error) {
	var got []string
	c := newChunker(r, size, 1<<20)
	c.SetDialect(Text.Dialect())
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

// textRecords scans b as one chunk of text.
func textRecords(b string, eol EOL) (recs [][]string) {
	var s Scanner
	s.SetDialect(Text.Dialect())
	for s.Reset([]byte(b), eol, 1); s.Next(); {
		var rec []string
		var scratch []byte
		for _, f := range s.AppendFields(nil) {
			v, more := f.Value(s.Record(), scratch)
			scratch = more
			if f.IsNull(s.Record(), `\N`) {
				v = []byte("<null>")
			}
			rec = append(rec, string(v))
		}
		recs = append(recs, rec)
	}
	return recs
}

// reference reads text whose records end in line feeds byte by byte, as COPY's own loop
// does: first the line, then its fields.
func reference(in string) (recs [][]string) {
	for len(in) > 0 {
		end := 0
		for end < len(in) && in[end] != '\n' {
			if in[end] == '\\' && end+1 < len(in) {
				end++
			}
			end++
		}
		line := in[:end]
		in = in[min(end+1, len(in)):]
		var rec []string
		for {
			stop := 0
			for stop < len(line) && line[stop] != '\t' {
				if line[stop] == '\\' && stop+1 < len(line) {
					stop++
				}
				stop++
			}
			value := "<null>"
			if line[:stop] != `\N` {
				value = string(appendUnescaped(nil, []byte(line[:stop])))
			}
			rec = append(rec, value)
			if stop == len(line) {
				break
			}
			line = line[stop+1:]
		}
		recs = append(recs, rec)
	}
	return recs
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`plain`: "plain", `a\tb`: "a\tb", `\b\f\n\r\v`: "\b\f\n\r\v", `\\N`: `\N`, `\N`: "N", `\x41\x4g\xg\x`: "A\x04gxgx",
		`\101\1018\60x\7`: "AA80x\a", `\777`: "\xff", `\q\"`: `q"`, "a\\\nb": "a\nb", `end\`: "end",
	} {
		if got := string(appendUnescaped(nil, []byte(in))); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestTextRecords(t *testing.T) {
	in := "1\t\\N\t\n2\ta\\\tb\\\\\tc\n\\N\ttwo\\\nlines\n\n\"q\tr\"\n"
	want := [][]string{{"1", "<null>", ""}, {"2", "a\tb\\", "c"}, {"<null>", "two\nlines"}, {""}, {`"q`, `r"`}}
	if diff := cmp.Diff(want, textRecords(in, LF)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// The line that ends the data is none of them, wherever a chunk ends. With more after it
// it is an error, or a record of its own, which is one for who reads the record; so is
// the mark within a record.
func TestTextEnd(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{"a\nb\n\\.\n", "a\nb\n", nil},
		{"a\nb\n\\.", "a\nb\n", nil},
		{"a\r\n\\.\r\n", "a\r\n", nil},
		{"\\.\n", "", nil},
		{"a\n\\.\nb\n", "", ErrAfterEnd},
		{"a\\\n\\.\n", "a\\\n\\.\n", nil},
		{"x\\.\n", "x\\.\n", nil},
	} {
		for size := 1; size < len(tt.in)+2; size++ {
			got, err := textChunks(strings.NewReader(tt.in), size)
			inside := tt.err != nil && err == nil && strings.Contains(strings.Join(got, ""), "\n\\.\n")
			if !inside && (!errors.Is(err, tt.err) || err == nil && strings.Join(got, "") != tt.want) {
				t.Errorf("%q in chunks of %d: %q, %v; want %q, %v", tt.in, size, got, err, tt.want, tt.err)
			}
		}
	}
	for in, want := range map[string]bool{`a\.b`: true, `\\.`: false, `a\`: true, `a\\`: false, "plain": false} {
		if got := Text.Dialect().Complaint([]byte(in)); (got != "") != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// FuzzText holds that chunks add up to the input, whatever their size and the reader,
// and that records and values are those that COPY's own loop finds.
func FuzzText(f *testing.F) {
	f.Add([]byte("1\ttwo\\\nlines\n2\t\\N\\\\\n"), uint8(4))
	f.Add([]byte("a\\\tb\\x41\\101\nb\\"), uint8(1))
	f.Add([]byte("a\r\nb\\\r\nc\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		got, err := textChunks(bytes.NewReader(in), int(size)+1)
		slow, slowErr := textChunks(iotest.OneByteReader(bytes.NewReader(in)), int(size)+1)
		if !cmp.Equal(slow, got) || (err == nil) != (slowErr == nil) {
			t.Fatalf("chunks depend on the reader: %v, %v:\n%s", err, slowErr, cmp.Diff(slow, got))
		}
		joined := strings.Join(got, "")
		if !strings.HasPrefix(string(in), joined) {
			t.Fatalf("chunks do not add up to the input: %q", got)
		}
		eol := Text.Dialect().rules().eol(in, 0, outside, true)
		var cut [][]string
		for _, chunk := range got {
			cut = append(cut, textRecords(chunk, eol)...)
		}
		if whole := textRecords(joined, eol); !cmp.Equal(whole, cut) {
			t.Fatalf("records differ: %s", cmp.Diff(whole, cut))
		}
		if bytes.IndexByte(in, '\r') < 0 {
			if want := reference(joined); !cmp.Equal(want, cut) {
				t.Fatalf("%q: %s", joined, cmp.Diff(want, cut))
			}
		}
	})
}

// TestAppendText holds that a value which AppendText has written is read back, and is never NULL,
// wherever it stands.
func TestAppendText(t *testing.T) {
	t.Parallel()
	d := Text.Dialect()
	for _, v := range []string{"", "a", `\N`, `\.`, `\`, "a\tb", "\t", "\n", "a\r\nb", `\t`, `a\\`, "ä\\n", "\x00\x7f\v\b\f"} {
		record := AppendText(nil, []byte(v))
		record = append(record, '\t')
		record = AppendText(record, []byte(v))
		fields := d.AppendFields(nil, record)
		if len(fields) != 2 {
			t.Fatalf("%q: %d fields in %q", v, len(fields), record)
		}
		for i, f := range fields {
			if got, _ := f.Value(record, nil); string(got) != v || f.IsNull(record, d.Null) {
				t.Errorf("field %d of %q is %q, NULL %v; want %q", i, record, got, f.IsNull(record, d.Null), v)
			}
		}
	}
}
