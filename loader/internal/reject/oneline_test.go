package reject

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestOnOneLine holds what becomes of the line breaks of a record, in strings and outside.
func TestOnOneLine(t *testing.T) {
	t.Parallel()
	for record, want := range map[string]string{
		"{\"a\": \"x\"}":                          `{"a": "x"}`,
		"{\n\"a\":\r\n1 }":                        `{ "a":  1 }`,
		"{\"a\": \"x\ny\"}":                       `{"a": "x\ny"}`,
		"{\"a\": \"x\r\ny\"}":                     `{"a": "x\r\ny"}`,
		"{\"a\nb\": 1}":                           `{"a\nb": 1}`,
		"{\"a\": \"x\\\ny\"}":                     `{"a": "x\ y"}`,
		"{\"a\": \"x\\\\\ny\"}":                   `{"a": "x\\\ny"}`,
		"{\"a\": \"\\\"\n\", \"b\":\n\"\\\\\"\n}": `{"a": "\"\n", "b": "\\" }`,
		"{\"a\": 1\n2}":                           `{"a": 1 2}`,
		"{\"a\": \"\\u00\n41\"}":                  `{"a": "\u00\n41"}`,
		"{\"a\": \"open\n":                        `{"a": "open\n`,
		"{\"a\": \\\n\"x\n\"}":                    `{"a": \ "x\n"}`,
	} {
		if got := string(onOneLine([]byte(record))); got != want {
			t.Errorf("%q: got  %s\nwant %s", record, got, want)
		}
	}
}

// FuzzOnOneLine holds that a record is on one line, and that one which is JSON then is what it was,
// with its line breaks.
func FuzzOnOneLine(f *testing.F) {
	for _, seed := range []string{"{\"a\": \"x\ny\"}", "{\n\"a\": \"\\\ny\"\r}", "{\"a\": \"\\\\\ny\"}", "1\n2", "\\\n\"\n\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		line := onOneLine(bytes.Clone(record))
		if bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("%q: is %q", record, line)
		}
		if !json.Valid(line) {
			if json.Valid(record) {
				t.Fatalf("%q: is JSON, and %q is none", record, line)
			}
			return
		}
		// Another way to allow line breaks in strings: as a character that is none, and back.
		const lf, cr = "\ufff8", "\ufff9"
		if bytes.Contains(record, []byte(lf)) || bytes.Contains(record, []byte(cr)) {
			t.Skip()
		}
		var was, is any
		for _, outside := range []bool{false, true} {
			text := record
			if !outside {
				text = bytes.ReplaceAll(bytes.ReplaceAll(record, []byte("\n"), []byte(lf)), []byte("\r"), []byte(cr))
			}
			if json.Unmarshal(text, &was) != nil {
				continue
			}
			if err := json.Unmarshal(line, &is); err != nil {
				t.Fatal(err)
			}
			a, _ := json.Marshal(was)
			b, _ := json.Marshal(is)
			a = bytes.ReplaceAll(bytes.ReplaceAll(a, []byte(lf), []byte(`\n`)), []byte(cr), []byte(`\r`))
			if !bytes.Equal(a, b) {
				t.Fatalf("%q: means %s, and %q means %s", record, a, line, b)
			}
		}
	})
}
