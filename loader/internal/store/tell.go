package store

import (
	"context"
	"time"

	"shardload/loader/internal/lane"
)

// Discard takes batches and throws them away.
func (s *stream) Discard(ctx context.Context) error {
	for {
		b, err := s.load.Lanes.Next(ctx, s.node.Index)
		if err != nil || b == nil {
			return err
		}
		s.load.Lanes.Done(b)
	}
}

// observe tells of a batch that is stored.
func (s *stream) observe(b *lane.Batch, started time.Time) {
	if stored := s.load.Tell.Stored; stored != nil {
		stored(s.node.Where(), b, started)
	}
}

// again gives b back to its lane, from which it is sent once more, and tells so.
func (s *stream) again(b *lane.Batch) {
	if retried := s.load.Tell.Retried; retried != nil && b.Rows > 0 {
		retried(s.node.Where())
	}
	s.load.Lanes.Again(b)
}
