package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/ledger"
)

// commitGrace is how long an interrupted load waits for the answer to a COMMIT
// that is under way: long enough for most, short enough for a person.
const commitGrace = 1500 * time.Millisecond

// A stream stores batches on one connection to a node.
type stream struct {
	load *load
	node *node
	conn *pgconn.PgConn // nil until the first batch

	sorter sorter
}

// What store returns of a batch that is not stored, but may be.
var (
	errGone   = errors.New("the shard has moved")
	errMarked = errors.New("the mark is not where it was")
)

// run stores batches until there are no more.
func (s *stream) run(ctx context.Context) error {
	if s.load.stage == StageDecode {
		return s.discard(ctx)
	}
	defer s.release()
	for {
		b, err := s.load.lanes.next(ctx, s.node.index)
		if err != nil || b == nil {
			return err
		}
		if s.conn == nil {
			s.conn, err = s.node.acquire(ctx, s.load.log)
			switch {
			case err != nil && transient(err):
				if err := s.later(ctx, b, err); err != nil {
					return err
				}
				continue
			case s.conn == nil:
				s.load.lanes.again(b) // for the streams that have a connection
				return err
			}
		}
		if err := s.carry(ctx, b); err != nil {
			return err
		}
	}
}

// carry stores b, or gives it back if it may be stored later, or elsewhere.
func (s *stream) carry(ctx context.Context, b *batch) error {
	started := time.Now()
	err := s.store(ctx, b)
	s.load.copying.Add(int64(time.Since(started)))
	if errors.Is(err, errMarked) {
		stored, markErr := s.load.stored(ctx, b)
		switch {
		case markErr != nil:
			return markErr
		case stored:
			err = nil
		default:
			err = errGone
		}
	}
	switch {
	case err == nil:
		s.done(b, started)
		return nil
	case errors.Is(err, errGone):
		if err := s.load.dispatch.remap(ctx, b); err != nil {
			return err
		}
		s.again(b)
		return nil
	case ctx.Err() == nil && transient(err) && !s.doubtful(err):
		return s.later(ctx, b, err)
	}
	return err
}

// done counts b as stored.
func (s *stream) done(b *batch, started time.Time) {
	s.node.patience.succeed(s.load.log)
	s.load.rows.Add(b.stored())
	s.load.rejected.Add(b.rejects())
	s.load.updated.Add(b.merged.Updated)
	s.load.skipped.Add(b.merged.Skipped)
	if k := s.load.keeper; k != nil {
		k.stored(b)
	}
	if b.rows > 0 {
		s.load.batches.Add(1)
		s.observe(b, started)
	}
	s.load.lanes.done(b)
}

// doubtful reports whether err leaves open what was stored, with no mark to tell.
func (s *stream) doubtful(err error) bool {
	_, doubt := errors.AsType[*doubtError](err)
	return doubt && s.load.job == nil
}

// later gives b back, and waits before the next attempt on this node.
func (s *stream) later(ctx context.Context, b *batch, err error) error {
	if s.conn != nil {
		s.node.drop(s.conn)
		s.conn = nil
	}
	s.again(b)
	if err := s.node.patience.wait(ctx, s.load.log, err); err != nil {
		return err
	}
	return s.load.l.follow(ctx, s.node)
}

// release gives the connection back for the next load.
func (s *stream) release() {
	if s.conn != nil {
		s.node.release(s.conn)
	}
}

// store stores b in one transaction.
func (s *stream) store(ctx context.Context, b *batch) error {
	t := s.load.dispatch.target(b.lane)
	if err := s.begin(ctx, t, b); err != nil {
		return err
	}
	if s.load.keeper != nil {
		return s.storeKeeping(ctx, t, b)
	}
	for i := range b.parts {
		if err := s.copyPart(ctx, t, &b.parts[i]); err != nil {
			return err
		}
	}
	if s.load.lay.merge != nil && b.rows > 0 {
		if err := s.mergeBatch(ctx, t, b); err != nil {
			return err
		}
		if err := s.account(ctx, t, b); err != nil {
			return err
		}
	}
	return s.commit(ctx, b)
}

// begin opens a batch's transaction, locks what it writes to, which must still be
// as it was, and moves the lane's mark from where it must still be. All of it is
// one round trip.
func (s *stream) begin(ctx context.Context, t target, b *batch) error {
	mark, statements, err := s.load.job.markSQL(t.marks, b)
	if err != nil {
		return err
	}
	create := ""
	if m := s.load.lay.merge; m != nil && b.rows > 0 {
		create = m.create
	}
	results, err := s.conn.Exec(ctx, s.load.begin+create+t.guard+mark).ReadAll()
	pgErr, refused := errors.AsType[*pgconn.PgError](err)
	switch {
	case refused && citus.Gone(pgErr):
		return s.rollback(ctx, t.lost)
	case s.load.whole && ledger.IsDone(err):
		return s.rollback(ctx, errMarked)
	case err != nil:
		return s.fail(ctx, fmt.Errorf("begin: %w", err))
	}
	guard := results[len(results)-1-statements].Rows
	switch {
	case len(guard) != 1 || string(guard[0][0]) != strconv.Itoa(t.count):
		return s.rollback(ctx, t.lost)
	case statements > 0 && results[len(results)-1].CommandTag.RowsAffected() != 1:
		return s.rollback(ctx, errMarked)
	}
	return nil
}

// rollback ends the transaction of a batch that cannot be stored for that reason.
func (s *stream) rollback(ctx context.Context, because error) error {
	if err := exec(ctx, s.conn, "ROLLBACK"); err != nil {
		return s.fail(ctx, fmt.Errorf("roll back: %w", err))
	}
	return because
}

// copyPart stores p with one COPY statement.
func (s *stream) copyPart(ctx context.Context, t target, p *part) error {
	lay := s.load.lay
	order := s.sorter.sort(p)
	stored, err := s.copyRows(ctx, t, p.format, newPartReader(p, order))
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && ctx.Err() == nil {
		if err := s.noRows(ctx, t, pgErr); err != nil {
			return err
		}
		_, relation := s.landing(t)
		return locate(pgErr, s.load.name, relation, lay.table, p, order)
	}
	if err != nil {
		return s.fail(ctx, err)
	}
	if stored != p.rows {
		return droppedError(s.load.name, p, p.rows, stored, lay)
	}
	return nil
}

// copyRows copies rows of that format to where they land, and returns how many the
// server says it has stored.
func (s *stream) copyRows(ctx context.Context, t target, f format, rows io.Reader) (int64, error) {
	form := s.load.lay.csvForm
	if f == formatBinary {
		form = s.load.lay.binaryForm
	}
	table, _ := s.landing(t)
	tag, err := s.conn.CopyFrom(ctx, rows, "COPY "+table+form)
	if err != nil {
		return 0, s.ofTable(err)
	}
	return tag.RowsAffected(), nil
}

// noRows returns what becomes of a batch for an error that is no row's, and nil if it
// may be one's. A split makes Citus itself fail so that what it wrote to is gone.
func (s *stream) noRows(ctx context.Context, t target, err *pgconn.PgError) error {
	switch {
	case t.gone(err):
		return s.rollback(ctx, errGone)
	case transientCode(err):
		return s.fail(ctx, err)
	case !blamesRow(err):
		return s.fail(ctx, refused(err))
	}
	return nil
}

// commit commits b. A load that is interrupted waits a moment for the answer, so
// that it can say what was stored.
func (s *stream) commit(ctx context.Context, b *batch) error {
	commitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(commitGrace, cancel) })()
	takeWarning(s.conn)
	result, err := s.conn.Exec(commitCtx, "COMMIT").ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && blamesRow(pgErr) && !transientCode(pgErr) {
		return batchError(pgErr, s.load.name, b)
	}
	if err != nil {
		if s.load.job == nil || ctx.Err() != nil {
			s.load.inDoubt.Add(b.rows)
		}
		return s.fail(ctx, &doubtError{rows: b.rows, err: err})
	}
	if len(result) != 1 || result[0].CommandTag.String() != "COMMIT" {
		return fmt.Errorf("the server rolled a batch of %d rows back without an error", b.rows)
	}
	if warning := takeWarning(s.conn); warning != "" && s.load.l.server.Citus != "" {
		return s.settle(ctx, warning)
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

// fail returns err, or why ctx ended if that is the reason.
func (s *stream) fail(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("load %s: %s: %w", s.load.name, s.node.name(), err)
}
