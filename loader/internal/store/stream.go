package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/route"
)

// A stream stores batches on one connection to a node.
type stream struct {
	load *Store
	node *route.Node
	conn *pgconn.PgConn // nil until the first batch
	// direct is the connection that leads to a session of its own, nil for none: behind a
	// connection pooler each transaction may be one of another session.
	direct *pgconn.PgConn

	sorter lane.Sorter
}

// NewStream returns a stream to a node.
func NewStream(of *Store, n *route.Node) *stream { return &stream{load: of, node: n} }

// Run stores batches until there are no more.
func (s *stream) Run(ctx context.Context) error {
	defer s.node.Patience.End() // after the last batch nothing is waited for
	defer s.release()
	for {
		b, err := s.load.Lanes.Next(ctx, s.node.Index)
		if err != nil || b == nil {
			return err
		}
		if s.conn == nil {
			s.conn, err = s.node.Acquire(ctx, s.load.Target.Log)
			switch {
			case err != nil && fault.Passes(err):
				if err := s.later(ctx, b, err); err != nil {
					return err
				}
				continue
			case s.conn == nil:
				s.load.Lanes.Again(b) // for the streams that have a connection
				return err
			}
		}
		if err := s.carry(ctx, b); err != nil {
			return err
		}
	}
}

// carry stores b, or gives it back if it may be stored later, or elsewhere.
func (s *stream) carry(ctx context.Context, b *lane.Batch) error {
	started := time.Now()
	x := &tx{stream: s, t: s.load.Dispatch.To(b.Lane), b: b}
	err := x.store(ctx)
	s.load.Copying.Add(int64(time.Since(started)))
	if errors.Is(err, errMarked) {
		stored, markErr := s.load.Job.Stored(ctx, b)
		switch {
		case markErr != nil:
			return markErr
		case stored:
			err = nil
		default:
			err = route.ErrGone
		}
	}
	switch {
	case err == nil:
		s.done(b, started)
		return nil
	case errors.Is(err, route.ErrGone):
		if err := s.load.Dispatch.Remap(ctx, b); err != nil {
			return err
		}
		s.again(b)
		return nil
	case errors.Is(err, errBad):
		s.again(b)
		return nil
	case errors.Is(err, errAnew), errors.Is(err, errDeferred):
		s.node.Drop(s.conn)
		s.conn = nil
		s.again(b)
		return nil
	case ctx.Err() == nil && fault.Passes(err) && !s.doubtful(err):
		if err := s.lose(b, err); err != nil {
			return err
		}
		return s.later(ctx, b, err)
	}
	return err
}

// done counts b as stored.
func (s *stream) done(b *lane.Batch, started time.Time) {
	s.node.Patience.Succeed(s.load.Target.Log)
	s.load.Rows.Add(b.Stored())
	s.load.Rejected.Add(b.Rejects())
	s.load.Updated.Add(b.Merged.Updated)
	s.load.Skipped.Add(b.Merged.Skipped)
	s.load.Filtered.Add(b.Merged.Filtered)
	if k := s.load.Keeper; k != nil {
		k.Stored(b)
	}
	if b.Rows > 0 {
		s.load.Batches.Add(1)
		s.observe(b, started)
	}
	s.load.Lanes.Done(b)
}

// doubtful reports whether err leaves open what was stored, with no mark to tell.
func (s *stream) doubtful(err error) bool {
	_, doubt := errors.AsType[*doubtError](err)
	return doubt && !s.load.Job.Tell()
}

// later gives b back, and waits before the next try on this node.
func (s *stream) later(ctx context.Context, b *lane.Batch, err error) error {
	if s.conn != nil {
		s.node.Drop(s.conn)
		s.conn = nil
	}
	s.again(b)
	if err := s.node.Patience.Wait(ctx, s.load.Target.Log, err); err != nil {
		return err
	}
	return s.load.Nodes.Follow(ctx, s.node)
}

// release gives the connection back for the next load.
func (s *stream) release() {
	if s.conn != nil {
		s.node.Release(s.conn)
	}
}

// fail returns err, or why ctx ended if that is the reason.
func (s *stream) fail(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("load %s: %s: %w", s.load.Input, s.node.Name(), err)
}
