package cli_test

import (
	"regexp"
	"strings"
	"testing"
)

// unlike is what differs from one run to the next, and what takes its place.
var unlike = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[a-z2-7]{16}\b`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?`), "#"},
	{regexp.MustCompile(`\d+([-,.:_]\d+)*`), "#"},
	{regexp.MustCompile(`# ?(B|[kMG]i?B|µs|ms|s|min|h)\b`), "#"},
	{regexp.MustCompile(`# ([a-z]+?)s?\b`), "# $1"}, // one stream, or more
	{regexp.MustCompile(`─+`), "─"},
}

// plain returns the lines of an output without what differs from one run to the next:
// numbers, times, ids, what of words goes with numbers, and how wide a column is.
func plain(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		for _, u := range unlike {
			line = u.pattern.ReplaceAllString(line, u.with)
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// matches reports whether an output is as a page shows it. In the page a line of … stands for any
// lines. Lines of progress come where a command takes some seconds, which it may do anywhere.
func matches(page, output []string) bool {
	switch {
	case len(output) > 0 && progressLine.MatchString(output[0]) && (len(page) == 0 || page[0] != output[0] && page[0] != "…"):
		return matches(page, output[1:])
	case len(page) == 0:
		return len(output) == 0
	case page[0] == "…":
		for i := range len(output) + 1 {
			if matches(page[1:], output[i:]) {
				return true
			}
		}
		return false
	}
	return len(output) > 0 && page[0] == output[0] && matches(page[1:], output[1:])
}

// progressLine is how a line of progress begins, as plain has it.
var progressLine = regexp.MustCompile(`^[^ ]+: # %, # row`)

func TestPlainAndMatches(t *testing.T) {
	t.Parallel()
	page := "…\n1 stream\nads  1,000  4.2 MiB  0.25 s   12\n────\nid abcdefgh234567qr at 2026-11-24 10:12:01\n…\n"
	for _, test := range []struct {
		output string
		want   bool
	}{
		{"4 streams\nads 7 9 B 12 ms 3\n\n───────\nid zzzzzzzzzzzzzzzz at 2027-01-01 09:00:00\n", true},
		{"before\n1 stream\nads 7 9 B 12 ms 3\n─\nid zzzzzzzzzzzzzzzz at 2027-01-01 09:00:00\nafter\nand more\n", true},
		{"1 stream\nads 7 9 B 12 ms 3\n─\nads: 28 %, 5,616 rows, 931 rows/s, 9 s left\nid zzzzzzzzzzzzzzzz at 2027-01-01 09:00:00\n", true},
		{"1 stream\nad 7 9 B 12 ms 3\n─\nid zzzzzzzzzzzzzzzz at 2027-01-01 09:00:00\n", false},
		{"1 stream\nads 7 9 B 12 ms 3\nmore\n─\nid zzzzzzzzzzzzzzzz at 2027-01-01 09:00:00\n", false},
		{"", false},
	} {
		if got := matches(plain(page), plain(test.output)); got != test.want {
			t.Errorf("%q: %v, want %v", test.output, got, test.want)
		}
	}
}
