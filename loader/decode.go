package loader

import (
	"context"
	"errors"
	"fmt"

	"shardload/internal/ledger"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// A chunk is a numbered run of whole records of the input.
type chunk struct {
	number int64 // from 0
	line   int64 // on which data starts, from 1; of a block, in the block
	offset int64 // of data in the input; of a block, in the block
	data   []byte
	eol    pgcsv.EOL
	block  BlockSource // what makes data, nil if they are there
	open   bool        // the last record ends inside quotes

	// The length of the whole chunk, a header included.
	size, lines int64

	before <-chan struct{} // closed when the chunk before it is in the lanes
	after  chan struct{}   // closed when this one is
}

// fill makes the data of a block.
func (c *chunk) fill() {
	c.data = c.block.AppendBlock(c.data, c.number)
	c.size, c.lines = int64(len(c.data)), pgcsv.Lines(c.data, c.eol)
	c.block = nil
}

// behind takes the first n bytes, a header, off the chunk's records.
func (c *chunk) behind(n int) {
	c.line += pgcsv.Lines(c.data[:n], c.eol)
	c.offset += int64(n)
	c.data = c.data[n:]
}

// settle says where in the input a block stands. It returns err with the line of
// the input, which had that of the block.
func (c *chunk) settle(place ledger.Place, err error) error {
	before := place.Line - 1
	c.line += before
	c.offset += place.Offset
	if row, ok := errors.AsType[*RowError](err); ok {
		row.Line += before
	}
	return err
}

// scanner returns a Scanner of the chunk's records.
func (c *chunk) scanner() *pgcsv.Scanner {
	s := &pgcsv.Scanner{}
	s.Reset(c.data, c.eol, c.line)
	return s
}

// A record is one decoded record of a chunk.
type record struct {
	start, end       int32 // in the chunk, without the line break
	binStart, binEnd int32 // in the decoder's binary rows
	line             int32 // counted from the chunk's first
	lane             int32
	key              uint64 // by which binary rows are sorted
}

// A decoder turns the records of one chunk at a time into rows for the lanes. It
// stays with one goroutine.
type decoder struct {
	lay    *layout
	ask    *asker
	name   string // of the input
	scan   pgcsv.Scanner
	fields []pgcsv.Field

	records []record
	rows    []byte  // binary rows
	scratch []byte  // unquoted values
	ends    []int32 // of the fields of the row that is being encoded; 0 for NULL
	csv     []bool  // by lane: a record of it has to go as CSV
	hashes  []int32
	unsure  []question

	keeper *keeper     // nil if no record may be rejected
	aside  []*RowError // what is wrong with records that are kept aside
}

func newDecoder(lay *layout, ask *asker, name string) *decoder {
	return &decoder{lay: lay, ask: ask, name: name,
		ends:   make([]int32, len(lay.columns)),
		csv:    make([]bool, lay.router.lanes),
		hashes: make([]int32, len(lay.router.keys)),
	}
}

// decode decodes c into d.records. At the first bad record it stops and returns a
// *RowError; d.records are not to be used then.
func (d *decoder) decode(ctx context.Context, c *chunk) error {
	d.records, d.rows, d.unsure, d.aside = d.records[:0], d.rows[:0], d.unsure[:0], d.aside[:0]
	clear(d.csv)
	var bad error
	d.scan.Reset(c.data, c.eol, c.line)
	offset := int32(0)
	for d.scan.Next() {
		if bad = d.record(c, offset); bad != nil {
			if bad = d.keep(c, offset, bad); bad != nil {
				break
			}
		}
		offset += int32(d.scan.Size())
	}
	if len(d.unsure) == 0 {
		return bad
	}
	if d.keeper != nil {
		return errors.Join(d.settleKeeping(ctx, c), bad)
	}
	if err := d.settle(ctx, c); err != nil {
		return err // of a record before the bad one
	}
	return bad
}

// record decodes the record on which the scanner stands.
func (d *decoder) record(c *chunk, offset int32) error {
	raw := d.scan.Record()
	d.fields = pgcsv.AppendFields(d.fields[:0], raw, d.lay.delimiter, d.scan.HasQuotes())
	if err := d.check(raw); err != nil {
		return err
	}
	if d.endsOpen(c, offset) {
		return d.bad(errOpenQuote)
	}
	r := record{start: offset, end: offset + int32(len(raw)), line: int32(d.scan.Line() - c.line)}
	sure, err := d.route(c, raw, &r)
	if err != nil {
		return err
	}
	d.encode(raw, &r)
	d.records = append(d.records, r)
	if sure && r.binEnd == r.binStart {
		d.csv[r.lane] = true
	}
	return nil
}

// check finds what is no record at all.
func (d *decoder) check(raw []byte) error {
	switch want := len(d.lay.columns); {
	case len(raw) > d.lay.maxRecord:
		return &RowError{File: d.name, Line: d.scan.Line(), Err: tooLongError(d.lay.maxRecord)}
	case string(raw) == `\.`:
		return d.bad(fmt.Errorf(`\. on a line by itself ends the data for PostgreSQL, but more may follow; remove the line, or quote it ("\.") if it is a value`))
	case len(d.fields) != want && len(raw) == 0:
		return d.bad(fmt.Errorf("the line is empty, want %d fields", want))
	case len(d.fields) != want:
		return d.bad(fmt.Errorf("%s, want %d", plural(len(d.fields), "field"), want))
	}
	if complaint := d.scan.LineBreak(); complaint != "" {
		return d.bad(fmt.Errorf("%s; the first record ends in %s, so must the others", complaint, d.scan.EOL()))
	}
	return nil
}

// bad returns err as one of the record on which the scanner stands.
func (d *decoder) bad(err error) error {
	return &RowError{File: d.name, Line: d.scan.Line(), Err: err, Keepable: true}
}

// route finds the record's lane. It reports false where the server is to be asked
// first.
func (d *decoder) route(c *chunk, raw []byte, r *record) (sure bool, err error) {
	sure = true
	d.scratch = d.scratch[:0]
	for i := range d.lay.router.keys {
		k := &d.lay.router.keys[i]
		f := d.fields[k.field]
		d.hashes[i] = 0
		if f.IsNull(raw, d.lay.null) {
			if k.required {
				return false, &RowError{File: d.name, Line: d.scan.Line(), Column: k.column, Keepable: true,
					Err: &RefusedError{SQLState: nullNotAllowed, Message: "is NULL, but its value decides the row's shard"}}
			}
			continue
		}
		var v []byte
		v, d.scratch = f.Value(raw, d.scratch)
		ok := false
		if k.hash != nil {
			d.hashes[i], ok = k.hash(v)
		}
		if !ok {
			sure = false
			d.unsure = append(d.unsure, question{record: len(d.records), key: i, value: string(v), line: d.scan.Line()})
		}
	}
	if sure {
		r.lane = d.lay.router.lane(d.hashes, c.number)
	}
	return sure, nil
}

// maxBinary is the longest record that is sent in binary. A longer one goes as it
// is: it would be held twice.
const maxBinary = 1 << 20

// encode appends the record's binary row, unless a value needs the server's
// judgement or the row would be out of all proportion.
func (d *decoder) encode(raw []byte, r *record) {
	start := len(d.rows)
	r.binStart, r.binEnd = int32(start), int32(start)
	if d.lay.encoders == nil || len(raw) > maxBinary {
		return
	}
	rows := pgcopy.AppendFieldCount(d.rows, int16(len(d.fields)))
	d.scratch = d.scratch[:0]
	fields, null := d.fields, d.lay.null
	encoders, ends := d.lay.encoders[:len(fields)], d.ends[:len(fields)]
	for i := range fields {
		f := &fields[i]
		v := raw[f.Start:f.End]
		if f.Quoted {
			v, d.scratch = f.Value(raw, d.scratch)
		} else if len(v) == len(null) && string(v) == null {
			rows = pgcopy.AppendNull(rows)
			ends[i] = 0
			continue
		}
		var sure bool
		if rows, sure = encoders[i](rows, v); !sure {
			d.rows = rows[:start]
			return
		}
		ends[i] = int32(len(rows))
	}
	r.key = d.lay.sortKey(rows, d.ends)
	if len(rows)-start > max(d.lay.maxRecord, maxPage) || len(rows) > 1<<30 {
		d.rows = rows[:start]
		return
	}
	d.rows = rows
	r.binEnd = int32(len(rows))
}

// nullNotAllowed is the SQLSTATE of a NULL where there must be a value, which is
// that of Citus, too, for a distribution column.
const nullNotAllowed = "22004"

// deliver appends the decoded rows to the lanes. Rows of one lane go in one
// format: in binary if all of them can.
func (d *decoder) deliver(ctx context.Context, c *chunk, l *lanes) error {
	for i := range d.records {
		r := &d.records[i]
		f, row := formatBinary, d.rows[r.binStart:r.binEnd]
		lane := int(r.lane)
		switch {
		case lane == laneAside:
			lane, f, row = 0, formatRejected, d.rejected(c, r)
		case d.csv[lane]:
			f, row = formatCSV, c.data[r.start:r.end]
		}
		at := origin{line: c.line + int64(r.line), offset: c.offset + int64(r.start), size: int(r.end - r.start)}
		if err := l.add(ctx, lane, f, row, at, r.key); err != nil {
			return err
		}
		if f == formatRejected {
			if err := d.countRejected(l, r, at); err != nil {
				return err
			}
		}
	}
	if d.keeper != nil {
		d.keeper.countRead(l)
	}
	at := l.place
	l.finish(ledger.Place{Offset: at.Offset + c.size, Line: at.Line + c.lines, Records: at.Records + int64(len(d.records))})
	return nil
}

// plural returns "1 field" or "2 fields".
func plural[N int | int64](n N, what string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
