package lane

import (
	"encoding/binary"
	"io"
	"math"
	"slices"

	"shardload/internal/pgcopy"
)

// A Placed is a row of a section that is being sorted.
type Placed struct {
	key   uint64
	Index uint32 // of the row in the section
}

// An Order is the order in which the rows of a section are sent, if it is not that of
// the input.
type Order struct {
	Rows []Placed
	Ends []int // in the section's data, of its rows in the input's order
}

// row returns where the row lies that is sent as number i.
func (o *Order) row(i int) (offset, length int) {
	index := o.Rows[i].Index
	if index > 0 {
		offset = o.Ends[index-1]
	}
	return offset, o.Ends[index] - offset
}

// A Sorter sorts the rows of sections by the table's primary key, so that they enter
// its index leaf by leaf and not all over it: that saves the server about a
// seventh of its work when input is in mixed order. Rows of equal keys stay in
// the order of the input. It stays with one goroutine.
type Sorter struct {
	order Order
	spare []Placed
}

// Sort returns the order of p's rows by their keys, or nil if they are to be sent
// as they are. The result is good until the next call.
func (s *Sorter) Sort(p *Section) *Order {
	if len(p.keys.pages) == 0 || p.Rows > math.MaxUint32 {
		return nil
	}
	rows, ends := s.order.Rows[:0], s.order.Ends[:0]
	end, last, inOrder := 0, uint64(0), true
	for _, page := range p.keys.pages {
		for ; len(page) >= keySize; page = page[keySize:] {
			key := binary.BigEndian.Uint64(page)
			inOrder = inOrder && last <= key
			last = key
			end += int(binary.BigEndian.Uint64(page[8:]))
			rows = append(rows, Placed{key: key, Index: uint32(len(rows))})
			ends = append(ends, end)
		}
	}
	s.order = Order{Rows: rows, Ends: ends}
	if inOrder {
		return nil
	}
	s.spare = slices.Grow(s.spare[:0], len(rows))[:len(rows)]
	s.order.Rows, s.spare = sortByKey(rows, s.spare)
	return &s.order
}

// sortByKey sorts rows, and leaves those of equal keys as they are, byte after
// byte from the last: batches are small beside the memory, and most bytes are the
// same in all keys. It needs a spare slice of the same length, and returns which of
// the two is sorted and which is spare now.
func sortByKey(rows, spare []Placed) (sorted, other []Placed) {
	varying := uint64(0)
	for i := range rows {
		varying |= rows[i].key ^ rows[0].key
	}
	for shift := 0; shift < 64; shift += 8 {
		if varying>>shift&0xff == 0 {
			continue
		}
		var at [256]int
		for i := range rows {
			at[rows[i].key>>shift&0xff]++
		}
		start := 0
		for digit, n := range at {
			at[digit] = start
			start += n
		}
		for _, row := range rows {
			digit := row.key >> shift & 0xff
			spare[at[digit]] = row
			at[digit]++
		}
		rows, spare = spare, rows
	}
	return rows, spare
}

// A cursor reads pages from the first on. Pages are full but for the last.
type cursor struct {
	pages [][]byte
	at    int
}

// read fills dst and returns how much of it there was.
func (c *cursor) read(dst []byte) (n int) {
	for n < len(dst) && len(c.pages) > 0 {
		k := copy(dst[n:], c.pages[0][c.at:])
		n += k
		if c.at += k; c.at == len(c.pages[0]) {
			c.pages, c.at = c.pages[1:], 0
		}
	}
	return n
}

// A sectionReader reads a section as COPY wants it. It never blocks.
type sectionReader struct {
	whole cursor // what is read as it is
	order *Order
	next  int    // row of order
	rest  []byte // of the sorted row being read, on its page
	left  int    // of that row, on pages behind
	page  int
	data  [][]byte
	tail  cursor // behind the sorted rows
}

var (
	BinaryHeader  = pgcopy.AppendHeader(nil)
	BinaryTrailer = pgcopy.AppendTrailer(nil)
)

// NewReader returns a reader of p, the rows of which come in that order, or as
// they are if order is nil.
func NewReader(p *Section, order *Order) io.Reader {
	switch {
	case p.Notation == NotationRecord:
		return &sectionReader{whole: cursor{pages: p.Data.pages}}
	case order == nil:
		return &sectionReader{whole: cursor{pages: slices.Concat([][]byte{BinaryHeader}, p.Data.pages, [][]byte{BinaryTrailer})}}
	}
	return &sectionReader{whole: cursor{pages: [][]byte{BinaryHeader}}, order: order, data: p.Data.pages, tail: cursor{pages: [][]byte{BinaryTrailer}}}
}

// NewRowsReader returns a reader of some rows of p, in that order.
func NewRowsReader(p *Section, order *Order) io.Reader {
	r := &sectionReader{order: order, data: p.Data.pages}
	if p.Notation == NotationBinary {
		r.whole, r.tail = cursor{pages: [][]byte{BinaryHeader}}, cursor{pages: [][]byte{BinaryTrailer}}
	}
	return r
}

func (r *sectionReader) Read(dst []byte) (n int, err error) {
	n = r.whole.read(dst)
	for n < len(dst) && r.nextPiece() {
		k := copy(dst[n:], r.rest)
		r.rest = r.rest[k:]
		n += k
	}
	if len(r.rest) == 0 && r.left == 0 && r.sent() {
		n += r.tail.read(dst[n:])
	}
	if n == 0 && len(dst) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// sent reports whether all sorted rows have at least begun.
func (r *sectionReader) sent() bool { return r.order == nil || r.next == len(r.order.Rows) }

// nextPiece makes rest the next bytes of the sorted rows, and reports whether
// there are any.
func (r *sectionReader) nextPiece() bool {
	for len(r.rest) == 0 {
		at := 0
		if r.left == 0 {
			if r.sent() {
				return false
			}
			offset, length := r.order.row(r.next)
			r.next++
			size := cap(r.data[0])
			r.page, at, r.left = offset/size, offset%size, length
		} else {
			r.page++
		}
		piece := r.data[r.page][at:]
		piece = piece[:min(len(piece), r.left)]
		r.left -= len(piece)
		r.rest = piece
	}
	return true
}
