package shardload_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const (
	longestReadme = 120 // lines: what a newcomer reads before the first load
	longestProse  = 100 // columns
)

// TestDocs holds what is true of every page: its links lead somewhere, and its prose
// is in lines that an editor and a diff can show.
func TestDocs(t *testing.T) {
	t.Parallel()
	pages := readPages(t, ".")
	for _, problem := range pageProblems(pages) {
		t.Error(problem)
	}
	if n := strings.Count(pages["README.md"], "\n"); n > longestReadme {
		t.Errorf("README.md has %d lines, want at most %d: what is not for a newcomer belongs in docs", n, longestReadme)
	}
}

// A check that cannot fail is none.
func TestPageProblems(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 25)
	got := pageProblems(map[string]string{
		"a.md": "# One, two\n\n[fine](#one-two) [far](https://example.com/x#y) [b](docs/b.md#three)\n" +
			"[gone](c.md) [no such heading](docs/b.md#four)\n[in\ntwo lines](#five)\n" +
			"```\n# no heading " + long + "[no link](nowhere.md)\n```\n| " + long + "|\n" +
			"[link](https://example.com/" + strings.Repeat("x", 100) + ")\n`[code](nowhere.md)`\n" + long + "\n",
		"docs/b.md": "## Three\n## Three\n[a](../a.md#one-two) [second](#three-1) [all](../docs/)\n",
	})
	want := []string{
		"a.md: c.md does not exist",
		"a.md: docs/b.md has no heading four",
		"a.md: a.md has no heading five",
		"a.md:13: 125 columns of prose, want at most 100",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// readPages returns the pages below dir by their names.
func readPages(t *testing.T, dir string) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != dir && (strings.HasPrefix(e.Name(), ".") || e.Name() == "testdata"):
			return filepath.SkipDir
		case e.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		pages[filepath.ToSlash(path)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// pageProblems says what is wrong with pages, by page and line.
func pageProblems(pages map[string]string) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		text := withoutCode(pages[name])
		for _, link := range links(text) {
			if problem := brokenLink(pages, name, link); problem != "" {
				problems = append(problems, name+": "+problem)
			}
		}
		for i, line := range strings.Split(text, "\n") {
			if n := columns(line); n > longestProse {
				problems = append(problems, fmt.Sprintf("%s:%d: %d columns of prose, want at most %d", name, i+1, n, longestProse))
			}
		}
	}
	return problems
}

// withoutCode returns a page with the lines of its code blocks empty.
func withoutCode(page string) string {
	lines := strings.Split(page, "\n")
	inside := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || inside {
			lines[i] = ""
		}
		inside = inside != fence
	}
	return strings.Join(lines, "\n")
}

var (
	linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codePattern = regexp.MustCompile("`[^`]*`")
)

// links returns where the links of a page lead.
func links(text string) []string {
	var list []string
	// A link's text may be code; a link in code is none.
	for _, m := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(text, ""), -1) {
		list = append(list, m[1])
	}
	return list
}

// brokenLink says why a link of the page from leads nowhere. Other hosts are not asked.
func brokenLink(pages map[string]string, from, link string) string {
	if strings.Contains(link, "://") {
		return ""
	}
	path, anchor, _ := strings.Cut(link, "#")
	target := from
	if path != "" {
		target = filepath.ToSlash(filepath.Join(filepath.Dir(from), filepath.FromSlash(path)))
	}
	page, known := pages[target]
	if !known {
		if _, err := os.Stat(target); err != nil {
			return path + " does not exist"
		}
		return ""
	}
	if anchor != "" && !anchors(page)[anchor] {
		return target + " has no heading " + anchor
	}
	return ""
}

// anchors returns the names under which GitHub makes the headings of a page known.
func anchors(page string) map[string]bool {
	known := map[string]bool{}
	for line := range strings.Lines(withoutCode(page)) {
		level, heading, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.Trim(level, "#") != "" {
			continue
		}
		base := slug(heading)
		name := base
		for n := 1; known[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		known[name] = true
	}
	return known
}

func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// columns returns how wide a line is, but for tables, and for the targets of links,
// which cannot be broken.
func columns(line string) int {
	if strings.HasPrefix(strings.TrimSpace(line), "|") {
		return 0
	}
	return utf8.RuneCountInString(linkPattern.ReplaceAllString(line, "]"))
}

// TestWhereToLook holds that the files of ARCHITECTURE.md declare what it says they do.
func TestWhereToLook(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| [^|]+ \| \[(.+?\.go)\]\(.*?\) \| (.+) \|$`).FindAllSubmatch(page, -1)
	if len(rows) < 15 {
		t.Fatalf("%d rows of the table found", len(rows))
	}
	for _, row := range rows {
		code, err := os.ReadFile(string(row[1]))
		if err != nil {
			t.Error(err)
		}
		for name := range strings.SplitSeq(string(row[2]), ", ") {
			name = strings.Trim(name, "`")
			if !regexp.MustCompile(`(?m)^(type |func (\(.+?\) )?|const |var |\t)` + name + `\b`).Match(code) {
				t.Errorf("%s does not declare %s", row[1], name)
			}
		}
	}
}

// TestRoomsInOrder holds that ARCHITECTURE.md has all rooms, those that know others above them.
func TestRoomsInOrder(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "## The rooms")
	list, _, _ = strings.Cut(list, "\n## ")
	var got, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(list, -1) {
		got = append(got, row[1])
	}
	for _, l := range slices.Backward(layers) {
		if l.pkg != "." {
			want = append(want, l.pkg)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rooms (-layers +page):\n%s", diff)
	}
}
