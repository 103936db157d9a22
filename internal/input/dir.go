package input

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"shardload/internal/fault"
)

// TableFiles are the files of one table, in the order of their numbers.
type TableFiles struct {
	Table string
	Files []string
}

// Dir finds the files of tables in dir: TABLE.csv or TABLE.N.csv, or .jsonl or .parquet, with .gz,
// .zst, .bz2 or .xz behind it or not. It returns the tables that have files, in the order of
// tables; it is an error if none has.
func Dir(dir string, tables []string) ([]TableFiles, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []TableFiles
	for _, table := range tables {
		files, err := tableFiles(dir, table, entries)
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			found = append(found, TableFiles{Table: table, Files: files})
		}
	}
	if len(found) == 0 {
		return nil, fault.Advise(fmt.Errorf("%s: holds none of the files %s.csv, also as TABLE.N.csv, .gz, .zst, .bz2 or .xz",
			dir, strings.Join(tables, ".csv, ")), "for a table of your own name it")
	}
	return found, nil
}

// oneOfThem is what to do about files with the same rows.
const oneOfThem = "remove one or name the files"

// tableFiles returns the files of one table. The same piece in two forms, such as
// ads.csv beside ads.csv.gz, is an error: both would be loaded.
func tableFiles(dir, table string, entries []os.DirEntry) ([]string, error) {
	type piece struct {
		n    int
		name string
	}
	form := regexp.MustCompile(`^` + regexp.QuoteMeta(table) + `(?:\.([0-9]{1,9}))?\.(?:csv|jsonl|parquet)(?:\.gz|\.zst|\.bz2|\.xz)?$`)
	var pieces []piece
	for _, e := range entries {
		m := form.FindStringSubmatch(e.Name())
		if m == nil || e.IsDir() {
			continue
		}
		n := -1
		if m[1] != "" {
			n, _ = strconv.Atoi(m[1]) // at most nine digits
		}
		pieces = append(pieces, piece{n, e.Name()})
	}
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.name, b.name)) })
	files := make([]string, len(pieces))
	for i, p := range pieces {
		if i > 0 && pieces[i-1].n == p.n {
			return nil, fault.Advise(fmt.Errorf("%s: holds %s and %s, which look like the same rows twice",
				dir, pieces[i-1].name, p.name), oneOfThem)
		}
		files[i] = filepath.Join(dir, p.name)
	}
	if len(pieces) > 1 && pieces[0].n == -1 {
		return nil, fault.Advise(fmt.Errorf("%s: holds %s and %s, the whole and a part of it",
			dir, pieces[0].name, pieces[1].name), oneOfThem)
	}
	return files, nil
}
