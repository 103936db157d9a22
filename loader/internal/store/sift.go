package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
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

// sift copies the rows of b that the server takes.
func (x *tx) sift(ctx context.Context) error {
	if len(x.b.Parts) == 0 {
		return nil
	}
	if err := server.Exec(ctx, x.conn, "SAVEPOINT "+savepoint); err != nil {
		return x.fail(ctx, err)
	}
	for i := range x.b.Parts {
		p := &x.b.Parts[i]
		s := &sifter{x: x, index: i, p: p, ordered: x.sorter.Sort(p)}
		if err := s.store(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keepAside writes what of b is rejected, and corrects what its mark counts.
func (x *tx) keepAside(ctx context.Context) error {
	k, j := x.load.Keeper, x.load.Job
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
	results, err := s.conn.Exec(ctx, server.OwnPathSQL+"; "+sql+"; "+s.load.Target.Session.PathSQL()).ReadAll()
	if err != nil {
		return s.fail(ctx, fmt.Errorf("count what became of the rows: %w", err))
	}
	if n := results[len(results)-2].CommandTag.RowsAffected(); n != 1 {
		return s.fail(ctx, fmt.Errorf("count what became of the rows: %d rows of progress changed, want 1", n))
	}
	return nil
}

// A sifter stores the rows of one part that the server takes, in the order in
// which they are sent.
type sifter struct {
	x       *tx
	index   int // of the part in the batch
	p       *lane.Part
	ordered *lane.Order // nil for the order of the input

	// Once a row was refused:
	refs []lane.RowRef
	rows []lane.Placed
	ends []int

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

// store copies all rows at once, and if one of them is refused looks for it.
func (s *sifter) store(ctx context.Context) error {
	err := s.copy(ctx, lane.NewReader(s.p, s.ordered), s.p.Rows)
	pgErr, err := s.refusal(ctx, err)
	if err != nil || pgErr == nil {
		return err
	}
	s.spread()
	return s.sift(ctx, s.verdict(pgErr, 0, len(s.rows)))
}

// spread lays out the rows one by one.
func (s *sifter) spread() {
	s.refs = s.p.Refs()
	s.ends = make([]int, len(s.refs))
	for i, r := range s.refs {
		s.ends[i] = r.Start + r.Length
	}
	if s.ordered != nil {
		s.rows = s.ordered.Rows
		return
	}
	s.rows = make([]lane.Placed, len(s.refs))
	for i := range s.rows {
		s.rows[i].Index = uint32(i)
	}
}

// sift stores the rows that the server takes, v being its verdict on all of them.
// Runs of rows grow as long as all of them are taken, so that a batch with many bad
// rows is not sent again for each.
func (s *sifter) sift(ctx context.Context, v *verdict) error {
	lo, run := 0, len(s.rows)
	for lo < len(s.rows) {
		hi := min(lo+run, len(s.rows))
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

// refuse keeps a row aside.
func (s *sifter) refuse(i int, v *verdict) error {
	told := s.x.load.Layout.Refused(v.err)
	c := lane.Cause{Column: v.err.ColumnName, SQLState: told.SQLState, Reason: told.Message[:min(len(told.Message), failure.MaxReason)], Detail: told.Detail}
	if m := copyContext.FindStringSubmatch(v.err.Where); c.Column == "" && v.at >= 0 && m != nil && s.x.load.Layout.Table.Column(m[3]) != nil {
		c.Column = m[3]
	}
	return s.x.load.Keeper.Refuse(s.x.b, lane.Refusal{Part: s.index, Row: s.refs[s.rows[i].Index], Cause: c})
}

// try stores rows [lo, hi), or none of them and returns why.
func (s *sifter) try(ctx context.Context, lo, hi int) (*verdict, error) {
	pgErr, err := s.refusal(ctx, s.copy(ctx, s.reader(lo, hi), int64(hi-lo)))
	if err != nil {
		return nil, err
	}
	if pgErr == nil {
		s.proof.taken(hi - lo)
		return nil, nil
	}
	return s.verdict(pgErr, lo, hi), nil
}

// reader returns rows [lo, hi) as COPY reads them.
func (s *sifter) reader(lo, hi int) io.Reader {
	return lane.NewRowsReader(s.p, &lane.Order{Rows: s.rows[lo:hi], Ends: s.ends})
}

// copy copies n rows, checks what is deferred, and sets the savepoint anew.
func (s *sifter) copy(ctx context.Context, r io.Reader, n int64) error {
	merged, err := s.put(ctx, r, n)
	if err != nil {
		return err
	}
	clean := ""
	if s.x.load.Merge != nil {
		clean = "TRUNCATE " + stagingTable + "; "
	}
	if err := server.Exec(ctx, s.x.conn, clean+s.check(n)+"; RELEASE SAVEPOINT "+savepoint+"; SAVEPOINT "+savepoint); err != nil {
		return err
	}
	s.x.b.Merged.Add(merged)
	return nil
}

// put copies n rows to where they belong.
func (s *sifter) put(ctx context.Context, r io.Reader, n int64) (merged ledger.Merged, err error) {
	lay := s.x.load.Layout
	stored, err := s.x.copyRows(ctx, s.p.Notation, r)
	if err != nil {
		return merged, err
	}
	if stored != n {
		return merged, droppedError(s.x.load.Input, s.p, n, stored, lay)
	}
	if s.x.load.Merge != nil {
		if merged, err = s.x.merge(ctx, n); errors.Is(err, errDropped) {
			return merged, s.x.droppedByTrigger()
		}
	}
	return merged, err
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
	v := &verdict{err: err, kind: fault.Of(err), rows: hi - lo, at: -1}
	_, relation := s.x.load.landing(s.x.t)
	if n, _, ok := namedRow(err, relation); ok {
		v.at = s.rowAt(n, lo, hi)
	}
	return v
}

// rowAt returns the row of [lo, hi) that COPY calls line n, -1 for none.
func (s *sifter) rowAt(n int64, lo, hi int) int {
	if s.p.Notation == lane.NotationBinary || s.p.Dialect.ByRecord() {
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
		buf = s.p.AppendRow(buf[:0], s.refs[s.rows[i].Index])
		if line += 1 + pgcsv.Lines(buf[:len(buf)-1], inside); line >= n {
			return i
		}
	}
	return -1
}

// droppedError reports that of the rows of p not all were stored, without an error.
func droppedError(name string, p *lane.Part, sent, stored int64, lay *decode.Layout) error {
	return &failure.RowError{
		File: name, Line: p.FirstLine(), LastLine: p.LastLine,
		Err: fmt.Errorf("%s sent, %d stored, and so none is kept; does a trigger of %s drop rows? disable it for the load", term.Plural(sent, "row"), stored, lay.Table.SQL()),
	}
}
