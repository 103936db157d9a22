package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"
)

// TestTablesFit holds that a table has at most 100 columns where nobody knows the screen: paths
// lose their middle, then columns go that may, and what is left over wraps.
func TestTablesFit(t *testing.T) {
	t.Parallel()
	path := "/srv/exports/" + strings.Repeat("very/", 30) + "deep/events.csv"
	for name, tt := range map[string]struct {
		head []string
		row  []string
		want string
	}{
		"it fits": {
			[]string{"job", "~input", "?last"},
			[]string{"j", "/a/b.csv", "now"},
			"job  input     last\n─────────────────────\nj    /a/b.csv  now\n",
		},
		"a path": {
			[]string{"job", "~input", ">rows", "?last"},
			[]string{"abcdefgh", path, "1,000", "now"},
			"job       input" + strings.Repeat(" ", 73) + "rows  last\n" + strings.Repeat("─", 100) + "\n" +
				"abcdefgh  /srv/exports/very/very/ve…ery/very/very/very/very/very/very/deep/events.csv  1,000  now\n",
		},
		"columns go": {
			[]string{"~input", "?a", "b", "?c"},
			[]string{path, strings.Repeat("a", 40), strings.Repeat("b", 60), strings.Repeat("c", 30)},
			"input                         b\n" + strings.Repeat("─", 92) + "\n/srv/expo…ry/deep/events.csv  " + strings.Repeat("b", 60) + "\n",
		},
		"nothing can go": {
			[]string{"~input", "b"},
			[]string{path, strings.Repeat("b", 80)},
			"input             b\n" + strings.Repeat("─", 100) + "\n" + middle(path, 16) + "  " + strings.Repeat("b", 80) + "\n",
		},
		"values wrap": {
			[]string{"b", "<why"},
			[]string{strings.Repeat("b", 60), strings.Repeat("word ", 12)},
			"b                                                             why\n" + strings.Repeat("─", 100) + "\n" +
				strings.Repeat("b", 60) + "  word word word word word word word\n" + strings.Repeat(" ", 62) + "word word word word word\n",
		},
		"more wraps, and more columns go": {
			[]string{"<statement", "!>rows", ">time", "!went to"},
			[]string{strings.Repeat("word ", 8), "7", strings.Repeat("t", 50), strings.Repeat("w", 50)},
			"statement                                 rows" + strings.Repeat(" ", 48) + "time\n" + strings.Repeat("─", 100) + "\n" +
				strings.TrimSpace(strings.Repeat("word ", 8)) + "      7  " + strings.Repeat("t", 50) + "\n",
		},
		"a column that is none": {
			[]string{"a", ""},
			[]string{"1", ""},
			"a\n───\n1\n",
		},
		"names of the server's": {[]string{`\?column?`, `\>`}, []string{"1", "2"}, "?column?  >\n─────────────\n1         2\n"},
	} {
		var out bytes.Buffer
		if err := printTable(&out, tt.head, [][]string{tt.row}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMiddle(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "/home/me/events.csv", "日本語のファイル.csv", strings.Repeat("é", 30)} {
		for width := 1; width < 30; width++ {
			got := middle(s, width)
			if n := text.StringWidth(got); n > width || text.StringWidth(s) <= width && got != s {
				t.Errorf("%q in %d: %q has %d", s, width, got, n)
			}
		}
	}
}
