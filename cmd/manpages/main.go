// Command manpages writes a manual page of each verb of shardload into a directory, and
// beside them what shells complete: manpages DIR. SOURCE_DATE_EPOCH is their date, in seconds.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

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
	return errors.Join(writePages(root, filepath.Join(args[0], "man"), date), writeCompletions(root, filepath.Join(args[0], "completions")))
}

func writePages(root *cobra.Command, dir string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{Title: "SHARDLOAD", Section: "1", Date: &date, Source: "shardload", Manual: "shardload"}, dir)
}

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
