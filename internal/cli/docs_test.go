package cli_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocs runs the commands of README, of each page in docs, of CONTRIBUTING, and the
// examples of each verb's --help, as they are written, and compares what they print with
// what the page shows. testdata/docs has for each page what must be there beforehand, and
// which commands are not run, and why: see stage.
func TestDocs(t *testing.T) {
	t.Parallel()
	pages := readPages(t)
	stages := readStages(t)
	if diff := cmp.Diff(namesWithSteps(pages), slices.Sorted(maps.Keys(stages))); diff != "" {
		t.Fatalf("pages with commands, and files of testdata/docs (-pages +files):\n%s", diff)
	}
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, problem := range stage.unused(pages[name]) {
				t.Error(problem)
			}
			newPlay(t, stage).run(t, pages[name])
		})
	}
}

// readPages returns the steps of all pages, by the page's name without its ending.
func readPages(t *testing.T) map[string][]step {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string][]step{"help": helpSteps(t)}
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "../../"), ".md")
		steps, err := readSteps(name+".md", string(text))
		if err != nil {
			t.Error(err)
		}
		pages[strings.ReplaceAll(name, "/", "-")] = steps
	}
	return pages
}

func namesWithSteps(pages map[string][]step) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if len(pages[name]) > 0 {
			names = append(names, name)
		}
	}
	return names
}
