package decode

import (
	"shardload/internal/input"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
	"shardload/loader/failure"
)

// A Source is where the value of a loaded column comes from.
type Source struct {
	From   From
	Field  int      // of the record, from 0, for FromField
	NullIf []string // texts of that field which are NULL
	Const  []byte   // for FromConst, as COPY's text, not escaped; nil is NULL
}

// From is a kind of Source.
type From byte

// The kinds of Source.
const (
	FromField  From = iota // a field of the record
	FromConst              // the same value in every row
	FromLine               // the line of the input on which the record starts, from 1
	FromRecord             // the bytes of the record in the input
	FromServer             // the server computes it, before the record's lane is known
)

// A mapping says where the values of rows come from, of which a record's fields are not the
// columns in their order.
type mapping struct {
	sources []Source // one for each column
	fields  int      // of a record
	// binary has for each constant its field of a binary row, else nil.
	binary [][]byte
}

// fields returns how many fields a record must have.
func (lay *Layout) fields() int {
	if lay.mapping != nil {
		return lay.mapping.fields
	}
	return len(lay.Columns)
}

// newMapping returns the mapping of these sources, and whether constants can be encoded.
func newMapping(sources []Source, fields int, encoders []pgcopy.Encoder) (m *mapping, binary bool) {
	m = &mapping{sources: sources, fields: fields, binary: make([][]byte, len(sources))}
	for i := range sources {
		s := &sources[i]
		switch {
		case s.From != FromConst || encoders == nil:
		case s.Const == nil:
			m.binary[i] = pgcopy.AppendNull(nil)
		default:
			var sure bool
			if m.binary[i], sure = encoders[i](nil, s.Const); !sure {
				return m, false
			}
		}
	}
	return m, encoders != nil
}

// rewrite writes the rows of lanes that cannot go in binary as text, where the records are not
// what is sent.
func (d *decoder) rewrite(c *input.Chunk) error {
	for i := range d.records {
		r := &d.records[i]
		if r.lane == laneAside || !d.csv[r.lane] {
			continue
		}
		of := d.subject(c, i, r)
		start := len(d.rows)
		for column := range d.lay.Columns {
			if column > 0 {
				d.rows = append(d.rows, d.lay.Sent.Delimiter)
			}
			if v, null := d.value(of, column); null {
				d.rows = append(d.rows, d.lay.Sent.Null...)
			} else {
				d.rows = pgcsv.AppendText(d.rows, v)
			}
		}
		if len(d.rows) > maxRows {
			at := c.Origin(i, of.line, of.start, of.end)
			return &failure.RowError{File: d.name, Line: c.Line + at.Line, Err: failure.TooLongError(d.lay.maxRecord)}
		}
		r.binStart, r.binEnd = int32(start), int32(len(d.rows))
	}
	return nil
}

// maxRows is how many bytes the rows of a chunk may have.
const maxRows = 1 << 30
