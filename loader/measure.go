package loader

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strconv"
	"time"
)

// A Stage is a part of the pipeline that can be run by itself, to measure it.
type Stage string

// The stages.
const (
	// StageAll is the whole pipeline: the zero value.
	StageAll Stage = ""
	// StageDecode reads, decodes and makes batches, and throws them away. Nothing
	// is stored.
	StageDecode Stage = "decode"
	// StageStore makes every batch before it stores the first, so that the time
	// between a Load's first and last batch is that of storing alone. The whole
	// input must fit into Memory.
	StageStore Stage = "store"
)

// A StoredBatch is what Config.Observe is told of a batch.
type StoredBatch struct {
	Node     string // the server that took it, host:port
	Rows     int64
	Rejected int64         // records that were kept aside
	Bytes    int64         // of its rows as they were sent, line breaks of CSV apart
	Started  time.Time     // before BEGIN was sent
	Elapsed  time.Duration // until COMMIT was answered
}

// errNotHeld says that StageStore cannot hold the input.
var errNotHeld = errors.New("the input, decoded, does not fit into the memory; raise it, or load less")

// discard takes batches and throws them away.
func (s *stream) discard(ctx context.Context) error {
	for {
		b, err := s.load.lanes.next(ctx, s.node.index)
		if err != nil || b == nil {
			return err
		}
		s.load.lanes.done(b)
	}
}

// observe tells the Config's observer of a batch that is stored.
func (s *stream) observe(b *batch, started time.Time) {
	if s.load.observer != nil {
		s.load.observer(StoredBatch{Node: s.node.where(), Rows: b.stored(), Rejected: b.rejects(), Bytes: b.bytes, Started: started, Elapsed: time.Since(started)})
	}
}

// again gives b back to its lane, from which it is sent once more, and tells so.
func (s *stream) again(b *batch) {
	if retried := s.load.l.cfg.Retried; retried != nil && b.rows > 0 {
		retried(s.node.where())
	}
	s.load.lanes.again(b)
}

// where returns the node's address: the cluster's name for it where it has one.
func (n *node) where() string {
	at := n.at.Load()
	return cmp.Or(at.address, net.JoinHostPort(at.config.Host, strconv.Itoa(int(at.config.Port))))
}

// whenDecoded waits, for StageStore, until decoded is closed.
func (ld *load) whenDecoded(ctx context.Context, decoded <-chan struct{}) error {
	if ld.stage != StageStore {
		return nil
	}
	select {
	case <-decoded:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
