package decode

import (
	"context"
	"errors"
	"fmt"

	"shardload/internal/charset"
	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/reject"
)

// A record is one decoded record of a chunk.
type record struct {
	start, end       int32 // in the chunk's data, without the line break
	binStart, binEnd int32 // in the decoder's binary rows
	line             int32 // counted from the chunk's first
	lane             int32
	key              uint64 // by which binary rows are sorted
}

// recordStarts are where records start in the bytes of the input that their chunk is of.
type recordStarts []int32

func (r recordStarts) Len() int        { return len(r) }
func (r recordStarts) Start(i int) int { return int(r[i]) }

// decodedStarts is where they do of records that are decoded.
type decodedStarts struct {
	of      *input.Chunk
	records []record
}

func (s decodedStarts) Len() int { return len(s.records) }

func (s decodedStarts) Start(i int) int {
	return int(s.of.Origin(i, 0, s.records[i].start, s.records[i].end).Start)
}

// A decoder turns the records of one chunk at a time into rows for the lanes. It
// stays with one goroutine.
type decoder struct {
	fieldValues
	ask *Asker
	naming
	scan  pgcsv.Scanner
	chunk *input.Chunk // which is being decoded

	records []record
	rows    []byte // binary rows, and those that are rewritten
	csv     []bool // by lane: a record of it has to go as CSV
	hashing
	binaryRows

	Sums bool // the chunks' hashes are wanted
	// Values asks for what the server computes. It is for all records, so that each decoder has
	// its own.
	Values *Asker

	Charset *charset.Converter // that has converted the input, nil for none

	Keeper *reject.Keeper      // nil if no record may be rejected
	aside  []*failure.RowError // what is wrong with records that are kept aside
}

// By what names errors call what is decoded.
type naming struct {
	input string
	name  string // the input's, or that of its part which is being decoded
}

// nameOf returns by which one they call c.
func (n *naming) nameOf(c *input.Chunk) string {
	if c.Part != nil {
		return c.Part.Source
	}
	return n.input
}

// What decides the lanes of a decoder's records.
type hashing struct {
	hashes []int32    // of the keys of the record that is being decoded
	unsure []question // for the server
}

func New(lay *Layout, ask *Asker, name string) *decoder {
	d := &decoder{
		fieldValues: fieldValues{lay: lay, ends: make([]int32, len(lay.Columns))},
		ask:         ask, naming: naming{name, name},
		csv:     make([]bool, lay.Router.Lanes),
		hashing: hashing{hashes: make([]int32, len(lay.Router.Keys))},
	}
	d.scan.SetDialect(lay.Dialect)
	return d
}

// Decode decodes c into d.records. At the first bad record it stops and returns a
// *RowError; d.records are not to be used then.
func (d *decoder) Decode(ctx context.Context, c *input.Chunk) error {
	if err := d.decode(ctx, c); err != nil || d.lay.mapping == nil {
		return err
	}
	return d.rewrite(c)
}

func (d *decoder) decode(ctx context.Context, c *input.Chunk) error {
	d.records, d.rows, d.unsure, d.aside = d.records[:0], d.rows[:0], d.unsure[:0], d.aside[:0]
	d.chunk, d.name = c, d.nameOf(c)
	clear(d.csv)
	if d.Sums {
		c.Sum = ledger.SumOf(c.Raw())
	}
	if err := compute(ctx, d, c); err != nil {
		return err
	}
	var bad error
	d.scan.Reset(c.Data, c.EOL, c.Line)
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
	if d.Keeper != nil {
		return errors.Join(d.askUnsureKeeping(ctx, c), bad)
	}
	if err := d.askUnsure(ctx, c); err != nil {
		return err // of a record before the bad one
	}
	return bad
}

// record decodes the record on which the scanner stands.
func (d *decoder) record(c *input.Chunk, offset int32) error {
	raw := d.scan.Record()
	if f := c.Fault(len(d.records)); f != nil {
		return &failure.RowError{File: d.name, Line: d.line(), Column: f.Column, Err: f.Err, Keepable: true}
	}
	d.fields = d.scan.AppendFields(d.fields[:0])
	if err := d.check(raw); err != nil {
		return err
	}
	if endsOpen(c, int(offset)+d.scan.Size()) {
		return d.bad(errOpenQuote)
	}
	r := record{start: offset, end: offset + int32(len(raw)), line: int32(d.scan.Line() - c.Line)}
	of := &d.of
	of.c, of.raw, of.index, of.line, of.start, of.end = c, raw, len(d.records), int64(r.line), r.start, r.end
	sure, err := d.route(of, &r)
	if err != nil {
		return err
	}
	d.encode(of, &r)
	d.records = append(d.records, r)
	if sure && r.binEnd == r.binStart {
		d.csv[r.lane] = true
	}
	return nil
}

// line returns the line of the input on which the record starts on which the scanner stands.
func (d *decoder) line() int64 {
	at := d.chunk.Origin(len(d.records), d.scan.Line()-d.chunk.Line, 0, 0)
	return d.chunk.Line + at.Line
}

// check finds what is no record at all.
func (d *decoder) check(raw []byte) error {
	if d.Charset != nil {
		if err := d.Charset.Check(raw); err != nil {
			return &failure.RowError{File: d.name, Line: d.line(), Err: err, Keepable: err.Clear()}
		}
	}
	switch want := d.lay.fields(); {
	case 4*len(raw) >= d.lay.maxRecord && !d.lay.fits(raw):
		return &failure.RowError{File: d.name, Line: d.line(), Err: failure.TooLongError(d.lay.maxRecord)}
	case d.lay.endMark != nil && pgcsv.IsEnd(raw):
		return d.bad(d.lay.endMark)
	case len(d.fields) != want && len(raw) == 0:
		return d.bad(fmt.Errorf("the line is empty, want %d fields", want))
	case len(d.fields) != want:
		return d.bad(fmt.Errorf("%s, want %d%s", term.Plural(len(d.fields), "field"), want, d.otherFormat(raw)))
	}
	if d.scan.Special() {
		if complaint := d.lay.Dialect.Complaint(raw); complaint != "" {
			return d.bad(errors.New(complaint))
		}
	}
	if complaint := d.scan.LineBreak(); complaint != "" {
		return d.bad(fmt.Errorf("%s; the first record ends in %s, so must the others", complaint, d.scan.EOL()))
	}
	return nil
}

// otherFormat says in which format a record may be that has one field in this one.
func (d *decoder) otherFormat(raw []byte) string {
	if len(d.fields) > 1 && !pgcsv.IsObject(raw) {
		return ""
	}
	like := d.lay.Dialect.LooksLike(raw, d.lay.fields())
	if like == "" {
		return ""
	}
	return "; " + like
}

// bad returns err as one of the record on which the scanner stands.
func (d *decoder) bad(err error) error {
	return &failure.RowError{File: d.name, Line: d.line(), Err: err, Keepable: true}
}

// route finds the record's lane. It reports false where the server is to be asked
// first.
func (d *decoder) route(of *subject, r *record) (sure bool, err error) {
	sure = true
	d.scratch = d.scratch[:0]
	switch a := d.answer(of); {
	case a.err != nil:
		return false, &failure.RowError{File: d.name, Line: d.line(), Column: d.lay.compute.Column, Err: a.err, Keepable: true}
	case a.out: // it travels in any lane, and is left out again there
		clear(d.hashes)
		r.lane = d.lay.Router.lane(d.hashes, of.c.Number)
		return true, nil
	}
	for i := range d.lay.Router.Keys {
		k := &d.lay.Router.Keys[i]
		d.hashes[i] = 0
		v, null := d.value(of, k.field)
		if null {
			if k.required {
				return false, &failure.RowError{
					File: d.name, Line: d.line(), Column: k.column, Keepable: true,
					Err: &failure.RefusedError{SQLState: fault.NullNotAllowed, Message: "is NULL, but its value decides the row's shard"},
				}
			}
			continue
		}
		ok := false
		if k.Hash != nil {
			d.hashes[i], ok = k.Hash(v)
		}
		if !ok {
			var err error
			if d.hashes[i], ok, err = k.hashMoment(v); err != nil {
				return false, &failure.RowError{File: d.name, Line: d.line(), Column: k.column, Keepable: true, Err: fmt.Errorf("%q %w", v, err)}
			}
		}
		if !ok {
			sure = false
			d.unsure = append(d.unsure, question{record: len(d.records), key: i, value: string(v), line: d.line()})
		}
	}
	if sure {
		r.lane = d.lay.Router.lane(d.hashes, of.c.Number)
	}
	return sure, nil
}

// maxBinary is the longest record that is sent in binary. A longer one goes as it
// is: it would be held twice.
const maxBinary = 1 << 20

// encode appends the record's binary row, unless a value needs the server's
// judgement or the row would be out of all proportion.
func (d *decoder) encode(of *subject, r *record) {
	start := len(d.rows)
	r.binStart, r.binEnd = int32(start), int32(start)
	if d.lay.Encoders == nil || len(of.raw) > maxBinary {
		return
	}
	rows := pgcopy.AppendFieldCount(d.rows, int16(len(d.lay.Columns)))
	d.scratch = d.scratch[:0]
	var sure bool
	if d.lay.mapping == nil {
		rows, sure = d.appendFields(rows, of.raw)
	} else {
		rows, sure = d.appendMapped(rows, of)
	}
	if !sure {
		d.rows = rows[:start]
		return
	}
	r.key = d.lay.sortKey(rows, d.ends)
	if len(rows)-start > max(d.lay.maxRecord, lane.MaxPage) || len(rows) > maxRows {
		d.rows = rows[:start]
		return
	}
	d.rows = rows
	r.binEnd = int32(len(rows))
}

// Deliver appends the decoded rows to the lanes. Rows of one lane go in one
// notation: in binary if all of them can.
func (d *decoder) Deliver(ctx context.Context, c *input.Chunk, l *lane.Lanes) error {
	if d.Sums {
		if err := l.Front().Enter(c.Raw(), decodedStarts{c, d.records}); err != nil {
			return err
		}
	}
	for i := range d.records {
		r := &d.records[i]
		as, row := lane.NotationBinary, d.rows[r.binStart:r.binEnd]
		ln := int(r.lane)
		from := c.Origin(i, int64(r.line), r.start, r.end)
		switch {
		case ln == laneAside:
			ln, as, row = 0, lane.NotationRejected, d.rejected(c.Original(from), r)
		case d.csv[ln] && d.lay.mapping != nil:
			as = lane.NotationRecord // row is what rewrite has written
		case d.csv[ln]:
			as, row = lane.NotationRecord, d.sent(c.Data[r.start:r.end])
		}
		at := lane.Origin{Line: c.Line + from.Line, Offset: c.OffsetOf(from), Size: int(from.End - from.Start)}
		if d.lay.Record == Kept && as != lane.NotationRejected {
			at.Record = c.Original(from)
		}
		if err := l.Add(ctx, ln, as, row, &at, r.key); err != nil {
			return err
		}
		if as == lane.NotationRejected {
			if err := d.countRejected(l, r, at); err != nil {
				return err
			}
		}
	}
	if d.Keeper != nil {
		d.Keeper.CountRead(l)
	}
	at := l.Front().Place()
	l.Finish(ledger.Place{Offset: at.Offset + c.Size, Line: at.Line + c.Lines, Records: at.Records + int64(len(d.records)), Sum: ledger.Join(at.Sum, c.Sum)})
	return nil
}

// Turn tells f where c begins, if it is the first chunk of a part of a set.
func Turn(f *lane.Front, c *input.Chunk) error {
	if !c.Turns {
		return nil
	}
	return f.Turn(&lane.Turn{Source: c.Part.Source, Chunk: c.Part.First, Sum: c.Part.Sum, Within: c.Within})
}

// StartsOf returns where the records of c, which is not filled, begin in the input's bytes.
func StartsOf(c *input.Chunk, dialect pgcsv.Dialect) lane.Starts {
	return recordStarts(c.AppendStarts(nil, dialect))
}
