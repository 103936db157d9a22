package cli

import (
	"context"
	"fmt"
	"sync/atomic"

	"shardload/internal/bench"
	"shardload/loader"
)

// A benchBar shows each run of a benchmark while it goes on, on the terminal and to Prometheus.
type benchBar struct {
	*console
	ctx     context.Context // of the command: bars end with it
	metrics *watcher
	rows    atomic.Int64           // that the run has stored, as far as that is seen
	shape   atomic.Pointer[string] // of the run
}

// watch returns what is to be told of a benchmark.
func (b *benchBar) watch() bench.Watch {
	b.shape.Store(new(string))
	return bench.Watch{
		Observe: func(batch loader.StoredBatch) {
			b.rows.Add(batch.Rows)
			if observe := b.metrics.observer(*b.shape.Load()); observe != nil {
				observe(batch)
			}
		},
		Retried: func(node string) {
			if retried := b.metrics.retried(*b.shape.Load()); retried != nil {
				retried(node)
			}
		},
		Running: b.running, Ran: b.metrics.ran, Note: b.note,
	}
}

// running shows a run until it has ended. Of what other programs store nothing is seen.
func (b *benchBar) running(r bench.Running) (ended func()) {
	b.rows.Store(0)
	b.shape.Store(&r.Shape)
	name := fmt.Sprintf("run %d of %d, %s", r.Number, r.Of, r.Arm)
	if !r.Observed {
		return b.progress(b.ctx, name, nil)
	}
	return b.progress(b.ctx, name, func() snapshot {
		rows := b.rows.Load()
		return snapshot{Rows: rows, Done: rows, Total: r.Rows}
	})
}
