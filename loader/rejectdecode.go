package loader

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/pgcsv"
)

// keep makes the record on which the scanner stands one that is kept aside, err
// being what is wrong with it. It returns err where the load is to stop for it.
func (d *decoder) keep(c *chunk, offset int32, err error) error {
	row, ok := errors.AsType[*RowError](err)
	if d.keeper == nil || !ok || !row.Keepable {
		return err
	}
	r := record{start: offset, end: offset + int32(len(d.scan.Record())), line: int32(d.scan.Line() - c.line)}
	d.setAside(&r, row)
	d.records = append(d.records, r)
	return nil
}

// setAside makes r a record that is kept aside.
func (d *decoder) setAside(r *record, err *RowError) {
	d.aside = append(d.aside, err)
	r.lane, r.key = laneAside, uint64(len(d.aside)-1)
}

// laneAside is the lane of records that are kept aside. They travel in the first
// lane, and count there as rows: so its mark says which of them are kept.
const laneAside = -1

// rejected returns r, which is kept aside, as a row, and the line on which it
// stands.
func (d *decoder) rejected(c *chunk, r *record) []byte {
	why := causeOf(d.aside[r.key])
	why.reason = why.reason[:min(len(why.reason), maxReason)]
	d.scratch = why.append(d.scratch[:0], c.data[r.start:r.end])
	return d.scratch
}

// countRejected counts r as rejected, unless an earlier run did.
func (d *decoder) countRejected(l *lanes, r *record, at origin) error {
	d.keeper.countRead(l)
	if l.passed {
		return nil
	}
	bad := *d.aside[r.key]
	bad.Line = at.line // that of a block was counted from its own first
	return d.keeper.reject(&bad)
}

// countRead counts the records that have entered the lanes.
func (k *keeper) countRead(l *lanes) { k.read.Store(k.before + l.added) }

// settleKeeping is settle where values that the server refuses reject their
// records: so many may be bad that runs of them are asked for by halves.
func (d *decoder) settleKeeping(ctx context.Context, c *chunk) error {
	answers := make([]int32, len(d.unsure))
	for i := range d.lay.router.keys {
		var at []int
		for j, q := range d.unsure {
			if q.key == i && d.records[q.record].lane != laneAside {
				at = append(at, j)
			}
		}
		if err := d.askEach(ctx, c, i, at, answers); err != nil {
			return err
		}
	}
	for j := 0; j < len(d.unsure); {
		if index := d.unsure[j].record; d.records[index].lane == laneAside {
			for j < len(d.unsure) && d.unsure[j].record == index {
				j++
			}
			continue
		}
		j = d.place(c, j, answers)
	}
	return nil
}

// askEach asks for the hashes of the questions at, which are of key i.
func (d *decoder) askEach(ctx context.Context, c *chunk, i int, at []int, answers []int32) error {
	if len(at) == 0 {
		return nil
	}
	k := &d.lay.router.keys[i]
	values := make([]string, len(at))
	for n, j := range at {
		values[n] = d.unsure[j].value
	}
	hashes, err := d.ask.all(ctx, k.ask, values)
	pgErr, refusal := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		for n, j := range at {
			answers[j] = hashes[n]
		}
		return nil
	case !refusal || !blamesRow(pgErr):
		return err
	case len(at) > 1:
		half := len(at) / 2
		if err := d.askEach(ctx, c, i, at[:half], answers); err != nil {
			return err
		}
		return d.askEach(ctx, c, i, at[half:], answers)
	}
	q := d.unsure[at[0]]
	bad := &RowError{File: d.name, Line: q.line, Column: k.column, Err: refused(pgErr), Keepable: true}
	d.setAside(&d.records[q.record], bad)
	return d.keeper.enough(len(d.aside), bad)
}

// enough returns an error if n records of one chunk are too many to be rejected
// already, whatever comes.
func (k *keeper) enough(n int, last *RowError) error {
	if k.limit.Percent == 0 && int64(n) > k.limit.Records {
		return k.tooMany(int64(n), last)
	}
	return nil
}

// all returns the hash of each value, or the server's refusal of one of them.
func (a *asker) all(ctx context.Context, expr string, values []string) (hashes []int32, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.l.persist(ctx, func() (err error) {
		if err := a.connect(ctx); err != nil {
			return err
		}
		hashes, err = a.query(ctx, expr, values)
		return err
	})
	return hashes, err
}

// endsOpen reports whether the record on which the scanner stands is the last one
// of an input that ends inside quotes.
func (d *decoder) endsOpen(c *chunk, offset int32) bool {
	return c.open && int(offset)+d.scan.Size() == len(c.data)
}

// errOpenQuote is what is wrong with that record.
var errOpenQuote = pgcsv.ErrOpenQuote
