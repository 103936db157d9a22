package notices

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the file anew")

// file is what the program hands on.
const file = "THIRD_PARTY_LICENSES.txt"

// Every module that is linked in is there, at its version, with all that it asks to
// hand on.
func TestUpToDate(t *testing.T) {
	want := collect(t)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if Text != want {
		t.Errorf("%s is out of date: make licenses writes it anew", file)
	}
}

// licenceName is what files are called that a program must hand on.
var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|notice|copying|patents)`)

// collect returns the text of all licences.
func collect(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "shardload contains code of the modules below. These are their licences.\n")
	root := goCommand(t, "linux", "env", "GOROOT")
	add(t, &text, "The Go programming language and its standard library", root)
	modules := map[string]string{}
	for _, system := range []string{"linux", "darwin"} {
		out := goCommand(t, system, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", "shardload/cmd/shardload")
		for line := range strings.Lines(out) {
			if name, dir, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
				modules[name] = dir
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		add(t, &text, name, modules[name])
	}
	return text.String()
}

// add appends what is to be handed on of a module.
func add(t *testing.T, text *strings.Builder, name, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range entries {
		if !licenceName.MatchString(e.Name()) {
			continue
		}
		files := []string{filepath.Join(dir, e.Name())}
		if e.IsDir() {
			files, err = filepath.Glob(filepath.Join(dir, e.Name(), "*"))
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range files {
			licence, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rule := strings.Repeat("=", 80)
			fmt.Fprintf(text, "\n%s\n%s\n%s\n%s\n\n%s\n", rule, name, cmp.Or(strings.TrimPrefix(path, dir+"/"), path), rule, strings.TrimSpace(string(licence)))
			found++
		}
	}
	if found == 0 {
		t.Errorf("%s: no licence was found", name)
	}
}

// goCommand runs go for a system, and returns what it prints.
func goCommand(t *testing.T, system string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
