package cli_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A step is a command of a page, and what the page shows of its output.
type step struct {
	where       string // page and line
	command     string // as bash reads it, without the comment after it
	console     bool   // the page shows what it prints
	output      []string
	interrupted bool // the page shows a ^C
}

// readSteps returns the commands in the blocks of a page: in sh a command a line, in
// console what stands after a prompt.
func readSteps(name, text string) ([]step, error) {
	var steps []step
	language, inside := "", false
	for i, line := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", name, i+1)
		if lang, fence := strings.CutPrefix(line, "```"); fence {
			language, inside = lang, !inside
			continue
		}
		switch {
		case !inside:
		case language == "sh":
			steps = addLine(steps, where, line)
		case language == "console":
			steps = addConsole(steps, where, line)
		case strings.HasPrefix(line, "$ "), strings.HasPrefix(line, "shardload "):
			return nil, fmt.Errorf("%s: a command in a block of %q: want sh or console", where, language)
		}
	}
	return steps, nil
}

// addLine adds a line of a block of commands. One that goes on ends in a backslash, or
// within quotes.
func addLine(steps []step, where, line string) []step {
	last := len(steps) - 1
	if line = withoutComment(line); line == "" {
		return steps
	}
	if last < 0 || !goesOn(steps[last].command) {
		return append(steps, step{where: where, command: line})
	}
	before, cut := strings.CutSuffix(steps[last].command, "\\")
	if cut {
		steps[last].command = before + line
	} else {
		steps[last].command += "\n" + line
	}
	return steps
}

func goesOn(command string) bool {
	return strings.HasSuffix(command, " \\") || strings.Count(command, `"`)%2 == 1
}

// addConsole adds a line of a session: a command, more of it, or what it prints.
func addConsole(steps []step, where, line string) []step {
	if command, prompt := strings.CutPrefix(line, "$ "); prompt {
		return append(steps, step{where: where, command: withoutComment(command), console: true})
	}
	last := &steps[len(steps)-1]
	if more, prompt := strings.CutPrefix(line, "> "); prompt {
		last.command += "\n" + withoutComment(more)
	} else if line == "^C" {
		last.interrupted = true
	} else if line != "" {
		last.output = append(last.output, line)
	}
	return steps
}

// withoutComment returns a line of bash without the comment at its end.
func withoutComment(line string) string {
	for i := range line {
		before := line[:i]
		begins := before == "" || strings.HasSuffix(before, " ")
		if line[i] == '#' && begins && strings.Count(before, "'")%2 == 0 && strings.Count(before, `"`)%2 == 0 {
			return strings.TrimSpace(before)
		}
	}
	return strings.TrimSpace(line)
}

// helpSteps returns the examples of all verbs.
func helpSteps(t *testing.T, verb ...string) []step {
	t.Helper()
	help := helpOf(t, verb)
	where := strings.Join(append(verb[:len(verb):len(verb)], "--help"), " ")
	var steps []step
	for _, line := range section(help, "Examples:") {
		steps = append(steps, step{where: where, command: withoutComment(line)})
	}
	for _, sub := range subcommands(help) {
		steps = append(steps, helpSteps(t, append(verb[:len(verb):len(verb)], sub)...)...)
	}
	return steps
}

// section returns the lines below a heading of a help text.
func section(help, heading string) []string {
	_, after, found := strings.Cut(help, "\n"+heading+"\n")
	if !found {
		return nil
	}
	text, _, _ := strings.Cut(after, "\n\n")
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func TestReadSteps(t *testing.T) {
	t.Parallel()
	got, err := readSteps("a.md", "```sh\n"+
		"first --x 'a # b' # why\n\n"+
		"second \\\n  --more\n\"a\nb\" c\nlast\n```\n"+
		"```console\n$ third\n> rest  # it's\none\n\n…\n$ fourth\n^C\ntwo\n```\n"+
		"```sql\nSELECT 1;\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []step{
		{where: "a.md:2", command: "first --x 'a # b'"},
		{where: "a.md:4", command: "second --more"},
		{where: "a.md:6", command: "\"a\nb\" c"},
		{where: "a.md:8", command: "last"},
		{where: "a.md:11", command: "third\nrest", console: true, output: []string{"one", "…"}},
		{where: "a.md:16", command: "fourth", console: true, output: []string{"two"}, interrupted: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if _, err := readSteps("a.md", "```\n$ shardload load\n```\n"); err == nil {
		t.Error("a command in a block without a language is not missed")
	}
}
