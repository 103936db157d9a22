package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/input"
)

// A Compute is how the server computes the value that decides a row's shard. What it answers
// is what is stored: the value is computed once.
type Compute struct {
	Column string // of the target
	// SQL is the query for the values of records: $1 and so on are arrays of texts, one for
	// each of Needs. It gives v and the value as a text, n for NULL, and NULL for a record
	// that a condition leaves out. Setup are the statements before it in its transaction.
	SQL, Setup string
	Needs      []Source // what the value is computed from: FromField, FromLine or FromRecord
	// Alike says that records of which all Needs are alike have the same value. Where a
	// condition decides that may be otherwise.
	Alike bool
	// Clock has, of those of Needs from which the value reads a date or time: one that names
	// a moment would be another value later.
	Clock map[int]bool
	// Reading says in words under which settings.
	Reading string
}

// An answer is what the server has computed for a record.
type answer struct {
	value []byte // nil for NULL, or where nothing was asked
	err   error  // why there is none
	out   bool   // a condition leaves the record out
	told  bool   // the server has told it
}

// answer returns what the server has computed for a record.
func (fv *fieldValues) answer(of *subject) answer {
	if fv.lay.compute == nil || of.index >= len(fv.answers) {
		return answer{}
	}
	return fv.answers[of.index]
}

// A computation is what the server is asked of the records of a chunk.
type computation struct {
	*decoder
	of      *Compute
	records []int      // which of them, by their numbers
	values  [][][]byte // for each of Compute.Needs, of each of these records; nil is NULL
	asked   []string   // what these records are known by, where others may be alike
	first   map[string]int
	same    [][2]int // records, and those that are asked about in their place
}

// known are answers of earlier chunks, by what records are known by. Few values decide the
// shards of many rows, as a rule.
type known map[string]answer

// What is kept of them.
const (
	maxKnown    = 1 << 15 // answers
	maxKnownKey = 128     // bytes
)

// compute has the server compute the values of all records of c, for d.
func compute(ctx context.Context, d *decoder, c *input.Chunk) error {
	d.answers = d.answers[:0]
	of := d.lay.compute
	if of == nil {
		return nil
	}
	if d.known == nil || len(d.known) > maxKnown {
		d.known = known{}
	}
	q := &computation{decoder: d, of: of, values: make([][][]byte, len(of.Needs)), first: map[string]int{}}
	q.collect(c)
	if len(q.records) == 0 {
		return nil
	}
	if err := q.ask(ctx, 0, len(q.records)); err != nil {
		return err
	}
	for i, key := range q.asked {
		if a := q.answers[q.records[i]]; key != "" && a.told {
			d.known[key] = a
		}
	}
	for _, pair := range q.same {
		q.answers[pair[0]] = q.answers[pair[1]]
	}
	return nil
}

// collect reads what the values are computed from, of the records that are some.
func (q *computation) collect(c *input.Chunk) {
	q.scan.Reset(c.Data, c.EOL, c.Line)
	q.scratch = q.scratch[:0]
	offset := int32(0)
	for index := 0; q.scan.Next(); index++ {
		q.answers = append(q.answers, answer{})
		raw := q.scan.Record()
		s := subject{c: c, raw: raw, index: index, line: q.scan.Line() - c.Line, start: offset, end: offset + int32(len(raw))}
		offset += int32(q.scan.Size())
		if q.fields = q.scan.AppendFields(q.fields[:0]); len(q.fields) != q.lay.fields() {
			continue
		}
		if q.add(&s) {
			q.settle(index)
		} else {
			q.answers[index].err = errMoment
		}
	}
}

// settle has the record asked about that was added last, unless one that is alike was.
func (q *computation) settle(index int) {
	n := len(q.records)
	key := ""
	if q.of.Alike {
		q.key = q.key[:0]
		for _, values := range q.values {
			length := int64(len(values[n]))
			if values[n] == nil {
				length = -1
			}
			q.key = append(binary.AppendVarint(q.key, length), values[n]...)
		}
		a, found := q.known[string(q.key)]
		first, twice := q.first[string(q.key)]
		switch {
		case found:
			q.answers[index] = a
		case twice:
			q.same = append(q.same, [2]int{index, first})
		}
		if found || twice {
			for i := range q.values {
				q.values[i] = q.values[i][:n]
			}
			return
		}
		if len(q.key) <= maxKnownKey {
			key = string(q.key)
			q.first[key] = index
		}
	}
	q.records, q.asked = append(q.records, index), append(q.asked, key)
}

// add adds what the value of a record is computed from. It reports false if that names a moment.
func (q *computation) add(s *subject) bool {
	n := len(q.records)
	for i := range q.of.Needs {
		from := &q.of.Needs[i]
		var v []byte
		var null bool
		if from.From == FromField {
			v, null = q.field(s, from.Field, nil)
		} else {
			v, null = q.made(s, from)
		}
		if null {
			v = nil
		} else if v == nil {
			v = []byte{}
		}
		if q.of.Clock[i] && namesMoment(v) {
			for j := range q.values {
				q.values[j] = q.values[j][:min(len(q.values[j]), n)]
			}
			return false
		}
		q.values[i] = append(q.values[i], v)
	}
	return true
}

// ask asks for the values of the records from lo to hi. One for which the server refuses that
// gets its error; without a keeper nothing is asked about those after it.
func (q *computation) ask(ctx context.Context, lo, hi int) error {
	columns := make([][][]byte, len(q.values))
	for i := range columns {
		columns[i] = q.values[i][lo:hi]
	}
	answers, err := q.Values.compute(ctx, q.of, columns, hi-lo)
	pgErr, refusal := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		q.note(lo, answers)
		return nil
	case !refusal || !fault.MayBeRow(err):
		return err
	case hi-lo == 1:
		q.answers[q.records[lo]].err = q.lay.Refused(pgErr)
		return nil
	}
	middle := lo + (hi-lo)/2
	if err := q.ask(ctx, lo, middle); err != nil {
		return err
	}
	if q.Keeper == nil {
		for _, index := range q.records[lo:middle] {
			if q.answers[index].err != nil {
				return nil
			}
		}
	}
	return q.ask(ctx, middle, hi)
}

// note notes what the server has computed for the records from lo on.
func (q *computation) note(lo int, answers [][]byte) {
	for i, v := range answers {
		a := &q.answers[q.records[lo+i]]
		a.told = true
		switch {
		case v == nil:
			a.out = true
		case v[0] == 'v':
			a.value = v[1:]
		}
	}
}

// compute returns the value of each of n records, nil for NULL; or the server's refusal of one
// of them.
func (a *Asker) compute(ctx context.Context, of *Compute, columns [][][]byte, n int) (answers [][]byte, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.target.Persist(ctx, func() error {
		if err := a.connect(ctx); err != nil {
			return err
		}
		if answers, err = a.evaluate(ctx, of, columns, n); !fault.MayBeRow(err) {
			return err
		}
		if a.proven != of.SQL && fault.Of(err) != fault.Row {
			if _, other := a.evaluate(ctx, of, make([][][]byte, len(columns)), 0); other != nil {
				return &fault.StatementError{Err: other}
			}
			a.proven = of.SQL
		}
		if n == 1 {
			answers, err = a.evaluate(ctx, of, columns, n) // a record must be refused twice
		}
		return err
	})
	return answers, err
}

func (a *Asker) evaluate(ctx context.Context, of *Compute, columns [][][]byte, n int) (answers [][]byte, err error) {
	rows, err := a.target.Session.Rows(ctx, a.conn, a.encoding, of.Setup, of.SQL, columns)
	if err != nil {
		return nil, err
	}
	if len(rows) != n {
		return nil, fmt.Errorf("asked the server about %d records, got %d answers", n, len(rows))
	}
	for _, row := range rows {
		answers = append(answers, row[0])
	}
	return answers, nil
}
