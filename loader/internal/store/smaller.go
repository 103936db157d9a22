package store

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
)

// A link may lose each connection after some bytes, before a batch is through. Then it
// is of no use to send the same batch for ever: smaller ones get in.

const (
	// lossShare is how many times smaller batches become that are lost again and again.
	lossShare = 8
	// leastBatch is the smallest size to which batches are made smaller, in bytes.
	leastBatch = 16 << 10
)

// lose counts that the connection was lost on which b was being sent. The error is why
// the load is to begin anew, if that was so again and again. Nothing of b is stored then:
// its transaction was open, so no earlier COMMIT of it had an effect, and none was sent.
func (s *stream) lose(b *lane.Batch, err error) error {
	_, answered := errors.AsType[*pgconn.PgError](err)
	_, doubt := errors.AsType[*doubtError](err)
	if !b.Sending || answered || doubt || s.conn == nil || !s.conn.IsClosed() {
		return nil
	}
	b.Losses++
	smaller := max(b.Bytes/lossShare, leastBatch)
	if b.Losses < fault.LossTries || smaller >= b.Bytes || !s.load.Repeats || !s.load.Job.Tell() {
		return nil
	}
	s.load.smaller(smaller)
	s.load.Target.Log.Info("the connection is lost each time before a batch is through; going on with smaller ones", "bytes", smaller)
	if s.load.Job.AtOnce() {
		return lane.ErrInPieces
	}
	return &job.StartOverError{Why: "connections are lost before a batch is through"}
}

// smaller makes batches at most that large from the load's next attempt on.
func (c *Counts) smaller(bytes int64) {
	for {
		was := c.Batch.Load()
		if was > 0 && was <= bytes || c.Batch.CompareAndSwap(was, bytes) {
			return
		}
	}
}
