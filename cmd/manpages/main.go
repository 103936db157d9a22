// Command manpages writes a manual page of each verb of shardload into a directory, and
// beside them what shells complete: manpages DIR. SOURCE_DATE_EPOCH is their date, in seconds.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"shardload/internal/cli"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func run(args []string, epoch string) error {
	if len(args) != 1 {
		return errors.New("usage: manpages DIR")
	}
	date := time.Unix(0, 0).UTC()
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		date = time.Unix(seconds, 0).UTC()
	}
	root := cli.Root()
	completions := writeCompletions(root, filepath.Join(args[0], "completions")) // before texts are made Markdown
	return errors.Join(completions, writePages(root, filepath.Join(args[0], "man"), date))
}

func writePages(root *cobra.Command, dir string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	asMarkdown(root, map[*pflag.Flag]bool{})
	return doc.GenManTree(root, &doc.GenManHeader{Title: "SHARDLOAD", Section: "1", Date: &date, Source: "shardload", Manual: "shardload"}, dir)
}

// asMarkdown makes Markdown, which pages are made of, of the plain text of cmd and the commands below
// it. done are the flags of which that was made already: those of all commands are in each.
func asMarkdown(cmd *cobra.Command, done map[*pflag.Flag]bool) {
	cmd.Short, cmd.Long = markdown(cmd.Short), markdown(cmd.Long)
	for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
		flags.VisitAll(func(flag *pflag.Flag) {
			if !done[flag] {
				flag.Usage = markdown(flag.Usage)
			}
			done[flag] = true
		})
	}
	for _, sub := range cmd.Commands() {
		asMarkdown(sub, done)
	}
}

// markdown returns plain text as Markdown. Paragraphs that are indented are tables, and stay as they
// are, line by line.
func markdown(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		switch {
		case strings.HasPrefix(p, "\t"): // what completions have
		case strings.HasPrefix(p, " "):
			paragraphs[i] = "    " + strings.ReplaceAll(p, "\n", "\n    ")
		default:
			paragraphs[i] = marks.Replace(p)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// marks escapes what means something in Markdown, within a line.
var marks = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, `<`, `\<`, `[`, `\[`)

// writeCompletions writes a file for each shell, called as its packages call theirs.
func writeCompletions(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(dir, "shardload.bash"), true),
		root.GenZshCompletionFile(filepath.Join(dir, "_shardload")),
		root.GenFishCompletionFile(filepath.Join(dir, "shardload.fish"), true),
	)
}
