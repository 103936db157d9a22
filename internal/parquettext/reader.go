package parquettext

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
)

// A Reader writes the rows of a file as records of some of its columns. Several goroutines
// may use it at once.
type Reader struct {
	f     *File
	cells []cell
	// binary says that all cells have encoders.
	binary bool

	mu     sync.Mutex
	groups map[int]*groupReader // those of which some chunks are not done
	start  int64                // the first chunk that is wanted
	live   atomic.Int64         // bytes of pages that are held
	spare  sync.Pool            // of *rowWriter
}

// NewReader returns a reader of records with these fields. It returns an error for a column
// that the file does not have, or that has no text.
func (f *File) NewReader(fields []Field) (*Reader, error) {
	r := &Reader{f: f, groups: map[int]*groupReader{}}
	for _, field := range fields {
		c, err := f.cellOf(field)
		if err != nil {
			return nil, err
		}
		r.cells = append(r.cells, c)
	}
	return r, nil
}

// Start says that chunks before that one are not asked for.
func (r *Reader) Start(chunk int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start = chunk
	clear(r.groups)
}

// RowsOf returns the number of the first row of a chunk, from 0, and how many rows it has.
func (f *File) RowsOf(chunk int64) (first, n int64) {
	g := &f.groups[f.groupOf(chunk)]
	from, to := g.rowsOf(chunk)
	return g.firstRow + from, to - from
}

// groupOf returns the index of the row group of a chunk.
func (f *File) groupOf(chunk int64) int {
	return sort.Search(len(f.groups), func(i int) bool { return f.groups[i].firstChunk > chunk }) - 1
}

// rowsOf returns which rows of the group a chunk has, the last of them excluded.
func (g *group) rowsOf(chunk int64) (from, to int64) {
	from = (chunk - g.firstChunk) * g.chunkRows
	return from, min(from+g.chunkRows, g.meta.NumRows)
}

func (g *group) chunks() int64 { return (g.meta.NumRows + g.chunkRows - 1) / g.chunkRows }

// A groupReader has the columns of a row group, for all who read it.
type groupReader struct {
	columns []*column // of the cells' leaves, in order
	mu      sync.Mutex
	done    []bool // by chunk
	low     int64  // chunks that are done without a gap
	own     bool   // it is of one chunk
}

// group returns the reader of a chunk's row group. It is the chunk's own if what was read
// for others is gone.
func (r *Reader) group(chunk int64) (g *groupReader, index int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	index = r.f.groupOf(chunk)
	in := &r.f.groups[index]
	if g = r.groups[index]; g == nil {
		first := max(0, min(r.start, chunk)-in.firstChunk)
		if g, err = r.newGroup(in, first); err != nil {
			return nil, 0, err
		}
		r.groups[index] = g
	}
	g.mu.Lock()
	gone := chunk-in.firstChunk < g.low || g.done[chunk-in.firstChunk]
	g.mu.Unlock()
	if gone {
		if g, err = r.newGroup(in, chunk-in.firstChunk); err == nil {
			g.own = true
		}
	}
	return g, index, err
}

// newGroup returns a reader of the group's rows from its chunk first on.
func (r *Reader) newGroup(in *group, first int64) (*groupReader, error) {
	g := &groupReader{done: make([]bool, in.chunks()), low: first}
	for i := range r.cells {
		c := &r.cells[i]
		for _, l := range c.node.leaves[:c.leaves] {
			pages, err := newPageReader(r.f.r, l, &in.meta.Columns[l.index].MetaData, r.f.opt.MaxPage, r.f.dataEnd)
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", l.path, err)
			}
			col := &column{pages: *pages, skip: first * in.chunkRows, total: in.meta.NumRows, live: &r.live, max: r.f.opt.Memory, cell: c}
			g.columns = append(g.columns, col)
		}
	}
	return g, nil
}

// finish says that the rows of a chunk were read.
func (r *Reader) finish(g *groupReader, index int, chunk int64) {
	in := &r.f.groups[index]
	g.mu.Lock()
	g.done[chunk-in.firstChunk] = true
	for g.low < int64(len(g.done)) && g.done[g.low] {
		g.low++
	}
	if g.own {
		g.low = int64(len(g.done))
	}
	low := g.low
	g.mu.Unlock()
	for _, c := range g.columns {
		c.release(min(low*in.chunkRows, in.meta.NumRows))
	}
	if low == int64(len(g.done)) {
		r.mu.Lock()
		if r.groups[index] == g {
			delete(r.groups, index)
		}
		r.mu.Unlock()
	}
}

// A Fault is what is wrong with one row. What is written of it is no record that anybody takes:
// its bytes, where they are no text, or an empty line.
type Fault struct {
	Row    int    // in the chunk
	Column string // of the file
	Err    error
}

// A rowWriter is what writing the rows of a chunk needs.
type rowWriter struct {
	cursors []cursor
	scratch []byte
}

// AppendChunk appends the records of a chunk to dst, each with a newline at its end, and
// says which of them are at fault. An error is of the file: it cannot be read on.
func (r *Reader) AppendChunk(dst []byte, chunk int64) (out []byte, faults []Fault, err error) {
	defer recovered(&err)
	w, g, index, err := r.open(chunk, false)
	if err != nil {
		return dst, nil, err
	}
	defer r.spare.Put(w)
	from, to := r.f.groups[index].rowsOf(chunk)
	dst, faults, err = r.appendRows(dst, w, int(to-from))
	clear(w.cursors) // the pages are others' to hold
	r.finish(g, index, chunk)
	return dst, faults, err
}

// open returns what writes the rows of a chunk, its cursors on the first of them.
func (r *Reader) open(chunk int64, binary bool) (w *rowWriter, g *groupReader, index int, err error) {
	if g, index, err = r.group(chunk); err != nil {
		return nil, nil, 0, err
	}
	from, to := r.f.groups[index].rowsOf(chunk)
	if w, _ = r.spare.Get().(*rowWriter); w == nil {
		w = &rowWriter{}
	}
	w.cursors = w.cursors[:0]
	for _, col := range g.columns {
		pages, err := col.cover(from, to, binary)
		if err != nil {
			return nil, nil, 0, err
		}
		c := cursor{leaf: col.pages.l}
		c.seek(pages, from)
		w.cursors = append(w.cursors, c)
	}
	return w, g, index, nil
}

// maxText is how long the text of a chunk may be, in bytes.
const maxText = 1 << 30

func (r *Reader) appendRows(dst []byte, w *rowWriter, n int) (out []byte, faults []Fault, err error) {
	for row := range n {
		start := len(dst)
		at := w.cursors
		var fault *Fault
		for i := range r.cells {
			c := &r.cells[i]
			if i > 0 {
				dst = append(dst, '\t')
			}
			var bad error
			if dst, bad, err = c.append(dst, at[:c.leaves], &w.scratch); err != nil {
				return dst, faults, err
			}
			if bad != nil && fault == nil {
				fault = &Fault{Row: row, Column: c.name, Err: bad}
			}
			at = at[c.leaves:]
		}
		if fault != nil {
			faults = append(faults, *fault)
			if !isUnreadable(fault.Err) {
				dst = dst[:start]
			}
		}
		if dst = append(dst, '\n'); len(dst) > maxText {
			return dst, faults, fmt.Errorf("%d of its rows are more than %d bytes of text; write the file anew with smaller row groups", row+1, maxText)
		}
	}
	return dst, faults, nil
}
