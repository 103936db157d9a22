package decode

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/loader/failure"
	"shardload/loader/internal/reject"
)

// keep makes the record on which the scanner stands one that is kept aside, err
// being what is wrong with it. It returns err where the load is to stop for it.
func (d *decoder) keep(c *input.Chunk, offset int32, err error) error {
	row, ok := errors.AsType[*failure.RowError](err)
	if d.Keeper == nil || !ok || !row.Keepable {
		return err
	}
	r := record{start: offset, end: offset + int32(len(d.scan.Record())), line: int32(d.scan.Line() - c.Line)}
	d.setAside(&r, row)
	d.records = append(d.records, r)
	return nil
}

// setAside makes r a record that is kept aside.
func (d *decoder) setAside(r *record, err *failure.RowError) {
	d.aside = append(d.aside, err)
	r.lane, r.key = laneAside, uint64(len(d.aside)-1)
}

// laneAside is the lane of records that are kept aside. They travel in the first
// lane, and count there as rows: so its mark says which of them are kept.
const laneAside = -1

// rejected returns r, which is kept aside, as a row. Its bytes in the input are original.
func (d *decoder) rejected(original []byte, r *record) []byte {
	why := reject.CauseOf(d.aside[r.key])
	why.Reason, why.Detail = why.Reason[:min(len(why.Reason), failure.MaxReason)], why.Detail[:min(len(why.Detail), failure.MaxReason)]
	d.scratch = why.Append(d.scratch[:0], original)
	return d.scratch
}

// askUnsureKeeping is askUnsure where values that the server refuses reject their
// records: so many may be bad that runs of them are asked for by halves.
func (d *decoder) askUnsureKeeping(ctx context.Context, c *input.Chunk) error {
	answers := make([]int32, len(d.unsure))
	for i := range d.lay.Router.Keys {
		var at []int
		for j, q := range d.unsure {
			if q.key == i && d.records[q.record].lane != laneAside {
				at = append(at, j)
			}
		}
		if err := d.askEach(ctx, i, at, answers); err != nil {
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
func (d *decoder) askEach(ctx context.Context, i int, at []int, answers []int32) error {
	if len(at) == 0 {
		return nil
	}
	k := &d.lay.Router.Keys[i]
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
	case !refusal || !fault.MayBeRow(err):
		return err
	case len(at) > 1:
		half := len(at) / 2
		if err := d.askEach(ctx, i, at[:half], answers); err != nil {
			return err
		}
		return d.askEach(ctx, i, at[half:], answers)
	}
	q := d.unsure[at[0]]
	bad := &failure.RowError{File: d.name, Line: q.line, Column: k.column, Err: d.lay.Refused(pgErr), Keepable: true}
	d.setAside(&d.records[q.record], bad)
	return d.Keeper.Enough(len(d.aside), bad)
}

// all returns the hash of each value, or the server's refusal of one of them.
func (a *Asker) all(ctx context.Context, expr string, values []string) (hashes []int32, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.target.Persist(ctx, func() (err error) {
		if err := a.connect(ctx); err != nil {
			return err
		}
		if hashes, err = a.query(ctx, expr, values); !fault.MayBeRow(err) {
			return err
		}
		if other := a.ofValues(ctx, expr, err); other != nil {
			return other
		}
		if len(values) > 1 {
			return err
		}
		hashes, err = a.query(ctx, expr, values) // a value must be refused twice
		return err
	})
	return hashes, err
}

// endsOpen reports whether the record that ends there with its line break is the last one
// of an input that ends inside quotes.
func endsOpen(c *input.Chunk, end int) bool { return c.Open && end == len(c.Data) }

// errOpenQuote is what is wrong with that record.
var errOpenQuote = pgcsv.ErrOpenQuote
