package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun holds that each verb has a page, and each shell a file, and that they are the same
// whenever they are made of the same.
func TestRun(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if err := run([]string{dir}, "1700000000"); err != nil {
			t.Fatal(err)
		}
	}
	for name, part := range map[string]string{
		"man/shardload.1":            "Nov 2023",
		"man/shardload-load.1":       `\fB--table\fP`,
		"man/shardload-cluster.1":    "shardload-cluster-start(1)",
		"completions/shardload.bash": "__start_shardload",
		"completions/_shardload":     "#compdef shardload",
		"completions/shardload.fish": "complete -c shardload",
	} {
		text, err := os.ReadFile(filepath.Join(one, name))
		again, errAgain := os.ReadFile(filepath.Join(two, name))
		if err != nil || errAgain != nil || !strings.Contains(string(text), part) {
			t.Errorf("%s: %v, want %q in it", name, err, part)
		}
		if string(text) != string(again) {
			t.Errorf("%s is another one each time", name)
		}
	}
	if run(nil, "") == nil || run([]string{one}, "x") == nil {
		t.Error("wrong usage is no error")
	}
}
