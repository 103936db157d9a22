package cli

import (
	"fmt"
	"sync/atomic"

	"shardload/internal/bench"
	"shardload/loader"
)

// A benchBar shows each run of a benchmark while it goes on.
type benchBar struct {
	*console
	rows atomic.Int64 // that the run has stored, as far as that is seen
}

// observe returns what is told of batches: next, if it is not nil, and the bar.
func (b *benchBar) observe(next func(loader.StoredBatch)) func(loader.StoredBatch) {
	return func(batch loader.StoredBatch) {
		b.rows.Add(batch.Rows)
		if next != nil {
			next(batch)
		}
	}
}

// running shows a run until it has ended. Of what other programs store nothing is seen.
func (b *benchBar) running(r bench.Running) (ended func()) {
	b.rows.Store(0)
	total := r.Rows
	if !r.Observed {
		total = 0
	}
	return b.progress(fmt.Sprintf("run %d of %d, %s", r.Number, r.Of, r.Arm), func() snapshot {
		rows := b.rows.Load()
		return snapshot{Rows: rows, Done: rows, Total: total}
	})
}
