package lane

import (
	"cmp"
	"encoding/binary"
	"slices"

	"shardload/internal/pgcsv"
)

// RecordAt returns the index of the record that COPY calls line n: the n-th in
// binary and in text, and in CSV the one whose last physical line it is.
func (p *Section) RecordAt(n int64) (index int64, ok bool) {
	if p.Notation == NotationBinary || p.Dialect.ByRecord() {
		return n - 1, n >= 1 && n <= p.Rows
	}
	var s pgcsv.Scanner
	line := int64(0)
	s.SetDialect(p.Dialect)
	for s.Reset(p.Data.Bytes(), pgcsv.LF, 1); s.Next(); index++ {
		// Until it has seen the first record end, COPY takes carriage returns
		// for line breaks inside quotes.
		inside := pgcsv.LF
		if index == 0 {
			inside = pgcsv.CR
		}
		if line += 1 + pgcsv.Lines(s.Record(), inside); line >= n {
			return index, true
		}
	}
	return 0, false
}

// A Spot is where a record starts.
type Spot struct {
	Source string // the part of a set that has it, "" for the load's input
	Line   int64
}

// Spot returns where the section's record of that index starts.
func (p *Section) Spot(index int64) Spot {
	deltas := p.lines.Bytes()
	line := int64(0)
	for i := int64(0); i <= index && len(deltas) > 0; i++ {
		d, n := binary.Uvarint(deltas)
		line += int64(d)
		deltas = deltas[max(n, 1):]
		for range p.otherNumbers() {
			_, n = binary.Uvarint(deltas)
			deltas = deltas[max(n, 1):]
		}
	}
	return Spot{p.source(index), line}
}

// A Span is between which two records something lies.
type Span struct{ First, Last Spot }

// Span returns that of the section.
func (p *Section) Span() Span {
	return Span{p.Spot(0), Spot{p.source(p.Rows - 1), p.lastLine}}
}

// A turn is the row of a section with which those of a part of a set begin.
type turn struct {
	row    int64
	source string
}

// turnTo says of which part the rows are that are appended from now on.
func (p *Section) turnTo(source string) {
	if n := len(p.turns); n == 0 && source == "" || n > 0 && p.turns[n-1].source == source {
		return
	}
	p.turns = append(p.turns, turn{p.Rows, source})
}

// source returns of which part the row of that index is.
func (p *Section) source(index int64) string {
	after, _ := slices.BinarySearchFunc(p.turns, index+1, func(t turn, row int64) int { return cmp.Compare(t.row, row) })
	if after == 0 {
		return ""
	}
	return p.turns[after-1].source
}
