package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/input"
	"shardload/schema"
)

// datasetTables returns the names of the dataset's tables, parents first.
func datasetTables() []string {
	var list []string
	for _, t := range schema.Tables() {
		list = append(list, t.Name)
	}
	return list
}

// inputs says which files belong to which table: a directory's files to the
// dataset's tables, or files that are named to the table that is named.
func inputs(cmd *cobra.Command, table string, args []string) ([]input.TableFiles, error) {
	for _, arg := range args {
		if strings.HasPrefix(arg, "postgres://") || strings.HasPrefix(arg, "postgresql://") {
			return nil, usagef(cmd, "a server is named with --dsn")
		}
	}
	switch {
	case len(args) == 0 && table == "":
		return nil, usagef(cmd, "nothing to read: name a directory, or --table and files")
	case len(args) == 0:
		return nil, usagef(cmd, "nothing to read for table %s: name its files, or - for standard input", table)
	case table != "":
		return []input.TableFiles{{Table: table, Files: args}}, checkFiles(cmd, args)
	case len(args) > 1 || args[0] == "-":
		return nil, usagef(cmd, "which table do these rows belong to? say so with --table")
	}
	dir := args[0]
	info, err := stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, usagef(cmd, "%s is a file: say with --table which table its rows belong to", dir)
	}
	if err := checkFormat(dir); err != nil {
		return nil, err
	}
	return input.Dir(dir, datasetTables())
}

// checkFiles finds out about files that cannot be read before anything is done.
func checkFiles(cmd *cobra.Command, files []string) error {
	stdin := 0
	for _, file := range files {
		if file == "-" {
			stdin++
			continue
		}
		info, err := stat(file)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return usagef(cmd, "%s is a directory: leave --table out to load the dataset's files in it, or name files", file)
		}
	}
	if stdin > 1 {
		return usagef(cmd, "standard input (-) can be read once only")
	}
	return nil
}

// stat is os.Stat with an error that begins with the path.
func stat(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("%s: %w", path, failed.Err)
	}
	return info, err
}

// checkFormat refuses a generated directory whose files are no CSV.
func checkFormat(dir string) error {
	m, ok, err := manifestOf(dir)
	if err != nil {
		return err
	}
	if ok && m.Format != generate.CSV {
		return fmt.Errorf("%s: its files are in PostgreSQL's text format, not CSV: "+
			"generate them with --format csv, or load them with psql's \\copy", dir)
	}
	return nil
}

// manifestOf reads the manifest of a generated directory. ok is false if dir has
// none.
func manifestOf(dir string) (m generate.Manifest, ok bool, err error) {
	m, err = generate.ReadManifest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	return m, err == nil, err
}

// storedSize returns the sum of the files' sizes, 0 if one is not known.
func storedSize(files []string) int64 {
	var sum int64
	for _, file := range files {
		info, err := os.Stat(filepath.Clean(file))
		if file == "-" || err != nil || !info.Mode().IsRegular() {
			return 0
		}
		sum += info.Size()
	}
	return sum
}
