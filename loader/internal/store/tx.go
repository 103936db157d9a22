package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/route"
	"shardload/loader/internal/target"
)

// A tx is the transaction in which a stream stores a batch at its destination.
type tx struct {
	*stream
	t route.Destination
	b *lane.Batch
	// received says that an INSERT has counted what Citus received, and not what is stored.
	received bool
}

// errMarked is what store returns of a batch whose mark is not where it was: it may be stored.
var errMarked = errors.New("the mark is not where it was")

// store stores the batch: it opens the transaction, copies the rows, moves those that were
// staged into the table, and commits. Where records may be rejected storeKeeping does so, without
// the rows that the server refuses.
func (x *tx) store(ctx context.Context) error {
	x.b.Sending = false
	if err := x.beginHeld(ctx); err != nil {
		return err
	}
	x.b.Sending = true
	if x.load.Keeper != nil {
		return x.storeKeeping(ctx)
	}
	for i := range x.b.Sections {
		if err := x.copySection(ctx, &x.b.Sections[i]); err != nil {
			return err
		}
	}
	if x.load.Merge != nil && x.b.Rows > 0 {
		if err := x.mergeBatch(ctx); err != nil {
			return err
		}
		if err := x.account(ctx); err != nil {
			return err
		}
	}
	if err := x.missNone(ctx); err != nil {
		return err
	}
	return x.commit(ctx)
}

// beginHeld opens a batch's transaction, as begin does. Where all of the input is
// stored in it, moves are held off until it is known that all nodes have committed it.
func (x *tx) beginHeld(ctx context.Context) error {
	if !x.load.Job.HoldsMoves() {
		return x.begin(ctx)
	}
	for {
		if err := x.tryHeld(ctx); !errors.Is(err, route.ErrHeld) {
			return err
		}
		x.load.Target.Log.Debug("a move of a shard goes first")
		select {
		case <-time.After(fault.HoldPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tryHeld does what beginHeld does, once. The error is route.ErrHeld if a move goes first.
// If moves are held off already, the answer to an earlier try's COMMIT was lost:
// then they are let through no earlier than it is seen that it has not stored the rows.
func (x *tx) tryHeld(ctx context.Context) error {
	if x.load.Fence.Holds() {
		if err := x.begin(ctx); err != nil {
			return err
		}
		if err := x.rollback(ctx, nil); err != nil {
			return err
		}
		if err := x.load.Fence.LetMove(ctx); err != nil {
			return x.fail(ctx, err)
		}
	}
	held := *x
	held.t.Guard = citus.HoldSQL(x.load.Target.Table.OID) + "; " + x.t.Guard
	if err := held.begin(ctx); err != nil {
		return err
	}
	err := x.load.Fence.HoldMoves(ctx, x.load.Job.Files)
	switch {
	case errors.Is(err, route.ErrHeld):
		return x.rollback(ctx, route.ErrHeld)
	case errors.Is(err, route.ErrElsewhere):
		if err := x.rollback(ctx, nil); err != nil {
			return err
		}
		return cmp.Or(x.load.Job.LookAgain(ctx), route.ErrHeld)
	case err != nil:
		return x.fail(ctx, err)
	}
	return nil
}

// begin opens a batch's transaction, locks what it writes to, which must still be
// as it was, and moves the lane's mark from where it must still be. All of it is
// one round trip, or two where Citus sends rows on to other nodes. After it the search path
// is the role's own, for what the table's triggers, defaults and checks call.
func (x *tx) begin(ctx context.Context) error {
	mark, statements, err := x.load.Job.SQL(x.t.Marks, x.b)
	if err != nil {
		return err
	}
	create := ""
	if m := x.load.Merge; m != nil && x.b.Rows > 0 {
		if err := x.lookForPooler(ctx); err != nil {
			return x.fail(ctx, fmt.Errorf("begin: %w", err))
		}
		create = m.createSQL(x.conn, x.conn != x.direct)
	}
	session, path := &x.load.Target.Session, "; "+x.load.Target.Session.PathSQL()
	open := session.Batch(x.conn)
	if of := x.load.Target; x.t.Nodes || of.Distribution.Kind != citus.Local && x.t.Table == of.Table.SQL() {
		if err := session.StartBatch(ctx, x.conn, x.t.Nodes); err != nil {
			return x.fail(ctx, fmt.Errorf("begin: %w", err))
		}
		open = ""
	}
	results, err := x.conn.Exec(ctx, open+create+x.t.Guard+mark+path).ReadAll()
	switch {
	case fault.Gone(err):
		return x.rollback(ctx, x.t.Lost)
	case x.load.Job.AtOnce() && ledger.IsDone(err):
		return x.rollback(ctx, errMarked)
	case ledger.Untrusted(err) != nil:
		return x.rollback(ctx, ledger.Untrusted(err))
	case err != nil:
		return x.fail(ctx, fmt.Errorf("begin: %w", err))
	}
	guard := results[len(results)-2-statements].Rows
	moved := results[len(results)-2]
	switch {
	case len(guard) != 1 || string(guard[0][0]) != strconv.Itoa(x.t.Count):
		return x.rollback(ctx, x.t.Lost)
	case statements > 0 && moved.CommandTag.RowsAffected() != 1:
		return x.rollback(ctx, errMarked)
	}
	return nil
}

// rollback ends the transaction of a batch that cannot be stored for that reason.
func (s *stream) rollback(ctx context.Context, because error) error {
	if err := server.Exec(ctx, s.conn, "ROLLBACK"); err != nil {
		return s.fail(ctx, fmt.Errorf("roll back: %w", err))
	}
	return because
}

// copySection stores p with one COPY statement.
func (x *tx) copySection(ctx context.Context, p *lane.Section) error {
	lay := x.load.Layout
	order := x.sorter.Sort(p)
	stored, err := x.copyRows(ctx, p.Notation, lane.NewReader(p, order))
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && ctx.Err() == nil {
		if err := x.noRows(ctx, pgErr); err != nil {
			return err
		}
		_, relation := x.load.landing(x.t)
		if row := locate(pgErr, x.load.Input, relation, lay, p, order, x.load.column); row != nil {
			return row
		}
		return x.fail(ctx, lay.Refused(pgErr))
	}
	if err != nil {
		return x.fail(ctx, err)
	}
	if stored != p.Rows {
		return droppedError(x.load.Input, p, p.Rows, stored, lay)
	}
	return nil
}

// copyRows copies rows in that notation to where they land, and returns how many the
// server says it has stored.
func (x *tx) copyRows(ctx context.Context, as lane.Notation, rows io.Reader) (int64, error) {
	form := x.load.Layout.RecordForm
	if as == lane.NotationBinary {
		form = x.load.Layout.BinaryForm
	}
	table, _ := x.load.landing(x.t)
	tag, err := x.conn.CopyFrom(ctx, rows, "COPY "+table+form)
	if err != nil {
		return 0, x.ofTable(err)
	}
	return tag.RowsAffected(), nil
}

// noRows returns what becomes of a batch for an error that is no row's, and nil if it
// may be one's. A split makes Citus itself fail so that what it wrote to is gone.
func (x *tx) noRows(ctx context.Context, err *pgconn.PgError) error {
	if x.t.Gone(err) {
		return x.rollback(ctx, route.ErrGone)
	}
	switch fault.Of(err) {
	case fault.Passing:
		return x.fail(ctx, err)
	case fault.Changed:
		return x.rollback(ctx, &failure.ChangedError{Table: x.load.Layout.Table.String(), How: x.load.Layout.Refused(err).Error()})
	case fault.Row, fault.Unclear:
		return nil
	}
	return x.fail(ctx, x.load.Layout.Refused(err))
}

// commit commits b. A load that is interrupted waits a moment for the answer, so
// that it can say what was stored.
func (x *tx) commit(ctx context.Context) error {
	commitCtx, end := fault.Grace(ctx)
	defer end()
	target.TakeWarning(x.conn)
	result, err := x.conn.Exec(commitCtx, "COMMIT").ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && metRows(pgErr) {
		if x.load.Keeper != nil && !x.b.Deferred && x.b.Rows > 0 {
			x.b.Deferred = true
			return errDeferred
		}
		return batchError(pgErr, x.load.Input, x.load.Layout, x.b)
	}
	if err != nil {
		if !x.load.Job.Tell() || ctx.Err() != nil {
			x.load.InDoubt.Add(x.b.Rows)
		}
		return x.fail(ctx, &doubtError{rows: x.b.Rows, err: err})
	}
	if len(result) != 1 || result[0].CommandTag.String() != "COMMIT" {
		return fmt.Errorf("the server rolled a batch of %d rows back without an error", x.b.Rows)
	}
	if warning := target.TakeWarning(x.conn); warning != "" && x.load.Target.Server.Citus != "" {
		return x.settle(ctx, warning)
	}
	return nil
}

// A doubtError says that rows may be stored or not: the answer to their COMMIT was
// lost.
type doubtError struct {
	rows int64
	err  error
}

func (e *doubtError) Error() string {
	return fmt.Sprintf("the answer to a COMMIT of %d rows was lost, they may be stored or not: %v", e.rows, e.err)
}

func (e *doubtError) Unwrap() error { return e.err }

// settle waits for what a COMMIT has left undone, as warning says.
func (s *stream) settle(ctx context.Context, warning string) error {
	ld := s.load
	return ld.Target.OnControl(ctx, func(conn *pgx.Conn) error {
		err := ld.Target.Settle(ctx, conn, ld.Input, warning)
		if err != nil {
			return err
		}
		return ld.Job.Settle(ctx, conn)
	})
}
