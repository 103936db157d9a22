package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
)

// savepoint is where a transaction goes back to when the server refuses rows. It is
// set behind the locks: a lock that is taken behind it would be given up.
const savepoint = "shardload"

// storeKeeping stores b, the transaction of which is open, without the rows that
// the server refuses. They are kept aside.
func (s *stream) storeKeeping(ctx context.Context, t target, b *batch) error {
	k := s.load.keeper
	k.takeBack(b)
	b.merged = ledger.Merged{}
	err := s.sift(ctx, t, b)
	if err == nil {
		err = s.keepAside(ctx, t, b)
	}
	if err != nil {
		return joinError(err, k.log.undo(b))
	}
	err = s.commit(ctx, b)
	if _, refused := errors.AsType[*RowError](err); refused {
		return joinError(err, k.log.undo(b))
	}
	return err
}

// joinError returns err, and with it other if there is one.
func joinError(err, other error) error {
	if other == nil {
		return err
	}
	return errors.Join(err, other)
}

// sift copies the rows of b that the server takes.
func (s *stream) sift(ctx context.Context, t target, b *batch) error {
	if len(b.parts) == 0 {
		return nil
	}
	if err := exec(ctx, s.conn, "SAVEPOINT "+savepoint); err != nil {
		return s.fail(ctx, err)
	}
	for i := range b.parts {
		p := &b.parts[i]
		a := &attempt{s: s, t: t, b: b, index: i, p: p, ordered: s.sorter.sort(p)}
		if err := a.store(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keepAside writes what of b is rejected, and corrects what its mark counts.
func (s *stream) keepAside(ctx context.Context, t target, b *batch) error {
	k, j := s.load.keeper, s.load.job
	number := int32(b.lane)
	if j != nil && !j.whole() {
		number = j.lanes[b.lane].Number
	}
	err := k.log.write(b, number, func(fn func(cause, origin, []byte) error) error { return k.each(b, fn) })
	if err == nil && b.rejects() > 0 && j.whole() {
		err = k.finish()
	}
	if err != nil {
		return err
	}
	return s.account(ctx, t, b)
}

// account corrects what the mark of b counts, which was moved before it was known
// what becomes of the rows.
func (s *stream) account(ctx context.Context, t target, b *batch) error {
	j := s.load.job
	switch {
	case j.whole() && (b.rejects() > 0 || b.merged != ledger.Merged{}):
		path := ""
		if s.load.keeper != nil {
			path = s.load.keeper.log.file()
		}
		return s.correct(ctx, ledger.CorrectDoneSQL(j.target, j.Job, b.stored(), b.rejects(), b.merged, path))
	case j != nil && !j.whole() && (len(b.refused) > 0 || b.merged != ledger.Merged{}):
		return s.correct(ctx, ledger.CorrectSQL(t.marks, j.lanes[b.lane], b.to, int64(len(b.refused)), b.merged))
	}
	return nil
}

// correct runs a statement that changes one row of the ledger.
func (s *stream) correct(ctx context.Context, sql string) error {
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return s.fail(ctx, fmt.Errorf("count what became of the rows: %w", err))
	}
	if n := results[0].CommandTag.RowsAffected(); n != 1 {
		return s.fail(ctx, fmt.Errorf("count what became of the rows: %d rows of progress changed, want 1", n))
	}
	return nil
}

// An attempt stores the rows of one part that the server takes, in the order in
// which they are sent.
type attempt struct {
	s       *stream
	t       target
	b       *batch
	index   int // of the part in the batch
	p       *part
	ordered *order // nil for the order of the input

	// Once a row was refused:
	refs []rowRef
	rows []placed
	ends []int
}

// A verdict is the server's refusal of a run of rows.
type verdict struct {
	err  *pgconn.PgError
	rows int // in the run
	at   int // the row that it names, -1 if it names none
}

// store copies all rows at once, and if one of them is refused looks for it.
func (a *attempt) store(ctx context.Context) error {
	err := a.copy(ctx, newPartReader(a.p, a.ordered), a.p.rows)
	pgErr, err := a.refusal(ctx, err)
	if err != nil || pgErr == nil {
		return err
	}
	a.spread()
	return a.sift(ctx, a.verdict(pgErr, 0, len(a.rows)))
}

// spread lays out the rows one by one.
func (a *attempt) spread() {
	a.refs = a.p.refs()
	a.ends = make([]int, len(a.refs))
	for i, r := range a.refs {
		a.ends[i] = r.start + r.length
	}
	if a.ordered != nil {
		a.rows = a.ordered.rows
		return
	}
	a.rows = make([]placed, len(a.refs))
	for i := range a.rows {
		a.rows[i].index = uint32(i)
	}
}

// sift stores the rows that the server takes, v being its verdict on all of them.
// Runs of rows grow as long as all of them are taken, so that a batch with many bad
// rows is not sent again for each.
func (a *attempt) sift(ctx context.Context, v *verdict) error {
	lo, run := 0, len(a.rows)
	for lo < len(a.rows) {
		hi := min(lo+run, len(a.rows))
		if v == nil {
			var err error
			if v, err = a.try(ctx, lo, hi); err != nil {
				return err
			}
		}
		if v == nil {
			lo, run = hi, 2*run
			continue
		}
		next, err := a.narrow(ctx, lo, hi, v)
		if err != nil {
			return err
		}
		run = max(2*(next-1-lo), 1)
		lo, v = next, nil
	}
	return nil
}

// narrow finds the first row of [lo, hi) that is refused, of which v is the verdict,
// and stores those before it: directly where the verdict names it, else by halves. The
// index of the row behind it is returned. No row is refused for what was said of
// others with it: that may have passed.
func (a *attempt) narrow(ctx context.Context, lo, hi int, v *verdict) (int, error) {
	for {
		middle := lo + (hi-lo)/2
		if v.at >= 0 {
			middle, hi = v.at, v.at+1
		}
		if hi-lo == 1 && (v.at >= 0 || v.rows == 1) {
			return hi, a.refuse(lo, v)
		}
		middle = max(middle, lo+1)
		before, err := a.try(ctx, lo, middle)
		switch {
		case err != nil:
			return 0, err
		case before == nil && middle == hi:
			return hi, nil
		case before == nil:
			lo = middle
		default:
			hi, v = middle, before
		}
	}
}

// refuse keeps a row aside.
func (a *attempt) refuse(i int, v *verdict) error {
	told := refused(v.err)
	c := cause{column: v.err.ColumnName, sqlState: told.SQLState, reason: told.Message[:min(len(told.Message), maxReason)]}
	if m := copyContext.FindStringSubmatch(v.err.Where); c.column == "" && v.at >= 0 && m != nil && a.s.load.lay.table.Column(m[3]) != nil {
		c.column = m[3]
	}
	return a.s.load.keeper.refuse(a.b, refusal{part: a.index, row: a.refs[a.rows[i].index], cause: c})
}

// try stores rows [lo, hi), or none of them and returns why.
func (a *attempt) try(ctx context.Context, lo, hi int) (*verdict, error) {
	r := &partReader{order: &order{rows: a.rows[lo:hi], ends: a.ends}, data: a.p.data.pages}
	if a.p.format == formatBinary {
		r.whole, r.tail = cursor{pages: [][]byte{binaryHeader}}, cursor{pages: [][]byte{binaryTrailer}}
	}
	pgErr, err := a.refusal(ctx, a.copy(ctx, r, int64(hi-lo)))
	if err != nil || pgErr == nil {
		return nil, err
	}
	return a.verdict(pgErr, lo, hi), nil
}

// copy copies n rows, checks what is deferred, and sets the savepoint anew.
func (a *attempt) copy(ctx context.Context, r io.Reader, n int64) error {
	lay := a.s.load.lay
	stored, err := a.s.copyRows(ctx, a.t, a.p.format, r)
	if err != nil {
		return err
	}
	if stored != n {
		return droppedError(a.s.load.name, a.p, n, stored, lay)
	}
	var merged ledger.Merged
	clean := ""
	if lay.merge != nil {
		if merged, err = a.s.merge(ctx, a.t, n); errors.Is(err, errDropped) {
			return a.s.droppedByTrigger(a.b)
		}
		if err != nil {
			return err
		}
		clean = "TRUNCATE " + stagingTable + "; "
	}
	if err := exec(ctx, a.s.conn, clean+"SET CONSTRAINTS ALL IMMEDIATE; RELEASE SAVEPOINT "+savepoint+"; SAVEPOINT "+savepoint); err != nil {
		return err
	}
	a.b.merged.Add(merged)
	return nil
}

// refusal returns the server's refusal of rows, after which the transaction is back
// at the savepoint; or any other error.
func (a *attempt) refusal(ctx context.Context, err error) (*pgconn.PgError, error) {
	if err == nil {
		return nil, nil
	}
	if _, ok := errors.AsType[*RowError](err); ok {
		return nil, err
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || ctx.Err() != nil {
		return nil, a.s.fail(ctx, err)
	}
	if betraysChange(pgErr) {
		a.s.load.log.Warn("rows are no longer what the table wants", "error", refused(pgErr))
		return nil, a.s.rollback(ctx, &ChangedError{Table: a.s.load.lay.table.SQL()})
	}
	if err := a.s.noRows(ctx, a.t, pgErr); err != nil {
		return nil, err
	}
	if err := exec(ctx, a.s.conn, "ROLLBACK TO SAVEPOINT "+savepoint); err != nil {
		return nil, a.s.fail(ctx, err)
	}
	return pgErr, nil
}

// betraysChange reports whether err tells of rows that have another form than the
// table's columns: what is no record the decoders have found.
func betraysChange(err *pgconn.PgError) bool {
	return err.Code == "08P01" || err.Code == "22P03" || err.Code == badRecord
}

// verdict returns what err says about rows [lo, hi).
func (a *attempt) verdict(err *pgconn.PgError, lo, hi int) *verdict {
	v := &verdict{err: err, rows: hi - lo, at: -1}
	m := copyContext.FindStringSubmatch(err.Where)
	_, relation := a.s.landing(a.t)
	if m == nil || m[1] != relation || strings.Contains(err.Where, "while executing command on") {
		return v
	}
	if n, convErr := strconv.ParseInt(m[2], 10, 64); convErr == nil {
		v.at = a.rowAt(n, lo, hi)
	}
	return v
}

// rowAt returns the row of [lo, hi) that COPY calls line n, -1 for none.
func (a *attempt) rowAt(n int64, lo, hi int) int {
	if a.p.format == formatBinary {
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
		buf = a.p.appendRow(buf[:0], a.refs[a.rows[i].index])
		if line += 1 + pgcsv.Lines(buf[:len(buf)-1], inside); line >= n {
			return i
		}
	}
	return -1
}

// droppedError reports that of the rows of p not all were stored, without an error.
func droppedError(name string, p *part, sent, stored int64, lay *layout) error {
	return &RowError{File: name, Line: p.firstLine(), LastLine: p.lastLine,
		Err: fmt.Errorf("%s sent, %d stored, and so none is kept; does a trigger of %s drop rows? disable it for the load", plural(sent, "row"), stored, lay.table.SQL())}
}
