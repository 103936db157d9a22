package cli_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// A stage is what a page's commands find: testdata/docs/PAGE.txtar. Its comment says
// "server: postgres", "citus", "private" (the page starts one, with Citus) or "none", and
// then has a script of bash that is run before the page; in it "sql QUERY" is psql. Its files lie in the directory of the commands, but
// for those with these names:
//
//	not run         a command a line, and below it, indented, why it is not run
//	long            the same of those that are not run with -short
//	before COMMAND  a script that is run before each such command
//	during COMMAND  a script that ends when a command that the page interrupts is under way
//	after COMMAND   a script that is run after each such command
//	finally         a script that is run after the page
type stage struct {
	server  string
	prepare string
	notRun  map[string]string // reasons by commands
	long    map[string]string
	scripts map[string]string // hooks, by their names above
	files   []txtar.File
}

func readStages(t *testing.T) map[string]stage {
	t.Helper()
	names, err := filepath.Glob("../../testdata/docs/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]stage{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseStage(txtar.Parse(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		stages[strings.TrimSuffix(filepath.Base(name), ".txtar")] = s
	}
	return stages
}

func parseStage(archive *txtar.Archive) (stage, error) {
	first, prepare, _ := strings.Cut(string(archive.Comment), "\n")
	server, ok := strings.CutPrefix(first, "server: ")
	if !ok {
		return stage{}, fmt.Errorf("the first line is %q, want server: …", first)
	}
	s := stage{server: server, prepare: prepare, scripts: map[string]string{}}
	for _, file := range archive.Files {
		var err error
		word, _, _ := strings.Cut(file.Name, " ")
		switch {
		case file.Name == "not run":
			s.notRun, err = parseReasons(string(file.Data))
		case file.Name == "long":
			s.long, err = parseReasons(string(file.Data))
		case slices.Contains([]string{"before", "during", "after", "finally"}, word):
			s.scripts[file.Name] = string(file.Data)
		default:
			s.files = append(s.files, file)
		}
		if err != nil {
			return stage{}, fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	return s, nil
}

// parseReasons reads commands, each with a reason below. Commands in a row share theirs.
func parseReasons(text string) (map[string]string, error) {
	reasons := map[string]string{}
	var waiting []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch reason, indented := strings.CutPrefix(line, "\t"); {
		case !indented:
			waiting = append(waiting, line)
		default:
			for _, command := range waiting {
				reasons[command] = reason
			}
			waiting = nil
		}
	}
	if len(waiting) > 0 {
		return nil, fmt.Errorf("%q has no reason", waiting)
	}
	return reasons, nil
}

// unused says what of s is about commands that the page no longer has.
func (s stage) unused(page []step) []string {
	var problems []string
	has := func(command string) bool {
		return slices.ContainsFunc(page, func(st step) bool { return st.command == command })
	}
	for _, command := range slices.Concat(slices.Sorted(maps.Keys(s.notRun)), slices.Sorted(maps.Keys(s.long))) {
		if !has(command) {
			problems = append(problems, fmt.Sprintf("listed as not run, and no longer in the page: %s", command))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.scripts)) {
		if _, command, ok := strings.Cut(name, " "); ok && !has(command) {
			problems = append(problems, fmt.Sprintf("a script for what is no longer in the page: %s", name))
		}
	}
	return problems
}

// skipped returns why a command is not run.
func (s stage) skipped(command string) (reason string, ok bool) {
	if reason, ok := s.notRun[command]; ok {
		return reason, true
	}
	reason, ok = s.long[command]
	return reason, ok && testing.Short()
}

// A list that nobody holds to is none.
func TestStage(t *testing.T) {
	t.Parallel()
	s, err := parseStage(txtar.Parse([]byte("server: none\nfirst\n" +
		"-- not run --\ngone\nhere\n\tit takes hours\n-- long --\nalso gone\n\tit takes minutes\n" +
		"-- before here --\none\n-- after no more --\ntwo\n-- finally --\nthree\n-- events.csv --\nid\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"listed as not run, and no longer in the page: gone",
		"listed as not run, and no longer in the page: also gone",
		"a script for what is no longer in the page: after no more",
	}
	if diff := cmp.Diff(want, s.unused([]step{{command: "here"}})); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
	if reason, ok := s.skipped("here"); !ok || reason != "it takes hours" {
		t.Errorf("skipped: %q, %v", reason, ok)
	}
	if len(s.files) != 1 || s.files[0].Name != "events.csv" {
		t.Errorf("files: %v", s.files)
	}
	if _, err := parseStage(txtar.Parse([]byte("server: none\n-- not run --\nfirst\n"))); err == nil {
		t.Error("a command that is not run without a reason is no error")
	}
	if _, err := parseStage(txtar.Parse([]byte("first\n"))); err == nil {
		t.Error("a page without a server is no error")
	}
}
