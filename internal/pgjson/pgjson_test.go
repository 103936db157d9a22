package pgjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/pgcsv"
	"shardload/internal/refill"
)

// chunks cuts all of r and returns the chunks and the error that ended them, nil for a clean
// end.
func chunks(r io.Reader, size, maxRecord int) (got []string, form Form, err error) {
	c := NewChunker(r, maxRecord)
	c.SetSize(size)
	for {
		chunk, err := c.Next(nil)
		if errors.Is(err, io.EOF) {
			return got, c.Form(), nil
		}
		if err != nil {
			return got, c.Form(), err
		}
		got = append(got, string(chunk))
	}
}

func TestChunker(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   string
		size int
		want []string
	}{
		"empty":                    {"", 8, nil},
		"blank":                    {"\n \n", 8, []string{"\n \n"}},
		"one line":                 {"{}\n", 8, []string{"{}\n"}},
		"no final line break":      {"{}\n{}", 8, []string{"{}\n{}"}},
		"cut at the last line":     {"{1}\n{2}\n{3}\n", 9, []string{"{1}\n{2}\n", "{3}\n"}},
		"exactly one chunk":        {"{1}\n{2}\n", 8, []string{"{1}\n{2}\n"}},
		"longer than a chunk":      {"{123456789}\n{}\n", 4, []string{"{123456789}\n", "{}\n"}},
		"an array":                 {"[{},\n{}]\n", 64, []string{"[{},\n{}]\n"}},
		"an empty array":           {" [ ] ", 64, []string{" [ ] "}},
		"cut behind a comma":       {"[{1},{2},{3}]", 10, []string{"[{1},{2},", "{3}]"}},
		"no comma in a chunk":      {"[{12345},{6}]\n", 4, []string{"[{12345},", "{6}]\n"}},
		"commas within elements":   {`[{"a,]":[1,2]},{"\",":{}}]`, 6, []string{`[{"a,]":[1,2]},`, `{"\",":{}}]`}},
		"a backslash at the cut":   {`["\"",""]`, 3, []string{`["\"",`, `""]`}},
		"blanks behind the array":  {"[1]\n\n\n\n", 4, []string{"[1]\n\n\n\n"}},
		"brackets that do not fit": {`[{"a":[}],2]`, 4, []string{`[{"a":[}],`, "2]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"end with it":  iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				got, _, err := chunks(r, tt.size, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s: chunks (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestChunkerErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]error{
		"[":              errOpen,
		"[{}":            errOpen,
		"[{},":           errOpen,
		`[{"a":"]`:       errOpen,
		`[{"a":"\`:       errOpen,
		"[{},]":          errMissing,
		"[,{}]":          errMissing,
		"[{},,{}]":       errMissing,
		"[{}}":           errBracket,
		"[{}] x":         errAfter,
		"[{}]\n[{}]\n":   errAfter,
		"[{}]         x": errAfter,
	} {
		for _, size := range []int{1, 4, 64} {
			_, _, err := chunks(strings.NewReader(in), size, 1<<20)
			if frame, ok := errors.AsType[*FrameError](err); !ok || !errors.Is(err, want) {
				t.Errorf("%q in chunks of %d: error %v, want %v", in, size, err, want)
			} else if size == 64 && (frame.At > len(in) || want != errOpen && isBlank(in[frame.At])) {
				t.Errorf("%q: the error is at %d", in, frame.At)
			}
		}
	}
	long := strings.Repeat("x", 100)
	for _, in := range []string{"{}\n" + long + "\n", "[{},\"" + long + "\"]"} {
		if _, _, err := chunks(strings.NewReader(in), 4, 50); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a long record: %v", err)
		} else if _, ok := errors.AsType[*refill.TooLongError](err); !ok {
			t.Errorf("a long record: %v", err)
		}
	}
	broken := errors.New("broken")
	for _, in := range []string{"{}\n{}", "[{},{}"} {
		if _, _, err := chunks(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), 64, 1<<20); !errors.Is(err, broken) {
			t.Errorf("a reader that fails: %v", err)
		}
	}
}

// A chunk has so many records at most, and what follows is read on from there.
func TestChunkerCountsRecords(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		strings.Repeat("{}\n", 2*maxRecords+5),
		"[" + strings.Repeat("{},", 2*maxRecords+4) + "{}]",
	} {
		got, form, err := chunks(strings.NewReader(in), ChunkSize, 1<<20)
		if err != nil || len(got) != 3 || strings.Join(got, "") != in {
			t.Fatalf("%d chunks, %v", len(got), err)
		}
		var n []int
		for i, c := range got {
			s := NewScanner(nil, ignore)
			count := 0
			for s.Reset([]byte(c), form, i == 0); s.Next(); count++ {
			}
			n = append(n, count)
		}
		if diff := cmp.Diff([]int{maxRecords, maxRecords, 5}, n); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	}
}

func ignore(string) error { return nil }

func refuse(key string) error { return fmt.Errorf("%s is no column", key) }

// A row is what becomes of a record.
type row struct {
	Line int64
	Text string
	Err  string
}

// rowsOf returns what becomes of the records of in, which is one chunk.
func rowsOf(fields []Field, in string) (rows []row) {
	s := NewScanner(fields, refuse)
	for s.Reset([]byte(in), FormOf([]byte(in)), true); s.Next(); {
		r := row{Line: s.Line()}
		text, err := s.AppendRow(nil)
		if r.Text = string(text); err != nil {
			r.Err = err.Error()
		}
		rows = append(rows, r)
	}
	return rows
}

func TestRows(t *testing.T) {
	t.Parallel()
	fields := []Field{{Name: "a"}, {Name: "é\"", Kind: Text}, {Name: "j", Kind: JSON}, {Name: "l", Kind: List, Delimiter: ','}, {Name: "o", Kind: List, Element: JSON, Delimiter: ';'}}
	in := `{"a":1,"é\"":"x","j":{"b":[1, 2]},"l":[1,"two",null],"o":[{"a":"\""},"s",1]}
{"a":"2","é\"":{"a":"\n"},"j":"s","l":"{}","o":null}

  {"j":null,"a":-0.10E+400}  ` + "\r" + `
{"l":[[1,2],[3,4]],"\u00e9\u0022":[],"a":12345678901234567890123}
{}
{"a":"tab\tline\nback\\slash\u005c \u0041 \ud83d\ude00 \/\b\f\r\u000b","j":true,"l":["a\"b\\c",true,"é",""],"o":[]}
{"j":"a\\b", "a" : false , "l":[[],[ ]] }
{"a":"\\.","j":12e3}`
	want := []row{
		{1, "1\tx\t" + `{"b":[1, 2]}` + "\t" + `{1,"two",NULL}` + "\t" + `{"{\\"a\\":\\"\\\\\\"\\"}";"\\"s\\"";1}` + "\n", ""},
		{2, "2\t" + `{"a":"\\n"}` + "\t" + `"s"` + "\t{}\t" + `\N` + "\n", ""},
		{4, "-0.10E+400\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\t" + `\N` + "\n", ""},
		{5, "12345678901234567890123\t[]\t" + `\N` + "\t{{1,2},{3,4}}\t" + `\N` + "\n", ""},
		{6, strings.Repeat("\\N\t", 4) + "\\N\n", ""},
		{7, `tab\tline\nback\\slash\\ A 😀 /` + "\b\f" + `\r` + "\v\t" + `\N` + "\ttrue\t" + `{"a\\"b\\\\c",true,"é",""}` + "\t{}\n", ""},
		{8, "false\t" + `\N` + "\t" + `"a\\\\b"` + "\t{}\t" + `\N` + "\n", ""},
		{9, `\\.` + "\t" + `\N` + "\t12e3\t" + `\N` + "\t" + `\N` + "\n", ""},
	}
	if diff := cmp.Diff(want, rowsOf(fields, in)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	// The same in an array, each on two lines.
	array := "\n[" + strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(in, "\n\n", "\n"), "\n", "\n,\n"), `"a"`, "\n"+`"a"`) + "]"
	got := rowsOf(fields, array)
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if text := strings.ReplaceAll(want[i].Text, `{\\"a\\"`, `{\n\\"a\\"`); got[i].Err != "" || strings.ReplaceAll(text, `{"a"`, `{\n"a"`) != got[i].Text {
			t.Errorf("in an array: %+v, want %+v", got[i], want[i])
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	fields := []Field{{Name: "a"}, {Name: "j", Kind: JSON}, {Name: "l", Kind: List, Delimiter: ','}}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for in, want := range map[string]string{
		`{"a":1,}`:                     `it is not JSON at byte 8: "}" stands where a key in double quotes should be`,
		`{"a":1 "j":2}`:                `it is not JSON at byte 8: "\"" stands where a comma or } should be`,
		`{"a":1}{"a":2}`:               `it is not JSON at byte 8: "{" stands where the end of the line should be`,
		`{"a":1,"a":2}`:                `column "a": the record has this key twice`,
		`{"a":null,"\u0061":2}`:        `column "a": the record has this key twice`,
		`{"b":1}`:                      `column "b": b is no column`,
		`{a:1}`:                        `it is not JSON at byte 2: "a" stands where a key in double quotes should be`,
		`{'a':1}`:                      `it is not JSON at byte 2: "'" stands where a key in double quotes should be`,
		`{"a":'1'}`:                    `column "a": it is not JSON at byte 6: "'" stands where a value should be`,
		`{"a":NaN}`:                    `column "a": it is not JSON at byte 6: JSON has no number NaN; a string has: "NaN"`,
		`{"a":-Infinity}`:              `column "a": it is not JSON at byte 6: JSON has no number -Infinity; a string has: "-Infinity"`,
		`{"a":01}`:                     `column "a": it is not JSON at byte 6: a number must not begin with 0`,
		`{"a":1.}`:                     `column "a": it is not JSON at byte 8: a digit is missing`,
		`{"a":+1}`:                     `column "a": it is not JSON at byte 6: "+" stands where a value should be`,
		`{"a":1e}`:                     `column "a": it is not JSON at byte 8: a digit is missing`,
		`{"a":True}`:                   `column "a": it is not JSON at byte 6: "T" stands where a value should be`,
		`{"a":tru}`:                    `column "a": it is not JSON at byte 6: "t" stands where a value should be`,
		`{"a":"\x"}`:                   `column "a": it is not JSON at byte 7: JSON has no such escape`,
		`{"a":"\u12g4"}`:               `column "a": it is not JSON at byte 7: JSON has no such escape`,
		"{\"a\":\"\t\"}":               `column "a": it is not JSON at byte 7: a control character in a string must be written \u0009`,
		"{\"a\":\"\xff\"}":             `column "a": it is not JSON at byte 7: it is not valid UTF-8`,
		"{\"a\":\"é\xed\xa0\x80\"}":    `column "a": it is not JSON at byte 9: it is not valid UTF-8`,
		"{\"j\":[\"\xff\"]}":           `column "j": it is not JSON at byte 8: it is not valid UTF-8`,
		`{"a":"\ud800"}`:               `column "a": a string has one half of a surrogate pair alone`,
		`{"a":"\udc00\ud800"}`:         `column "a": a string has one half of a surrogate pair alone`,
		`{"a":"\ud800\u0041"}`:         `column "a": a string has one half of a surrogate pair alone`,
		`{"a":"\u0000"}`:               `column "a": \u0000 is no character that PostgreSQL can store`,
		`{"l":["\u0000"]}`:             `column "l": \u0000 is no character that PostgreSQL can store`,
		`{"a":[]}`:                     `column "a": its value is an array, and its type is neither json nor jsonb`,
		`{"a":{"b":1}}`:                `column "a": its value is an object, and its type is neither json nor jsonb`,
		`{"l":1}`:                      `column "l": its value is a number, want an array`,
		`{"l":true}`:                   `column "l": its value is a boolean, want an array`,
		`{"l":{}}`:                     `column "l": its value is an object, want an array`,
		`{"l":[{}]}`:                   `column "l": an element is an object, and their type is neither json nor jsonb`,
		`{"l":[[1],[2,3]]}`:            `column "l": the arrays in it are not all of one length and depth`,
		`{"l":[1,[2]]}`:                `column "l": the arrays in it are not all of one length and depth`,
		`{"l":[[1],2]}`:                `column "l": the arrays in it are not all of one length and depth`,
		`{"l":[[],[1]]}`:               `column "l": the arrays in it are not all of one length and depth`,
		`{"l":` + deep(7) + `}`:        `column "l": an array has at most 6 dimensions`,
		`{"j":` + deep(maxDepth) + `}`: `column "j": values are nested more than 1000 deep`,
		`{"j":[1}`:                     `column "j": it is not JSON at byte 8: "}" stands where a comma or ] should be`,
		`{"j":[1,]}`:                   `column "j": it is not JSON at byte 9: "]" stands where a value should be`,
		`{"j":{"a":1,}}`:               `column "j": it is not JSON at byte 13: "}" stands where a key in double quotes should be`,
		`{"j":{"a" 1}}`:                `column "j": it is not JSON at byte 11: "1" stands where a colon should be`,
		`{"a":1} // one`:               `it is not JSON at byte 9: "/" stands where the end of the line should be`,
		`{"a"`:                         `it is not JSON at byte 5: it ends where a colon should be`,
		`{"a":"b`:                      `column "a": it is not JSON at byte 8: the string has no end`,
		`{`:                            `it is not JSON at byte 2: it ends where a key in double quotes should be`,
		`"a"`:                          `it is not JSON at byte 1: "\"" stands where an object, {…}, should be`,
		`7`:                            `it is not JSON at byte 1: "7" stands where an object, {…}, should be`,
		"\x00\x01":                     `it is not JSON at byte 1: "\x00" stands where an object, {…}, should be`,
		`{"a":1,"b":2,"j":}`:           `column "b": b is no column`,
	} {
		got := rowsOf(fields, in)
		if diff := cmp.Diff([]row{{1, "", want}}, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", in, diff)
		}
		if in[0] != '{' || strings.Contains(want, "end of the line") || strings.Contains(want, "the string has no end") {
			continue
		}
		// As an element of an array it is at fault, too, and the next one is read.
		if !json.Valid([]byte(in)) && !balanced(in) {
			continue
		}
		got = rowsOf(fields, `[{"a":1},`+"\n"+in+"\n"+`,{"a":2}]`)
		if len(got) != 3 || got[1].Err != want || got[1].Line != 2 || got[2].Err != "" || got[2].Line != 3 {
			t.Errorf("%s in an array: %+v", in, got)
		}
	}
	if got := rowsOf(fields, `{"j":`+deep(maxDepth-1)+`}`); got[0].Err != "" {
		t.Errorf("as deep as can be: %+v", got)
	}
	want := []row{
		{1, "", "the line ends within the record; a record must stand on one line, or be an element of an array: [{…}, {…}]"},
		{2, "", `it is not JSON at byte 1: "\"" stands where an object, {…}, should be`},
		{3, "", `it is not JSON at byte 1: "}" stands where an object, {…}, should be`},
		{4, "2\t\\N\t\\N\n", ""},
		{5, "", `a record must be an object, {…}, not an array`},
	}
	if diff := cmp.Diff(want, rowsOf(fields, "{\n\"a\":1\n}\r\n{\"a\":2}\n[1]")); diff != "" {
		t.Errorf("a record over several lines (-want +got):\n%s", diff)
	}
}

// balanced reports whether in is one element of an array, whatever is wrong with it.
func balanced(in string) bool {
	x := extent{}
	return x.next([]byte(in+",")) == len(in)
}

// A field may be the whole record, which names a key of its own name, too.
func TestWholeRecord(t *testing.T) {
	t.Parallel()
	fields := []Field{{Name: "a"}, {Name: "_record", Kind: Record}}
	s := NewScanner(fields, ignore)
	var got []byte
	for s.Reset([]byte(" {\"a\":1, \"_record\":\"\\n\"} \r\n{ }\n"), Lines, true); s.Next(); {
		var err error
		if got, err = s.AppendRow(got); err != nil {
			t.Fatal(err)
		}
	}
	want := "1\t{\"a\":1, \"_record\":\"\\\\n\"}\n" + "\\N\t{ }\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	got = nil
	for s.Reset([]byte("[{\"a\":\n2}, {}]"), Array, true); s.Next(); {
		got, _ = s.AppendRow(got)
	}
	if diff := cmp.Diff("2\t{\"a\":\\n2}\n\\N\t{}\n", string(got)); diff != "" {
		t.Errorf("rows of an array (-want +got):\n%s", diff)
	}
}

// Keys that are left out take nothing from their records' values, however many they are, and a
// key that names no column is in its error as far as a name may be long.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for i := range 3 * maxLeftOut {
		fmt.Fprintf(&in, `{"x%d":{"a":[1]},"a":%d,"y":null,"y":2,"x%d":"","j":%d}`+"\n", i, i, i+1, i)
	}
	s := NewScanner([]Field{{Name: "a"}, {Name: "j", Kind: JSON}}, ignore)
	n := 0
	for s.Reset([]byte(in.String()), Lines, true); s.Next(); n++ {
		if got, err := s.AppendRow(nil); string(got) != fmt.Sprintf("%d\t%d\n", n, n) || err != nil {
			t.Fatalf("record %d: %q, %v", n, got, err)
		}
	}
	if n != 3*maxLeftOut || len(s.keys.after) > maxLeftOut+len(s.fields)+2 {
		t.Errorf("%d records, %d guesses", n, len(s.keys.after))
	}
	long := strings.Repeat("é", maxName)
	if got := rowsOf(nil, `{"`+long+`":1}`); len(got[0].Err) > 2*len(long)+3*maxName || !strings.HasPrefix(got[0].Err, `column "`+long[:maxName]+"…") {
		t.Errorf("%+v", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	in := "{\"b\":1,\"a\":2}\n{\"c\":3,\"broken\":}\n{\"a\":1,\"\\u0063\":[{\"d\":1}]}\n"
	if diff := cmp.Diff([]string{"b", "a", "c"}, Keys([]byte(in), Lines, true)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// seeds are records, good and bad, for the fuzz targets.
var seeds = []string{
	`{"a":1,"b":"x","c":{"d":[1,2,{}]}}`, `{"b":"\u00e9\ud83d\ude00\n","a":-0.5e+10}`, `{"a":[1,"2",null,[true]]}`,
	`{"a":1,"a":2}`, `{"a":"\ud800"}`, `{"a":01}`, `{"a":1,}`, `{}`, ` { "a" : null } `, `[{"a":1},{"b":2}]`, "{\n}\n", `{"a":"\u0000"}`, "{\"a\":\"\xff\"}", `{"b":[[1,2],[3,4]]}`,
	`{"c":"` + strings.Repeat("long ", 20) + `"}`,
}

// What is taken for a record is JSON, and what is JSON is taken, but for what PostgreSQL
// cannot store and what is ambiguous; the values are those that encoding/json finds.
func FuzzRecord(f *testing.F) {
	for i, s := range seeds {
		f.Add(s, seeds[(i+1)%len(seeds)])
		f.Add(s, strings.ReplaceAll(s, ":", ": "))
		f.Add(strings.ReplaceAll(s, ":", ": "), s)
	}
	fields := []Field{{Name: "a"}, {Name: "b", Kind: Text}, {Name: "c", Kind: JSON}}
	f.Fuzz(func(t *testing.T, in, before string) {
		if strings.Contains(in, "\n") || strings.Trim(in, blanks) == "" || FormOf([]byte(in)) == Array {
			return
		}
		s := NewScanner(fields, ignore)
		read := func() ([]byte, error) {
			s.Reset([]byte(in), Lines, true)
			if !s.Next() {
				t.Fatalf("%q is no record", in)
			}
			return s.AppendRow(nil)
		}
		text, err := read()
		again, failed := read() // what comes before must make no difference
		for s.Reset([]byte(before), Lines, true); s.Next(); {
			_, _ = s.AppendRow(nil)
		}
		if after, err := read(); !bytes.Equal(after, text) || fmt.Sprint(err) != fmt.Sprint(failed) || !bytes.Equal(again, text) {
			t.Fatalf("%q becomes %q and %q (%v), after %q %q (%v)", in, text, again, failed, before, after, err)
		}
		valid := json.Valid([]byte(in)) && utf8.ValidString(in) && strings.Trim(in, blanks)[0] == '{'
		if err != nil {
			if valid && !excused(err) {
				t.Fatalf("%q is refused: %v", in, err)
			}
			return
		}
		if !valid {
			t.Fatalf("%q is taken for JSON", in)
		}
		want := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatal(err)
		}
		got := pgcsv.Text.Dialect().AppendFields(nil, text[:len(text)-1])
		if len(got) != len(fields) {
			t.Fatalf("%q becomes %q", in, text)
		}
		for i, field := range fields {
			value, _ := got[i].Value(text, nil)
			w, ok := meaning(t, want[field.Name], field.Kind)
			if isNull := got[i].IsNull(text, `\N`); isNull == ok || ok && string(value) != w {
				t.Fatalf("%s of %q is %q (NULL %v), want %q (%v)", field.Name, in, value, isNull, w, !ok)
			}
		}
	})
}

// excused reports whether JSON may be refused because of err.
func excused(err error) bool {
	return slices.ContainsFunc([]error{errTwice, errZero, errSurrogate, errDeep}, func(e error) bool { return errors.Is(err, e) }) ||
		strings.Contains(err.Error(), "neither json nor jsonb")
}

// meaning returns the value that raw should be stored as, false for NULL.
func meaning(t *testing.T, raw json.RawMessage, kind Kind) (string, bool) {
	if raw == nil || string(raw) == "null" {
		return "", false
	}
	if raw[0] != '"' || kind == JSON {
		return string(raw), true
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s, true
}

// Wherever an input is cut, and wherever another Chunker goes on, its records are the same;
// those of an array are those that encoding/json finds.
func FuzzChunker(f *testing.F) {
	for _, s := range seeds {
		f.Add(s+"\n"+s, uint8(3), true)
		f.Add("["+s+",\n"+s+"]", uint8(9), false)
	}
	f.Fuzz(func(t *testing.T, in string, size uint8, resume bool) {
		if len(in) > 4<<10 || len(in)-len(strings.TrimLeft(in, blanks)) > int(size) {
			return // it takes long; a chunk of blanks is taken for lines, and is 1 MiB at other times
		}
		whole, form, err := chunks(strings.NewReader(in), 1<<20, 1<<20)
		records, failed := recordsIn(t, in, int(size)+1, resume)
		if failed == nil != (err == nil) {
			t.Fatalf("%q: %v in one chunk, %v in many", in, err, failed)
		}
		if err != nil {
			return
		}
		var want []string
		for _, c := range whole {
			s := NewScanner(nil, ignore)
			for s.Reset([]byte(c), form, true); s.Next(); {
				want = append(want, string(s.chunk[s.Start():s.End()]))
			}
		}
		if diff := cmp.Diff(want, records); diff != "" {
			t.Fatalf("%q: records (-one chunk +many):\n%s", in, diff)
		}
		var elements []json.RawMessage
		if form != Array || json.Unmarshal([]byte(in), &elements) != nil {
			return
		}
		for i, e := range elements {
			if i >= len(records) || records[i] != string(e) {
				t.Fatalf("%q: records %q, want %q", in, records, elements)
			}
		}
	})
}

// recordsIn returns the records of in, cut into chunks of that size. With resume each chunk
// is read by another Chunker, as a job is that goes on.
func recordsIn(t *testing.T, in string, size int, resume bool) (records []string, err error) {
	c := NewChunker(iotest.OneByteReader(strings.NewReader(in)), 1<<20)
	c.SetSize(size)
	lines := int64(0)
	for offset := 0; ; {
		chunk, err := c.Next(nil)
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		if len(chunk) == 0 || in[offset:offset+len(chunk)] != string(chunk) {
			t.Fatalf("%q: chunk %q at %d", in, chunk, offset)
		}
		s := NewScanner(nil, ignore)
		for s.Reset(chunk, c.Form(), offset == 0); s.Next(); {
			records = append(records, string(chunk[s.Start():s.End()]))
			if want := int64(strings.Count(in[:offset+s.Start()], "\n")); want != lines+s.Line()-1 {
				t.Fatalf("%q: record %q is on line %d, want %d", in, records[len(records)-1], lines+s.Line(), want+1)
			}
		}
		offset += len(chunk)
		lines += int64(bytes.Count(chunk, []byte{'\n'}))
		if resume {
			c = NewChunkerAt(strings.NewReader(in[offset:]), 1<<20, c.Form(), chunk[len(chunk)-1])
			c.SetSize(size)
		}
	}
}

// ad is a record of about 250 bytes.
const ad = `{"id":123456,"company_id":1234,"campaign_id":7,"name":"Handmade walnut shelf with free shipping","image_url":"https://images.example.com/0123456789abcdef.jpg","target_url":"https://shop.example.com/shelves/123456","impressions_count":123456,"clicks_count":1234,"created_at":"2024-05-06 07:08:09.123456","updated_at":"2024-06-07 08:09:10.654321"}` + "\n"

func BenchmarkAppendRow(b *testing.B) {
	shuffled := strings.Replace(ad, `"id":123456,`, "", 1)
	shuffled = strings.Replace(shuffled, "{", `{"updated_at":null,`, 1)
	shuffled = strings.Replace(shuffled, `,"updated_at":"2024-06-07 08:09:10.654321"`, `,"id":123456`, 1)
	for name, in := range map[string]string{
		"same order":   strings.Repeat(ad, 1000),
		"two orders":   strings.Repeat(ad+shuffled, 500),
		"spaces":       strings.Repeat(strings.ReplaceAll(strings.ReplaceAll(ad, `":`, `": `), `,"`, `, "`), 1000),
		"array":        "[" + strings.TrimSuffix(strings.Repeat(strings.ReplaceAll(ad, "\n", ",\n"), 1000), ",\n") + "]",
		"not ASCII":    strings.Repeat(strings.ReplaceAll(ad, "shelf", "Gestöhn über Äpfel"), 1000),
		"with escapes": strings.Repeat(strings.ReplaceAll(ad, "shelf", `sh\"elf\n`), 1000),
	} {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			var fields []Field
			for _, key := range Keys([]byte(ad), Lines, true) {
				fields = append(fields, Field{Name: key})
			}
			s := NewScanner(fields, refuse)
			var dst []byte
			chunk := []byte(in)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				dst = dst[:0]
				n := 0
				for s.Reset(chunk, FormOf(chunk), true); s.Next(); n++ {
					var err error
					if dst, err = s.AppendRow(dst); err != nil {
						b.Fatal(err)
					}
				}
				if n != 1000 {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}
