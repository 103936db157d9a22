package parquettext

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// A column is the pages of one leaf in one row group, as they are needed. Each is decoded by
// whoever needs it first.
type column struct {
	mu    sync.Mutex
	pages pageReader
	held  []*page // in order; those that all are done with are gone
	rows  int64   // that began in the pages that were read
	ended bool
	err   error // once the column cannot be read on
	skip  int64 // the first row that anybody wants
	total int64 // rows of the row group

	live    *atomic.Int64 // bytes of pages that are held, of the whole file
	max     int64
	dictMem int64 // bytes of the dictionary

	cell *cell // that the leaf is of
}

// cover returns the pages of the rows from first to end, in order. Rows of a column that
// repeats may go on after the page in which they begin.
//
// A dictionary has its values written, in binary or not.
func (c *column) cover(first, end int64, binary bool) (pages []*page, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && !c.covers(end) {
		c.err = c.read()
	}
	if c.err != nil {
		return nil, fmt.Errorf("column %q: %w", c.pages.l.path, c.err)
	}
	c.prepare(binary)
	for _, p := range c.held {
		if low, high := p.span(); low < end && high > first {
			pages = append(pages, p)
		}
	}
	return pages, nil
}

// prepare writes the dictionary's values, in binary or not, unless it has been done.
func (c *column) prepare(binary bool) {
	d := c.pages.dict
	switch {
	case d == nil || c.cell.nested:
	case binary && d.fields == nil:
		d.encode(c.cell.encode)
	case !binary && d.texts == nil:
		d.write(c.cell.writer, c.cell.plain)
	default:
		return
	}
	if d != nil {
		now := int64(len(d.values.data) + d.values.mem() + cap(d.joined) + cap(d.encoded) + 32*(len(d.texts)+len(d.fields)))
		c.live.Add(now - c.dictMem)
		c.dictMem = now
	}
}

// span returns which rows have entries in p, the last of them excluded.
func (p *page) span() (first, end int64) {
	first, end = p.before, p.before+int64(p.starts)
	if len(p.reps) > 0 && p.reps[0] != 0 {
		first-- // it begins in an earlier page
	}
	return first, end
}

// covers reports whether all is read of the rows before end.
func (c *column) covers(end int64) bool {
	if c.ended {
		return true
	}
	if c.pages.l.rep > 0 {
		return c.rows > end
	}
	return c.rows >= end && end < c.total
}

// read reads the next page. After the last one it makes sure that all rows were there.
func (c *column) read() (err error) {
	defer recovered(&err)
	p, err := c.pages.next(c.rows, c.skip)
	switch {
	case errors.Is(err, io.EOF) && c.rows != c.total:
		return fmt.Errorf("has %d rows, and its row group %d", c.rows, c.total)
	case errors.Is(err, io.EOF):
		c.ended = true
		return nil
	case err != nil:
		return err
	}
	if c.rows == 0 && len(p.reps) > 0 && p.reps[0] != 0 {
		return errors.New("its first row has no beginning")
	}
	if c.rows += int64(p.starts); c.rows > c.total {
		return fmt.Errorf("has more than the %d rows of its row group", c.total)
	}
	if p.n == 0 {
		return nil // skipped
	}
	if c.live.Add(int64(p.mem)) > c.max {
		return fmt.Errorf("with its row group, needs more than %d bytes of memory; write the file anew with smaller row groups", c.max)
	}
	c.held = append(c.held, p)
	return nil
}

// release forgets pages that only have rows before low.
func (c *column) release(low int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.held) {
		if _, end := c.held[n].span(); end > low {
			break
		}
		c.live.Add(-int64(c.held[n].mem))
		c.held[n] = nil
		n++
	}
	c.held = c.held[n:]
	if low == c.total {
		c.live.Add(-c.dictMem)
		c.dictMem = 0
	}
}
