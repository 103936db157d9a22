package cli_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shardload/internal/cli"
)

var (
	flagPattern = regexp.MustCompile(`--[a-z][a-z-]*`)
	spanPattern = regexp.MustCompile("`[^`\n]+`")
)

// Whatever flag a page speaks of, some verb has.
func TestDocsNameFlags(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, flag := range flagPattern.FindAllString(allHelp(t), -1) {
		known[flag] = true
	}
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md", "../../ARCHITECTURE.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range spanPattern.FindAllString(string(text), -1) {
			for _, flag := range flagPattern.FindAllString(span, -1) {
				seen++
				if !known[flag] {
					t.Errorf("%s: %s: no verb has %s", filepath.Base(file), span, flag)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d flags are named: are they looked for as they are written?", seen)
	}
}

// allHelp returns the help of a verb and of those below it, one after the other.
func allHelp(t *testing.T, verb ...string) string {
	t.Helper()
	text := helpOf(t, verb)
	all := text
	for _, sub := range subcommands(text) {
		all += allHelp(t, append(verb[:len(verb):len(verb)], sub)...)
	}
	return all
}

// helpOf returns what a verb prints with --help.
func helpOf(t *testing.T, verb []string) string {
	t.Helper()
	var help bytes.Buffer
	env := cli.Env{
		Args: append(verb[:len(verb):len(verb)], "--help"), Stdin: strings.NewReader(""),
		Stdout: &help, Stderr: io.Discard, Getenv: func(string) string { return "" },
	}
	if code := cli.Main(t.Context(), env); code != 0 {
		t.Fatalf("%v: exit status %d", env.Args, code)
	}
	return help.String()
}

// subcommands returns the verbs that a help lists, but for the completion, whose own
// pages are cobra's.
func subcommands(help string) []string {
	var list []string
	for _, line := range section(help, "Available Commands:") {
		if name := strings.Fields(line)[0]; name != "completion" {
			list = append(list, name)
		}
	}
	return list
}
