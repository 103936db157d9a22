package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/lane"
)

// savepoint is where a transaction goes back to when the server refuses rows. It is
// set behind the locks: a lock that is taken behind it would be given up.
const savepoint = "shardload"

// storeKeeping stores b, the transaction of which is open, without the rows that
// the server refuses. They are kept aside.
func (x *tx) storeKeeping(ctx context.Context) error {
	k := x.load.Keeper
	k.TakeBack(x.b)
	x.b.Unclear = 0
	x.b.Merged = ledger.Merged{}
	err := x.sift(ctx)
	if err == nil && x.b.Barren() {
		x.b.Anew, err = true, errAnew
	}
	if err == nil {
		err = x.missNone(ctx)
	}
	if err == nil {
		err = x.keepAside(ctx)
	}
	if err != nil {
		return joinError(err, k.Undo(x.b))
	}
	err = x.commit(ctx)
	if _, refused := errors.AsType[*failure.RowError](err); refused || errors.Is(err, errDeferred) {
		return joinError(err, k.Undo(x.b))
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

// sift stores the rows of b that the server takes.
func (x *tx) sift(ctx context.Context) error {
	if len(x.b.Sections) == 0 {
		return nil
	}
	if err := server.Exec(ctx, x.conn, "SAVEPOINT "+savepoint); err != nil {
		return x.fail(ctx, err)
	}
	for i := range x.b.Sections {
		p := &x.b.Sections[i]
		s := &sifter{x: x, of: &sectionRows{x: x, index: i, p: p, ordered: x.sorter.Sort(p)}}
		if err := s.store(ctx); err != nil {
			return err
		}
	}
	if m := x.load.Merge; m == nil || m.stage == nil {
		return nil
	}
	s := &sifter{x: x, of: newStagedRows(x)}
	return s.store(ctx)
}

// keepAside writes what of b is rejected, and corrects what its mark counts.
func (x *tx) keepAside(ctx context.Context) error {
	k, j := x.load.Keeper, x.load.Job
	if k.Rows != nil {
		if err := insertRejects(ctx, x); err != nil {
			return err
		}
		return x.account(ctx)
	}
	err := k.Write(x.b, j.Number(x.b.Lane))
	if err == nil && x.b.Rejects() > 0 && j.AtOnce() {
		err = k.Finish(x.load.Header, x.load.EOL)
	}
	if err != nil {
		return err
	}
	return x.account(ctx)
}

// account corrects what the mark of b counts, which was moved before it was known
// what becomes of the rows.
func (x *tx) account(ctx context.Context) error {
	rejects := ""
	if x.load.Keeper != nil {
		rejects = x.load.Keeper.File()
	}
	sql := x.load.Job.CorrectSQL(x.t.Marks, x.b, rejects)
	if sql == "" {
		return nil
	}
	return x.correct(ctx, sql)
}

// correct runs a statement that changes one row of the ledger.
func (s *stream) correct(ctx context.Context, sql string) error {
	return s.change(ctx, sql, 1)
}

// change runs a statement that changes so many rows of the ledger.
func (s *stream) change(ctx context.Context, sql string, want int64) error {
	results, err := s.conn.Exec(ctx, server.OwnPathSQL+"; "+sql+"; "+s.load.Target.Session.PathSQL()).ReadAll()
	if err != nil {
		return s.fail(ctx, fmt.Errorf("count what became of the rows: %w", err))
	}
	if n := results[len(results)-2].CommandTag.RowsAffected(); n != want {
		return s.fail(ctx, fmt.Errorf("count what became of the rows: %d rows of progress changed, want %d", n, want))
	}
	return nil
}

// A sifter stores those of some rows that the server takes, in their order.
type sifter struct {
	x     *tx
	of    rows
	n     int // how many they are
	proof proof
}

// A verdict is the server's refusal of a run of rows.
type verdict struct {
	err  *pgconn.PgError
	kind fault.Kind
	rows int // in the run
	at   int // the row that it names, -1 if it names none

	probed bool // that row was tried alone
}

// store stores all rows at once, and if one of them is refused looks for it.
func (s *sifter) store(ctx context.Context) error {
	if err := s.of.prepare(ctx, s); err != nil {
		return err
	}
	s.n = s.of.len()
	err := s.copy(ctx, 0, s.n)
	pgErr, err := s.refusal(ctx, err)
	if err != nil || pgErr == nil {
		return err
	}
	fewer, err := s.of.spread(ctx, s)
	if err != nil {
		return err
	}
	if fewer {
		s.n = s.of.len()
		return s.sift(ctx, nil)
	}
	return s.sift(ctx, s.verdict(pgErr, 0, s.n))
}

// sift stores the rows that the server takes, v being its verdict on all of them.
// Runs of rows grow as long as all of them are taken, so that a batch with many bad
// rows is not sent again for each.
func (s *sifter) sift(ctx context.Context, v *verdict) error {
	lo, run := 0, s.n
	for lo < s.n {
		hi := min(lo+run, s.n)
		if v == nil {
			var err error
			if v, err = s.try(ctx, lo, hi); err != nil {
				return err
			}
		}
		if v == nil {
			lo, run = hi, 2*run
			continue
		}
		next, err := s.narrow(ctx, lo, hi, v)
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
// index of the row after it is returned. No row is refused for what was said of
// others with it: that may have passed.
func (s *sifter) narrow(ctx context.Context, lo, hi int, v *verdict) (int, error) {
	for {
		if err := s.doubt(ctx, v); err != nil {
			return 0, err
		}
		middle := max(lo+(hi-lo)/2, lo+1)
		switch {
		case v.at == lo, v.at < 0 && hi-lo == 1 && v.rows == 1:
			return lo + 1, s.blame(ctx, lo, v)
		case v.at > lo:
			middle, hi = v.at, v.at+1
		}
		before, err := s.try(ctx, lo, middle)
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

// refuse keeps a row aside, or where none may be, returns the error that it is.
func (s *sifter) refuse(i int, v *verdict) error {
	told := s.x.load.Layout.Refused(v.err)
	column := v.err.ColumnName
	if m := copyContext.FindStringSubmatch(v.err.Where); column == "" && v.at >= 0 && m != nil {
		column = s.x.load.column(m[3])
	}
	section, ref := s.of.ref(i)
	return s.reject(section, ref, column, told)
}

// reject keeps a row of the batch aside, or where none may be, returns the error that it is.
func (s *sifter) reject(section int, row lane.RowRef, column string, told *failure.RefusedError) error {
	of := s.x.load
	if of.Keeper == nil {
		return &failure.RowError{File: cmp.Or(row.Source, of.Input), Line: row.Line, Column: column, Err: told, Keepable: true}
	}
	c := lane.Cause{Column: column, SQLState: told.SQLState, Reason: told.Message[:min(len(told.Message), failure.MaxReason)], Detail: told.Detail}
	return of.Keeper.Refuse(s.x.b, lane.Refusal{Section: section, Row: row, Cause: c})
}

// try stores rows [lo, hi), or none of them and returns why.
func (s *sifter) try(ctx context.Context, lo, hi int) (*verdict, error) {
	pgErr, err := s.refusal(ctx, s.copy(ctx, lo, hi))
	if err != nil {
		return nil, err
	}
	if pgErr == nil {
		s.proof.taken(hi - lo)
		return nil, nil
	}
	return s.verdict(pgErr, lo, hi), nil
}

// copy stores rows [lo, hi), checks what is deferred, and sets the savepoint anew.
func (s *sifter) copy(ctx context.Context, lo, hi int) error {
	merged, err := s.of.put(ctx, lo, hi)
	if err != nil {
		return err
	}
	if err := server.Exec(ctx, s.x.conn, s.of.clean()+s.check(int64(hi-lo))+"; RELEASE SAVEPOINT "+savepoint+"; SAVEPOINT "+savepoint); err != nil {
		return err
	}
	s.x.b.Merged.Add(merged)
	return nil
}

// refusal returns the server's refusal of rows, after which the transaction is back
// at the savepoint; or any other error.
func (s *sifter) refusal(ctx context.Context, err error) (*pgconn.PgError, error) {
	if err == nil {
		return nil, nil
	}
	if _, ok := errors.AsType[*failure.RowError](err); ok {
		return nil, err
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || ctx.Err() != nil {
		return nil, s.x.fail(ctx, err)
	}
	if err := s.x.noRows(ctx, pgErr); err != nil {
		return nil, err
	}
	if err := server.Exec(ctx, s.x.conn, "ROLLBACK TO SAVEPOINT "+savepoint); err != nil {
		return nil, s.x.fail(ctx, err)
	}
	return pgErr, nil
}

// verdict returns what err says about rows [lo, hi).
func (s *sifter) verdict(err *pgconn.PgError, lo, hi int) *verdict {
	return &verdict{err: err, kind: fault.Of(err), rows: hi - lo, at: s.of.named(err, lo, hi)}
}

// droppedError reports that of the rows of p not all were stored, without an error.
func droppedError(name string, p *lane.Section, sent, stored int64, lay *decode.Layout) error {
	row := &failure.RowError{
		Err: fmt.Errorf("%s sent, %d stored, and so none is kept; does a trigger of %s drop rows? disable it for the load", term.Plural(sent, "row"), stored, lay.Table.SQL()),
	}
	placeAt(row, p.Span(), name)
	return row
}
