package selection

import (
	"strings"
	"testing"
)

func TestParseTree(t *testing.T) {
	tree, err := parseTree(`({QUERY :a {CONST :constvalue 5 [ 20 0 0 0 -97 ] :constisnull false :consttype 25} :b (1 "x\ y" ) :c <> :name \{X\} :b ()})`)
	if err != nil {
		t.Fatal(err)
	}
	n := tree[0].node
	if text, ok := n.child("a").text(); !ok || text != "\x9f" {
		t.Errorf("text %q, %t", text, ok)
	}
	if list := n.get("b").list; len(list) != 2 || list[1].word != `"x\ y"` || n.empty("b") || !n.empty("c") || !n.empty("nosuch") {
		t.Errorf("list %+v", list)
	}
	for _, text := range []string{"", "(", "({", "({A", "({A :", "({A :b", "({A :b})", "({A :b :c 1})", "({A b})", "(})", "()x", "({A :b 1)", strings.Repeat("(", 2*maxDepth)} {
		if _, err := parseTree(text); err == nil {
			t.Errorf("%.20q: no error", text)
		}
	}
}

// FuzzParseTree holds that no text makes the parser fail otherwise than with an error.
func FuzzParseTree(f *testing.F) {
	f.Add(`({QUERY :a {CONST :constvalue 5 [ 20 0 0 0 120 ]} :b (1 "x\ y" ) :c <>})`)
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := parseTree(text)
		if err != nil {
			return
		}
		for n := range (value{list: tree}).all() {
			_, _ = n.text()
			_, _ = n.datum()
			_ = leftmost(n)
		}
		_, _ = shapeOf(tree, newSource("", "*", "a", "", "", "b", nil, true), 1)
	})
}

// FuzzPointed holds that a mistake is shown in lines that nothing in the text breaks, with
// the caret within the line.
func FuzzPointed(f *testing.F) {
	f.Add("id, nosuch AS note", 4)
	f.Add("id,\n\tnosuch\x1b[2J 日本語 AS note\r\n, x", 9)
	f.Fuzz(func(t *testing.T, text string, at int) {
		got := (&MistakeError{Text: text, At: at, Message: "m"}).pointed()
		if at < 0 || at > len(text) {
			if got != "" {
				t.Fatalf("%q", got)
			}
			return
		}
		lines := strings.Split(got, "\n\t")
		if len(lines) != 3 || lines[0] != "" || strings.TrimLeft(lines[2], " ") != "^" || len(lines[2])-1 > width(lines[1]) || width(lines[1]) > shown+2 {
			t.Fatalf("%q at %d: %q", text, at, got)
		}
	})
}

func TestPointed(t *testing.T) {
	for _, test := range []struct{ text, at, line, caret string }{
		{"id, pric AS amount", "pric", "id, pric AS amount", "    ^"},
		{"日本, pric", "pric", "日本, pric", "      ^"},
		{"a,\n\tpric,\r\nb", "pric", `\tpric,`, "  ^"},
		{strings.Repeat("x", 100) + "pric", "pric", "…" + strings.Repeat("x", 50) + "pric", strings.Repeat(" ", 51) + "^"},
		{"pric" + strings.Repeat("x", 100), "pric", "pric" + strings.Repeat("x", 71) + "…", "^"},
	} {
		got := (&MistakeError{Text: test.text, At: strings.Index(test.text, test.at)}).pointed()
		if want := "\n\t" + test.line + "\n\t" + test.caret; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
