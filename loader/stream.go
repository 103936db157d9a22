package loader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
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

// errGone says that a shard is no longer where a batch was sent.
var errGone = errors.New("the shard has moved")

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
			if s.conn, err = s.node.acquire(ctx, s.load.log); s.conn == nil {
				s.load.lanes.again(b) // for the streams that have a connection
				return err
			}
		}
		if err := s.carry(ctx, b); err != nil {
			return err
		}
	}
}

// carry stores b, or gives it back if its shard is no longer where it was.
func (s *stream) carry(ctx context.Context, b *batch) error {
	started := time.Now()
	err := s.store(ctx, b)
	s.load.copying.Add(int64(time.Since(started)))
	switch {
	case errors.Is(err, errGone):
		if err := s.load.dispatch.remap(ctx, b); err != nil {
			return err
		}
		s.load.lanes.again(b)
		return nil
	case err != nil:
		return err
	}
	s.load.rows.Add(b.rows)
	s.load.batches.Add(1)
	s.observe(b, started)
	s.load.lanes.done(b)
	return nil
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
	if err := s.begin(ctx, t); err != nil {
		return err
	}
	for i := range b.parts {
		if err := s.copyPart(ctx, t, &b.parts[i]); err != nil {
			return err
		}
	}
	return s.commit(ctx, b)
}

// begin opens a batch's transaction and locks what it writes to, which must still
// be as it was. All of it is one round trip.
func (s *stream) begin(ctx context.Context, t target) error {
	results, err := s.conn.Exec(ctx, s.load.begin+t.guard).ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && t.guard != "" && citus.Gone(pgErr) {
		return s.rollback(ctx, t)
	}
	if err != nil {
		return s.fail(ctx, fmt.Errorf("begin: %w", err))
	}
	if t.guard == "" {
		return nil
	}
	if last := results[len(results)-1].Rows; len(last) != 1 || string(last[0][0]) != strconv.Itoa(t.count) {
		return s.rollback(ctx, t)
	}
	return nil
}

// rollback ends the transaction of a batch whose target is not what it was.
func (s *stream) rollback(ctx context.Context, t target) error {
	if err := exec(ctx, s.conn, "ROLLBACK"); err != nil {
		return s.fail(ctx, fmt.Errorf("roll back: %w", err))
	}
	return t.lost
}

// copyPart stores p with one COPY statement.
func (s *stream) copyPart(ctx context.Context, t target, p *part) error {
	lay := s.load.lay
	form := lay.csvForm
	if p.format == formatBinary {
		form = lay.binaryForm
	}
	order := s.sorter.sort(p)
	tag, err := s.conn.CopyFrom(ctx, newPartReader(p, order), "COPY "+t.table+form)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && ctx.Err() == nil {
		if errors.Is(t.lost, errGone) && citus.Gone(pgErr) || citus.ShardGone(pgErr) {
			// A split makes Citus itself fail so: what it wrote to is gone.
			t.lost = errGone
			return s.rollback(ctx, t)
		}
		if !blamesRow(pgErr) {
			return s.fail(ctx, refused(pgErr))
		}
		return locate(pgErr, s.load.src.Name, t.relation, lay.table, p, order)
	}
	if err != nil {
		return s.fail(ctx, err)
	}
	if n := tag.RowsAffected(); n != p.rows {
		return &RowError{File: s.load.src.Name, Line: p.firstLine(), LastLine: p.lastLine,
			Err: fmt.Errorf("%s sent, %d stored, and so none is kept; does a trigger of %s drop rows? disable it for the load", plural(p.rows, "row"), n, lay.table.SQL())}
	}
	return nil
}

// commit commits b. A load that is interrupted waits a moment for the answer, so
// that it can say what was stored.
func (s *stream) commit(ctx context.Context, b *batch) error {
	commitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(commitGrace, cancel) })()
	result, err := s.conn.Exec(commitCtx, "COMMIT").ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && blamesRow(pgErr) {
		return batchError(pgErr, s.load.src.Name, b)
	}
	if err != nil {
		s.load.inDoubt.Add(b.rows)
		return s.fail(ctx, fmt.Errorf("the answer to a COMMIT of %d rows was lost, they may be stored or not: %w", b.rows, err))
	}
	if len(result) != 1 || result[0].CommandTag.String() != "COMMIT" {
		return fmt.Errorf("the server rolled a batch of %d rows back without an error", b.rows)
	}
	return nil
}

// fail returns err, or why ctx ended if that is the reason.
func (s *stream) fail(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("load %s: %s: %w", s.load.src.Name, s.node.name, err)
}
