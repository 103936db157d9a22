package lane

import "encoding/binary"

// An Origin is where a record stands in the input.
type Origin struct {
	Source string // the part of a set that has it, "" for the load's input
	Line   int64  // on which it starts
	Offset int64  // in bytes, decompressed
	Size   int    // without its line break
	// Record are its bytes, where rows keep theirs: those of an input that cannot be read
	// again, and which is not sent as it is.
	Record []byte
}

// Spot returns where the record starts.
func (o Origin) Spot() Spot { return Spot{o.Source, o.Line} }

// A RowRef is a row of a section and the record that it was.
type RowRef struct {
	Origin
	Start, Length int // in the section's data
	kept          int // where its record starts in what the section keeps
}

// originNumbers is how many numbers follow that of the lines where origins are
// kept: the distance in bytes from the record before, the record's size, and the
// row's length.
const originNumbers = 3

// otherNumbers returns how many numbers follow that of the lines.
func (p *Section) otherNumbers() int {
	if p.origins {
		return originNumbers
	}
	return 0
}

// lineRoom is the room that a row needs in lines.
func (opt *Options) lineRoom() int {
	if opt.Origins {
		return (1 + originNumbers) * binary.MaxVarintLen64
	}
	return binary.MaxVarintLen64
}

// note keeps the origin of the row that was appended last, the length of which is
// sent.
func (p *Section) note(at *Origin, sent int) {
	p.lines.appendUvarint(uint64(at.Offset - p.lastOffset))
	p.lines.appendUvarint(uint64(at.Size))
	p.lines.appendUvarint(uint64(sent))
	p.lastOffset = at.Offset
	var w writer
	p.records.take(len(at.Record), &w)
	w.write(at.Record)
}

// Refs returns the rows of p, in the order of the input. Where it keeps no origins only their
// lines are known.
func (p *Section) Refs() []RowRef {
	refs := make([]RowRef, 0, p.Rows)
	numbers := p.lines.Bytes()
	next := func() int64 {
		v, n := binary.Uvarint(numbers)
		numbers = numbers[n:]
		return int64(v)
	}
	var last RowRef
	turns := p.turns
	for row := range p.Rows {
		r := RowRef{Origin: Origin{Source: last.Source}}
		for ; len(turns) > 0 && turns[0].row == row; turns = turns[1:] {
			r.Source = turns[0].source
		}
		r.Line = last.Line + next()
		if p.origins {
			r.Offset = last.Offset + next()
			r.Size = int(next())
			r.Start, r.Length = last.Start+last.Length, int(next())
			r.kept = last.kept + last.Size
		}
		refs = append(refs, r)
		last = r
	}
	return refs
}

// AppendRow appends the bytes of a row of p.
func (p *Section) AppendRow(dst []byte, r RowRef) []byte {
	return p.Data.appendRange(dst, r.Start, r.Length)
}

// AppendRecord appends the bytes of the record that a row of p was, if p keeps them.
func (p *Section) AppendRecord(dst []byte, r RowRef) (record []byte, kept bool) {
	if len(p.records.pages) == 0 {
		return dst, false
	}
	return p.records.appendRange(dst, r.kept, r.Size), true
}
