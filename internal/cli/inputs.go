package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/checksum"
	"shardload/internal/input"
	"shardload/internal/places"
	"shardload/loader"
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

// A tableInput is what there is to load into, or to compare with, one table.
type tableInput struct {
	input.TableFiles
	format  generate.Format // as the manifest has it
	Rows    int64           // as the manifest has it, -1 without one
	counted bool            // the files were counted: Rows is not the manifest's
	sums    *checksum.Table // of the rows to be stored, as the manifest has them, or nil
	as      loader.Format   // in which it is read, once resolveFormats knows
	mixes   bool            // they are a set, the parts of which may be of different formats

	header http.Header      // for servers of http and https
	parts  []input.Location // of a set that verify reads

	data *generate.Table // what is loaded as it is made, nil for files
	job  string          // by which a later run finds the load of data
}

// inputs says which files belong to which table: a directory's files to the
// dataset's tables, or files that are named to the table that is named.
func inputs(cmd *cobra.Command, table string, args []string) ([]tableInput, error) {
	switch {
	case len(args) == 0 && table == "":
		return nil, usagef(cmd, "nothing to read: name a directory, or --table and files")
	case len(args) == 0:
		return nil, usagef(cmd, "nothing to read for table %s: name its files, or - for standard input", table)
	case table != "":
		files := input.TableFiles{Table: table, Files: args}
		return []tableInput{{TableFiles: files, Rows: -1}}, checkPatterns(cmd, args)
	case len(args) > 1 || args[0] == "-":
		return nil, usagef(cmd, "which table do these rows belong to? say so with --table")
	}
	dir := args[0]
	if places.IsURL(dir) {
		return nil, usagef(cmd, "%s: %s", places.Identity(dir), errURLTable)
	}
	info, err := stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, usagef(cmd, "%s is a file: say with --table which table its rows belong to", dir)
	}
	return directory(dir)
}

// directory finds the files of the dataset's tables in dir, and what the manifest
// says of them.
func directory(dir string) ([]tableInput, error) {
	m, known, err := manifestOf(dir)
	if err != nil {
		return nil, err
	}
	found, err := input.Dir(dir, datasetTables())
	if err != nil {
		return nil, err
	}
	var tables []tableInput
	for _, t := range found {
		rows := int64(-1)
		if known {
			rows = manifestRows(m, t)
		}
		sums, err := manifestSums(m, t)
		if err != nil {
			return nil, fmt.Errorf("the manifest of %s: %w", dir, err)
		}
		tables = append(tables, tableInput{TableFiles: t, Rows: rows, format: m.Format, sums: sums})
	}
	return tables, nil
}

// manifestRows adds up how many rows of the files of t a server stores, as m says,
// -1 if it does not know one.
func manifestRows(m generate.Manifest, t input.TableFiles) int64 {
	var sum int64
	for _, path := range t.Files {
		i := slices.IndexFunc(m.Files, func(f generate.File) bool { return f.Name == filepath.Base(path) })
		if i < 0 {
			return -1
		}
		sum += m.Files[i].Stored()
	}
	return sum
}

// manifestSums adds up what m says of the contents of the files of t, nil if it does
// not know one.
func manifestSums(m generate.Manifest, t input.TableFiles) (sum *checksum.Table, err error) {
	for _, path := range t.Files {
		i := slices.IndexFunc(m.Files, func(f generate.File) bool { return f.Name == filepath.Base(path) })
		if i < 0 || m.Files[i].Checksums == nil {
			return nil, nil
		}
		of, err := sumsOf(m.Files[i].Checksums)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", m.Files[i].Name, err)
		case sum == nil:
			sum = &of
		case !sum.Merge(of):
			return nil, nil
		}
	}
	return sum, nil
}

// sumsOf returns c as it is compared with what a server has.
func sumsOf(c *generate.Checksums) (t checksum.Table, err error) {
	t.Rows = c.Rows
	err = t.RowSum.UnmarshalText([]byte(c.RowSum))
	for _, of := range c.Columns {
		column := checksum.Column{Name: of.Name, Values: of.Values}
		err = errors.Join(err, column.Sum.UnmarshalText([]byte(of.Sum)))
		t.Columns = append(t.Columns, column)
	}
	return t, err
}

// checkFiles finds out about files that cannot be read before anything is done.
func checkFiles(cmd *cobra.Command, files []string) error {
	stdin := 0
	for _, file := range files {
		if file == "-" {
			stdin++
			continue
		}
		if places.IsURL(file) {
			if err := checkURL(cmd, file); err != nil {
				return err
			}
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

// A fileError is an error of a file whose text begins with the path.
type fileError struct{ of *fs.PathError }

func (e *fileError) Error() string { return e.of.Path + ": " + e.of.Err.Error() }
func (e *fileError) Unwrap() error { return e.of }

// stat is os.Stat with an error that begins with the path.
func stat(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, &fileError{failed}
	}
	return info, err
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
