package generate

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Output says how Write writes. The zero value is all tables in a file each, as CSV
// with a header and with checksums. Files of JSON are called TABLE.jsonl, those of
// Parquet TABLE.parquet, the others TABLE.csv.
type Output struct {
	Format Format

	// NoHeader leaves out the line of column names that begins every CSV file. The
	// others have none.
	NoHeader bool

	// Compression is how files are packed. Those of Parquet are packed inside, by Snappy if
	// nothing else is asked for, which no other format has.
	Compression Compression

	// NoChecksums leaves the checksums of columns and SHA-256 out of the manifest,
	// which cost more than the rows do. The CRC-32C of a file is always there.
	NoChecksums bool

	// Tables are the tables to write, all if it is empty.
	Tables []string

	// Part of Parts, counted from 1, is the piece of each table to write: see
	// Table.Part. Both are 0 for the whole.
	Part, Parts int

	// Split is about how many bytes, unpacked, a file may have. 0 means any number.
	Split int64

	// Progress, unless nil, counts what is written.
	Progress *Progress
}

func (o Output) header() bool { return o.Format == CSV && !o.NoHeader }

// suffix returns how names of files end.
func (o Output) suffix() string {
	if o.Format == Parquet {
		return o.Format.extension()
	}
	return o.Format.extension() + o.Compression.suffix()
}

// withDefaults returns o with what the format packs by.
func (o Output) withDefaults() Output {
	if o.Format == Parquet && o.Compression == Uncompressed {
		o.Compression = Snappy
	}
	return o
}

func (o Output) validate() error {
	var errs []error
	if o.Parts != 0 && (o.Part < 1 || o.Part > o.Parts) || o.Parts == 0 && o.Part != 0 {
		errs = append(errs, fmt.Errorf("part %d of %d: want one of 1 to the number of parts", o.Part, o.Parts))
	}
	if o.Split < 0 {
		errs = append(errs, fmt.Errorf("split: %d: want a number of bytes, or 0 for files of any size", o.Split))
	}
	return errors.Join(append(errs, o.Compression.validate(o.Format))...)
}

// Progress counts what Write has done so far, for a display to poll.
type Progress struct {
	Rows  atomic.Int64 // written
	Bytes atomic.Int64 // written, as they are stored
	Kept  atomic.Int64 // rows in files that were there
	Total atomic.Int64 // rows, written and kept, when it is done; 0 before it begins
}

// kindsOf returns the tables that out asks for, parents first.
func (d *Dataset) kindsOf(out Output) ([]kind, error) {
	for _, name := range out.Tables {
		if _, err := d.Table(name); err != nil {
			return nil, err
		}
	}
	var list []kind
	for k := range kinds {
		if len(out.Tables) == 0 || slices.Contains(out.Tables, k.String()) {
			list = append(list, k)
		}
	}
	return list, nil
}

// A division is how a table is divided into files: each has the same number of
// blocks, but for the last one of a part. Files are numbered through all parts, so
// that every part knows the names of its own.
type division struct {
	part   *Table
	blocks int64  // of a file
	before int64  // files of the parts before
	files  int64  // of this part
	all    int64  // of all parts
	suffix string // of names, from the format's extension on
}

func (d *Dataset) divide(k kind, out Output) (division, error) {
	whole := d.table(k)
	v := division{part: whole, blocks: max(whole.Len(), 1), suffix: out.suffix()}
	if out.Split > 0 {
		v.blocks = whole.blocksOf(out.Split, out.Format)
	}
	n := int64(max(out.Parts, 1))
	short, long := v.filesOf(whole.Len()/n), v.filesOf(whole.Len()/n+1)
	before := func(parts int64) int64 {
		longer := min(parts, whole.Len()%n)
		return longer*long + (parts-longer)*short
	}
	v.all = before(n)
	if v.all > maxFiles {
		return v, fmt.Errorf("%s: %d files: ask for fewer and larger ones, at most %d", k, v.all, maxFiles)
	}
	v.files = v.all
	if out.Parts > 0 {
		v.part = whole.Part(out.Part, out.Parts)
		v.before = before(int64(out.Part - 1))
		v.files = before(int64(out.Part)) - v.before
	} else if v.all == 0 { // a file for an empty table, if there is no other piece of it
		v.all, v.files = 1, 1
	}
	return v, nil
}

// maxFiles is how many files of a table load looks for.
const maxFiles = 999_999_999

func (v division) filesOf(blocks int64) int64 { return (blocks + v.blocks - 1) / v.blocks }

// file returns the i-th file of the part, from 0: its name and its rows.
func (v division) file(i int64) (string, *Table) {
	t := *v.part
	t.lo += i * v.blocks
	t.hi = min(t.lo+v.blocks, t.hi)
	return v.name(v.before + i), &t
}

// name returns the name of file i of all, from 0: ads.csv, or ads.07.csv of many.
func (v division) name(i int64) string {
	number := ""
	if v.all > 1 {
		number = fmt.Sprintf(".%0*d", len(strconv.FormatInt(v.all, 10)), i+1)
	}
	return v.part.Name() + number + v.suffix
}

// index returns which file of all has that name, from 0, or -1 if none has.
func (v division) index(name string) int64 {
	rest, _ := strings.CutPrefix(name, v.part.Name()+".")
	number, _, _ := strings.Cut(rest, ".")
	i, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		i = 1 // the only one has no number
	}
	if i < 1 || i > v.all || name != v.name(i-1) {
		return -1
	}
	return i - 1
}

// has reports whether a file of that name is one of the part.
func (v division) has(name string) bool {
	i := v.index(name)
	return i >= v.before && i < v.before+v.files
}

// stranger returns the name of a file among entries that load would take for a part
// of the table, but that is none, or "".
func (v division) stranger(entries []os.DirEntry) string {
	form := regexp.MustCompile(`^` + v.part.Name() + `(?:\.[0-9]{1,9})?\.(?:csv|jsonl|parquet)(?:\.gz|\.zst)?$`)
	for _, e := range entries {
		if form.MatchString(e.Name()) && v.index(e.Name()) < 0 {
			return e.Name()
		}
	}
	return ""
}
