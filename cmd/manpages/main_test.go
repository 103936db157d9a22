package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
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
		"man/shardload-verify.1":     `\fB--table\fP`,
		"man/shardload-load.1":       `in/**/*\&.csv`,
		"man/shardload-status.1":     "\n  rows/s   stored since",
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

// TestPackages holds that what the configuration of releases names is there, in the repository
// or among what is written here.
func TestPackages(t *testing.T) {
	dir := t.TempDir()
	if err := run([]string{dir}, ""); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Before struct{ Hooks []string }
		Nfpms  []struct{ Contents []struct{ Src string } }
		// A file of an archive is its name, or a mapping with src.
		Archives []struct{ Files []any }
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range config.Archives {
		for _, file := range a.Files {
			if m, ok := file.(map[string]any); ok {
				file = m["src"]
			}
			names = append(names, file.(string))
		}
	}
	for _, p := range config.Nfpms {
		for _, c := range p.Contents {
			names = append(names, c.Src)
		}
	}
	const made = "bin/dist"
	if !slices.ContainsFunc(config.Before.Hooks, func(hook string) bool { return strings.HasSuffix(hook, "./cmd/manpages "+made) }) || len(names) < 12 {
		t.Errorf("%d files, after %q", len(names), config.Before.Hooks)
	}
	for _, name := range names {
		pattern := filepath.Join("../..", name)
		if rest, ok := strings.CutPrefix(name, made); ok {
			pattern = filepath.Join(dir, rest)
		}
		if found, err := filepath.Glob(pattern); err != nil || len(found) == 0 {
			t.Errorf("%s is not there (%v)", name, err)
		}
	}
}
