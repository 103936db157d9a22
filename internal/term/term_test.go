package term_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	"shardload/internal/term"
)

// hostile has one of each character that a terminal may obey, and what it becomes.
var hostile = map[string]string{
	"\x1b[2J": `\x1b[2J`, "\a": `\x07`, "\x00": `\x00`, "\r": `\r`, "\n": `\n`, "\t": `\t`, "\x7f": `\x7f`,
	"\u009b2J": `\u009b2J`, "\u0085": `\u0085`, "\x9b": `\x9b`, "\xc2": `\xc2`, "\xed\xa0\x80": `\xed\xa0\x80`,
	"\u202e": `\u202e`, "\u2066": `\u2066`, "\u2069": `\u2069`, "\u200e": `\u200e`, "\u200f": `\u200f`, "\u061c": `\u061c`,
	"\u2028": `\u2028`, "\u2029": `\u2029`,
}

func TestLine(t *testing.T) {
	for in, want := range hostile {
		if got := term.Line("ä" + in + "z"); got != "ä"+want+"z" {
			t.Errorf("Line(%q) = %q, want it to have %q", in, got, want)
		}
		if once := term.Line(in); term.Line(once) != once {
			t.Errorf("Line of Line(%q) is another", in)
		}
	}
	for _, plain := range []string{"", "a b", "näïve ⸻ 東京 👩‍💻", `a\nb`, "▏▎█"} {
		if got := term.Line(plain); got != plain {
			t.Errorf("Line(%q) = %q", plain, got)
		}
	}
}

func TestText(t *testing.T) {
	if got, want := term.Text("a\n\tb\x1bc\r\n"), "a\n\tb\\x1bc\\r\n"; got != want {
		t.Errorf("Text = %q, want %q", got, want)
	}
}

// A control character in an argument never gets through, whatever the verb.
func TestSprintf(t *testing.T) {
	evil := "a\n\x1bb"
	for _, c := range []struct {
		want string
		got  string
	}{
		{"1\n" + `a\n\x1bb!`, term.Sprintf("%d\n%s!", 1, evil)},
		{`a\n\x1bb`, term.Sprintf("%v", errors.New(evil))},
		{`[a\n\x1bb x]`, term.Sprintf("%v", []string{evil, "x"})},
		{`a\n\x1bb`, term.Sprintf("%s", []byte(evil))},
		{`"a\n\x1bb"`, term.Sprintf("%q", evil)},
		{"    7|x       |0.50", term.Sprintf("%*d|%-8s|%.2f", 5, 7, "x", 0.5)},
		{`{a\n\x1bb}`, term.Sprintf("%v", struct{ S string }{evil})},
		{"\\n", term.Sprintf("%c", '\n')},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestError(t *testing.T) {
	evil := "x\nshardload: done\x1b[2J"
	safe := `x\nshardload: done\x1b[2J`
	leaf := errors.New(evil)
	for _, c := range []struct {
		err  error
		want string
	}{
		{leaf, safe},
		{errors.Join(leaf, leaf), safe + "\n" + safe},
		{fmt.Errorf("%s: %w; %s", evil, errors.Join(leaf, errors.New("b")), evil), safe + ": " + safe + "\nb; " + safe},
		{errors.Join(errors.Join(leaf, leaf), fs.ErrNotExist), safe + "\n" + safe + "\n" + fs.ErrNotExist.Error()},
		{&fs.PathError{Op: "open", Path: evil, Err: fs.ErrNotExist}, "open " + safe + ": file does not exist"},
		{fmt.Errorf("%w", errors.New("")), ""},
		{fmt.Errorf("initdb: %w%s", fs.ErrInvalid, ":\n\tone\n\t\x1btwo\nthree\n"), "initdb: invalid argument:\n  | one\n  | \\x1btwo\\nthree"},
		{fmt.Errorf("other words%.0w", leaf), "other words"},
	} {
		if got := term.Error(c.err); got != c.want {
			t.Errorf("Error(%q) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := term.NewWriter(&out)
	if n, err := fmt.Fprint(w, "a\x1b\n\tb"); err != nil || n != 5 {
		t.Errorf("wrote %d: %v", n, err)
	}
	if got, want := out.String(), "a\\x1b\n\tb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A JSON document means the same afterwards, and a terminal obeys nothing in it.
func TestJSON(t *testing.T) {
	var all strings.Builder
	for in := range hostile {
		all.WriteString("<" + in + ">")
	}
	doc, err := json.MarshalIndent(map[string]string{"k\x7f": all.String()}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	safe := term.JSON(doc)
	if strings.ReplaceAll(term.Text(string(safe)), "\n", "") != strings.ReplaceAll(string(safe), "\n", "") || !utf8.Valid(safe) {
		t.Errorf("something is left in %q", safe)
	}
	var was, is map[string]string
	if err := errors.Join(json.Unmarshal(doc, &was), json.Unmarshal(safe, &is)); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(was) != fmt.Sprint(is) {
		t.Errorf("%q became %q", was, is)
	}
}
