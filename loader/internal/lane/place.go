package lane

import (
	"encoding/binary"

	"shardload/internal/pgcsv"
)

// RecordAt returns the index of the record that COPY calls line n: the n-th in
// binary and in text, and in CSV the one whose last physical line it is.
func (p *Part) RecordAt(n int64) (index int64, ok bool) {
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

// LineOf returns the line of the input on which the part's record of that index
// starts.
func (p *Part) LineOf(index int64) int64 {
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
	return line
}

// FirstLine returns the line on which the part's first record starts.
func (p *Part) FirstLine() int64 { return p.LineOf(0) }
