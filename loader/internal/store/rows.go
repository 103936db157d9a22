package store

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/loader/internal/lane"
)

// Rows are what a sifter stores, in their order, the first of which is 0: those of a section,
// which are sent, or those that are staged.
type rows interface {
	len() int
	// prepare comes before the first put.
	prepare(ctx context.Context, s *sifter) error
	// put stores rows [lo, hi), and returns what became of them.
	put(ctx context.Context, lo, hi int) (ledger.Merged, error)
	// clean returns statements that come after put, "" for none.
	clean() string
	// spread lays the rows out one by one: put was refused all of them. It may find rows
	// that are certainly refused itself, and reports whether it has, so that there are fewer.
	spread(ctx context.Context, s *sifter) (fewer bool, err error)
	// named returns the row of [lo, hi) that err names, -1 for none.
	named(err *pgconn.PgError, lo, hi int) int
	// ref returns row i, once the rows are spread, and its section of the batch.
	ref(i int) (section int, row lane.RowRef)
}

// sectionRows are the rows of a section, in the order in which they are sent.
type sectionRows struct {
	x       *tx
	index   int // of the section in the batch
	p       *lane.Section
	ordered *lane.Order // nil for the order of the input

	// Once they are spread:
	refs []lane.RowRef
	rows []lane.Placed
	ends []int
}

func (r *sectionRows) len() int { return int(r.p.Rows) }

func (r *sectionRows) prepare(context.Context, *sifter) error { return nil }

func (r *sectionRows) spread(context.Context, *sifter) (fewer bool, err error) {
	r.refs = r.p.Refs()
	r.ends = make([]int, len(r.refs))
	for i, ref := range r.refs {
		r.ends[i] = ref.Start + ref.Length
	}
	if r.ordered != nil {
		r.rows = r.ordered.Rows
		return false, nil
	}
	r.rows = make([]lane.Placed, len(r.refs))
	for i := range r.rows {
		r.rows[i].Index = uint32(i)
	}
	return false, nil
}

func (r *sectionRows) ref(i int) (section int, row lane.RowRef) {
	return r.index, r.refs[r.rows[i].Index]
}

// merges reports whether rows pass through a staging table, of which they do not wait for
// those of other sections there.
func (r *sectionRows) merges() bool { return r.x.load.Merge != nil && r.x.load.Merge.stage == nil }

func (r *sectionRows) clean() string {
	if r.merges() {
		return "TRUNCATE " + stagingTable + "; "
	}
	return ""
}

// put copies rows to where they belong.
func (r *sectionRows) put(ctx context.Context, lo, hi int) (merged ledger.Merged, err error) {
	n := int64(hi - lo)
	stored, err := r.x.copyRows(ctx, r.p.Notation, r.reader(lo, hi))
	if err != nil {
		return merged, err
	}
	if stored != n {
		return merged, droppedError(r.x.load.Input, r.p, n, stored, r.x.load.Layout)
	}
	if r.merges() {
		if merged, err = r.x.merge(ctx, n, stagingTable); errors.Is(err, errDropped) {
			return merged, r.x.droppedByTrigger()
		}
	}
	return merged, err
}

// reader returns rows [lo, hi) as COPY reads them.
func (r *sectionRows) reader(lo, hi int) io.Reader {
	switch {
	case lo == hi && r.p.Notation == lane.NotationBinary:
		return io.MultiReader(bytes.NewReader(lane.BinaryHeader), bytes.NewReader(lane.BinaryTrailer))
	case lo == hi:
		return bytes.NewReader(nil)
	case r.rows == nil: // all
		return lane.NewReader(r.p, r.ordered)
	}
	return lane.NewRowsReader(r.p, &lane.Order{Rows: r.rows[lo:hi], Ends: r.ends})
}

func (r *sectionRows) named(err *pgconn.PgError, lo, hi int) int {
	_, relation := r.x.load.landing(r.x.t)
	n, _, ok := namedRow(err, relation)
	if !ok {
		return -1
	}
	return r.rowAt(n, lo, hi)
}

// rowAt returns the row of [lo, hi) that COPY calls line n, -1 for none.
func (r *sectionRows) rowAt(n int64, lo, hi int) int {
	if r.p.Notation == lane.NotationBinary || r.p.Dialect.ByRecord() {
		if n < 1 || n > int64(hi-lo) {
			return -1
		}
		return lo + int(n) - 1
	}
	var buf []byte
	line := int64(0)
	for i := lo; i < hi; i++ {
		inside := pgcsv.LF // see recordAt
		if i == lo {
			inside = pgcsv.CR
		}
		buf = r.p.AppendRow(buf[:0], r.refs[r.rows[i].Index])
		if line += 1 + pgcsv.Lines(buf[:len(buf)-1], inside); line >= n {
			return i
		}
	}
	return -1
}
