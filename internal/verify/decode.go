package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"shardload/internal/checksum"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/pghash"
	"shardload/internal/server"
	"shardload/internal/term"
)

// A row is a record of an input with the hashes of the compared columns' values.
// A sink must not keep it.
type row struct {
	hashes []int64
	nulls  []bool
	at     position
	raw    []byte // the record
	// original is the record as it is in the input, while it is decoded.
	original []byte
	made     [][]byte // by column, the values that the server has evaluated; nil without
}

// A sink takes the rows that one decoder has made.
type sink interface {
	add(r *row)
	// refuse takes a record that no table can have.
	refuse(u Unloadable)
	// reject takes a record that the load has rejected.
	reject()
	// leave takes a record that does not meet the condition.
	leave()
}

// A decoder turns the records of chunks into rows. It stays with one goroutine.
type decoder struct {
	d    *deep
	sink sink
	ask  asker

	transcript input.Transcript
	scan       pgcsv.Scanner
	fields     []pgcsv.Field
	scratch    []byte       // unquoted values
	at         input.Origin // of the record on which the scanner stands
	text       []byte       // what the server would write
	row        row          // the one that is being decoded
	evaluated  []evaluated  // by record of the chunk, where the server evaluates values

	// Rows with values that the server is asked about.
	waiting   []waiting
	hashes    []int64
	nulls     []bool
	questions []questions // by column
}

// waiting is a row of which a hash is not known yet.
type waiting struct {
	at         position
	start, end int32 // of the record in the chunk
	made       [][]byte
}

func newDecoder(d *deep, s sink) *decoder {
	n := len(d.columns)
	dec := &decoder{d: d, sink: s, ask: asker{cfg: d.cfg.Conn, session: d.session}, questions: make([]questions, n), text: make([]byte, 0, 1<<10)}
	dec.row.hashes, dec.row.nulls = make([]int64, n), make([]bool, n)
	return dec
}

func (dec *decoder) close() { dec.ask.close() }

// decode hands the rows of c to the sink.
func (dec *decoder) decode(ctx context.Context, c chunk) error {
	lay := dec.d.layouts[c.of]
	how := dec.d.how(c.of)
	dec.scan.SetDialect(how.dialect)
	if _, err := c.Fill(&dec.transcript); err != nil {
		return err
	}
	c.Behind(c.Skipped)
	dec.waiting, dec.hashes, dec.nulls = dec.waiting[:0], dec.hashes[:0], dec.nulls[:0]
	checkText := server.IsUTF8(dec.d.cfg.Reading.sent()) && !utf8.Valid(c.Data)
	if err := dec.evaluateAll(ctx, lay, c); err != nil {
		return err
	}
	offset := int32(0)
	dec.scan.Reset(c.Data, c.EOL, c.Line)
	for i := 0; dec.scan.Next(); i++ {
		start := offset
		offset += int32(dec.scan.Size())
		dec.at = c.Origin(i, dec.scan.Line()-c.Line, start, start+int32(len(dec.scan.Record())))
		if c.Number == 0 && start == 0 && lay.header {
			continue
		}
		if dec.d.rejects.count > 0 && dec.d.rejects.has(c.of, c.Line+dec.at.Line, c.Offset+int64(dec.at.Start), c.Original(dec.at)) {
			dec.sink.reject()
			continue
		}
		err := dec.check(lay, how, checkText)
		if f := c.Fault(i); f != nil {
			err = f
		}
		if int(offset) == len(c.Data) && c.Open {
			err = pgcsv.ErrOpenQuote
		}
		if err == nil && lay.staged() {
			e := &dec.evaluated[i]
			if e.left {
				dec.sink.leave()
				continue
			}
			err, dec.row.made = e.err, e.values
		}
		if err != nil {
			dec.sink.refuse(dec.d.unloadable(dec.position(c), err))
			continue
		}
		dec.row.original = c.Original(dec.at)
		dec.record(lay, dec.position(c), start)
	}
	if len(dec.waiting) == 0 {
		return nil
	}
	return dec.askWaiting(ctx, c)
}

// position returns where the record is on which the scanner stands.
func (dec *decoder) position(c chunk) position {
	return position{input: c.of, chunk: c.Number, line: c.Line + dec.at.Line}
}

// check finds what is no record.
func (dec *decoder) check(lay *layout, how *Reading, text bool) error {
	raw := dec.scan.Record()
	dec.fields = dec.scan.AppendFields(dec.fields[:0])
	switch {
	case pgcsv.IsEnd(raw) && how.dialect.EndMark(dec.d.session.version) != nil:
		return errors.New(`\. ends the data for PostgreSQL`)
	case dec.d.cfg.Reading.charset != nil && dec.d.cfg.Reading.charset.Check(raw) != nil:
		return dec.d.cfg.Reading.charset.Check(raw)
	case len(dec.fields) != lay.width():
		return fmt.Errorf("%s, want %d", term.Plural(len(dec.fields), "field"), lay.width())
	case text && !utf8.Valid(raw):
		return errors.New("is not valid UTF-8")
	case bytes.IndexByte(raw, 0) >= 0:
		return errors.New("holds a zero byte")
	}
	if complaint := how.dialect.Complaint(raw); complaint != "" {
		return errors.New(complaint)
	}
	if complaint := dec.scan.LineBreak(); complaint != "" {
		return errors.New(complaint)
	}
	return nil
}

// record hashes the values of the record on which the scanner stands, and hands
// the row on if it is sure of all.
func (dec *decoder) record(lay *layout, at position, start int32) {
	raw := dec.scan.Record()
	r := &dec.row
	r.at, r.raw = at, raw
	dec.scratch = dec.scratch[:0]
	asked := false
	for i := range lay.fields {
		var v []byte
		if v, r.nulls[i] = dec.value(lay, r, i); r.nulls[i] {
			continue
		}
		if form := dec.d.columns[i].form; form != nil {
			if text, sure := form(v, dec.text); sure {
				r.hashes[i] = pghash.Text(text)
				continue
			}
		}
		q := &dec.questions[i]
		if hash, ok := q.known[string(v)]; ok {
			r.hashes[i] = hash
			continue
		}
		q.add(len(dec.waiting), v)
		asked = true
	}
	if !asked {
		dec.sink.add(r)
		return
	}
	dec.waiting = append(dec.waiting, waiting{at, start, start + int32(len(raw)), r.made})
	dec.hashes = append(dec.hashes, r.hashes...)
	dec.nulls = append(dec.nulls, r.nulls...)
}

// value returns the value of compared column i in r, the record on which the scanner stands, and
// whether it is NULL.
func (dec *decoder) value(lay *layout, r *row, i int) (v []byte, null bool) {
	field := lay.fields[i]
	var nullIf []string
	if lay.plan != nil {
		item := &lay.plan.Items[field]
		switch {
		case item.Field >= 0 && !item.Expr:
			field, nullIf = item.Field, item.NullIf
		case r.made != nil:
			return r.made[i], r.made[i] == nil
		default:
			return dec.beside(item, r)
		}
	}
	f := dec.fields[field]
	if lay.nulls.Is(field, f, r.raw) {
		return nil, true
	}
	v, dec.scratch = f.Value(r.raw, dec.scratch)
	return v, slices.Contains(nullIf, string(v))
}

// askWaiting asks the server about the values of the waiting rows and hands these on.
func (dec *decoder) askWaiting(ctx context.Context, c chunk) error {
	n := len(dec.d.columns)
	refused := map[int]Unloadable{}
	for i := range dec.questions {
		q := &dec.questions[i]
		if len(q.rows) == 0 {
			continue
		}
		col := &dec.d.columns[i]
		hashes, bad, err := dec.ask.hashes(ctx, asked{col.ask, col.BaseOID}, q.values)
		if err != nil {
			return fmt.Errorf("%s: column %q: %w", dec.d.cfg.Inputs[c.of].at.Name, col.Name, err)
		}
		for k, w := range q.rows {
			at := q.at[k]
			dec.hashes[w*n+i] = hashes[at]
			if reason := bad[at]; reason != nil {
				refused[w] = dec.d.unloadable(dec.waiting[w].at, fmt.Errorf("column %q: %w", col.Name, reason))
			}
		}
		q.learn(hashes, bad)
	}
	for w, wait := range dec.waiting {
		if u, ok := refused[w]; ok {
			dec.sink.refuse(u)
			continue
		}
		dec.sink.add(&row{
			hashes: dec.hashes[w*n : (w+1)*n], nulls: dec.nulls[w*n : (w+1)*n],
			at: wait.at, raw: c.Data[wait.start:wait.end], made: wait.made,
		})
	}
	return nil
}

// hash returns the hash of a value, or what stands for NULL.
func (r *row) hash(i int) int64 {
	if r.nulls[i] {
		return checksum.Null
	}
	return r.hashes[i]
}
