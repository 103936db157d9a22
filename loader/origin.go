package loader

import "encoding/binary"

// An origin is where a record stands in the input.
type origin struct {
	line   int64 // on which it starts
	offset int64 // in bytes, decompressed
	size   int   // without its line break
}

// A rowRef is a row of a part and the record that it was.
type rowRef struct {
	origin
	start, length int // in the part's data
}

// originNumbers is how many numbers follow that of the lines where origins are
// kept: the distance in bytes from the record before, the record's size, and the
// row's length.
const originNumbers = 3

// otherNumbers returns how many numbers follow that of the lines.
func (p *part) otherNumbers() int {
	if p.origins {
		return originNumbers
	}
	return 0
}

// lineRoom is the room that a row needs in lines.
func (l *lanes) lineRoom() int {
	if l.origins {
		return (1 + originNumbers) * binary.MaxVarintLen64
	}
	return binary.MaxVarintLen64
}

// note keeps the origin of the row that was appended last, the length of which is
// sent.
func (p *part) note(at origin, sent int) {
	p.lines.appendUvarint(uint64(at.offset - p.lastOffset))
	p.lines.appendUvarint(uint64(at.size))
	p.lines.appendUvarint(uint64(sent))
	p.lastOffset = at.offset
}

// refs returns the rows of p, which keeps origins, in the order of the input.
func (p *part) refs() []rowRef {
	refs := make([]rowRef, 0, p.rows)
	numbers := p.lines.bytes()
	next := func() int64 {
		v, n := binary.Uvarint(numbers)
		numbers = numbers[n:]
		return int64(v)
	}
	var last rowRef
	for range p.rows {
		var r rowRef
		r.line = last.line + next()
		r.offset = last.offset + next()
		r.size = int(next())
		r.start, r.length = last.start+last.length, int(next())
		refs = append(refs, r)
		last = r
	}
	return refs
}

// appendRow appends the bytes of a row of p.
func (p *part) appendRow(dst []byte, r rowRef) []byte {
	size := cap(p.data.pages[0])
	for at, left := r.start, r.length; left > 0; {
		piece := p.data.pages[at/size][at%size:]
		piece = piece[:min(len(piece), left)]
		dst = append(dst, piece...)
		at += len(piece)
		left -= len(piece)
	}
	return dst
}
