// Package parquettext reads Parquet files as records of COPY's text format, in its default
// dialect: tabs between fields, \N for NULL.
//
// A value becomes the text that PostgreSQL writes for the same value, so that what is stored
// is what COPY would store of that text. Nothing is decided here that the server decides:
// nanoseconds are written with nine digits, numbers as wide as they are.
//
// A file is cut into chunks of rows, which depend on the file alone. Chunks may be read in
// any order and by several goroutines at once; in the order of the file each page is
// decoded once. What is held in memory is bounded: see [Options].
//
// A file may be damaged or made to do harm. No number in it is believed before it was
// compared with what is there, and where an error is returned it says what is wrong.
package parquettext

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/fault"
)

// Options bound the memory that reading takes.
type Options struct {
	// MaxPage is how long a page may be in memory, in bytes. Zero means 256 MiB.
	MaxPage int
	// Memory is how long all pages that are held at once may be together, in bytes. Zero
	// means 1 GiB.
	Memory int64
	// Chunk is about how long the text of a chunk should be, in bytes. Zero means 512 KiB.
	// It must be the same for chunks to be the same.
	Chunk int
}

func (o Options) withDefaults() Options {
	if o.MaxPage == 0 {
		o.MaxPage = 256 << 20
	}
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Chunk == 0 {
		o.Chunk = 512 << 10
	}
	return o
}

// A File is an opened Parquet file. Its methods may be called from any goroutine.
type File struct {
	r       io.ReaderAt
	opt     Options
	columns []*node
	leaves  []*leaf
	groups  []group
	dataEnd int64 // where the footer begins
	rows    int64
	chunks  int64
}

// A group is a row group.
type group struct {
	meta       *format.RowGroup
	firstChunk int64
	firstRow   int64
	chunkRows  int64 // rows of each of its chunks but the last
}

// Open reads the footer of a file of that size, in bytes, and finds out whether it can be
// read at all. An error says what is wrong with the file, and not which it is.
func Open(r io.ReaderAt, size int64, opt Options) (f *File, err error) {
	defer recovered(&err)
	f = &File{r: r, opt: opt.withDefaults()}
	meta, dataEnd, err := readFooter(r, size)
	if err != nil {
		return nil, err
	}
	f.dataEnd = dataEnd
	if f.columns, f.leaves, err = readSchema(meta.Schema); err != nil {
		return nil, err
	}
	if len(f.columns) == 0 {
		return nil, errors.New("has no columns")
	}
	if err := uniqueNames(f.columns); err != nil {
		return nil, err
	}
	if err := f.addGroups(meta); err != nil {
		return nil, err
	}
	return f, nil
}

// recovered makes an error of a panic: whatever a file does to a library, it is the file
// that cannot be read.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("cannot be read as a Parquet file: %v", r)
	}
}

// addGroups compares what is said of row groups with the schema and the file.
func (f *File) addGroups(meta *format.FileMetaData) error {
	for i := range meta.RowGroups {
		g := group{meta: &meta.RowGroups[i], firstChunk: f.chunks, firstRow: f.rows}
		if err := f.checkGroup(g.meta); err != nil {
			return fmt.Errorf("row group %d: %w", i+1, err)
		}
		if g.meta.NumRows == 0 {
			continue
		}
		var err error
		if g.chunkRows, err = f.chunkRows(g.meta); err != nil {
			return fmt.Errorf("row group %d: %w", i+1, err)
		}
		f.rows += g.meta.NumRows
		f.chunks += (g.meta.NumRows + g.chunkRows - 1) / g.chunkRows
		f.groups = append(f.groups, g)
	}
	if f.rows != meta.NumRows && meta.NumRows != 0 { // some writers leave it out
		return fmt.Errorf("its row groups have %d rows, and the file is said to have %d", f.rows, meta.NumRows)
	}
	return nil
}

func (f *File) checkGroup(g *format.RowGroup) error {
	if len(g.Columns) != len(f.leaves) {
		return fmt.Errorf("has %d columns, and the schema %d", len(g.Columns), len(f.leaves))
	}
	if g.NumRows < 0 || g.NumRows > maxRows {
		return fmt.Errorf("is said to have %d rows", g.NumRows)
	}
	for i := range g.Columns {
		if err := f.checkChunk(f.leaves[i], &g.Columns[i], g.NumRows); err != nil {
			return fmt.Errorf("column %q: %w", f.leaves[i].path, err)
		}
	}
	return nil
}

// maxRows is more rows than any file has.
const maxRows = 1 << 50

func (f *File) checkChunk(l *leaf, c *format.ColumnChunk, rows int64) error {
	m := &c.MetaData
	start := startOf(m)
	switch {
	case c.CryptoMetadata.Value != nil || len(c.EncryptedColumnMetadata) > 0:
		return errEncrypted
	case c.FilePath != "":
		return fault.Advise(fmt.Errorf("is in another file, %q", c.FilePath), "write the table as files of their own")
	case m.Type != l.kind:
		return fmt.Errorf("is stored as %s, and the schema says %s", m.Type, l.kind)
	case m.NumValues < 0 || l.rep == 0 && m.NumValues != rows || l.rep > 0 && m.NumValues < rows:
		return fmt.Errorf("has %d values for %d rows", m.NumValues, rows)
	case rows > 0 && (m.TotalCompressedSize < 0 || start < int64(len(Magic)) || start > f.dataEnd || m.TotalCompressedSize > f.dataEnd-start):
		return fmt.Errorf("is said to be at byte %d, %d bytes long, where the file has no data", start, m.TotalCompressedSize)
	}
	return nil
}

// A Column is a column of a file.
type Column struct {
	Name string
	Type string // in the words of the format
	// New is how values are best written for a column that is made for them: AsJSON what is
	// nested, AsZoned moments in UTC, else AsAny.
	New As
}

// Columns returns the file's columns, in their order. Their names differ.
func (f *File) Columns() []Column {
	columns := make([]Column, len(f.columns))
	for i, n := range f.columns {
		columns[i] = Column{Name: n.name, Type: n.kindName(), New: AsAny}
		switch {
		case n.leaf == nil || n.repeated:
			columns[i].New = AsJSON
		case n.leaf.values.adjusted && n.leaf.values.unit != 0:
			columns[i].New = AsZoned
		}
	}
	return columns
}

// DataEnd returns where the footer begins, in bytes.
func (f *File) DataEnd() int64 { return f.dataEnd }

// Rows returns how many rows the file has.
func (f *File) Rows() int64 { return f.rows }

// Chunks returns into how many chunks the rows are cut.
func (f *File) Chunks() int64 { return f.chunks }
