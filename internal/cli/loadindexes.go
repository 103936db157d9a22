package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"shardload/loader"
)

// indexLines says which indexes of a table are dropped while rows are stored, which others are
// not, and which wait already.
func indexLines(table string, p loader.IndexPlan) (lines []string) {
	if len(p.Deferred) > 0 {
		lines = append(lines, fmt.Sprintf("%s: %s dropped with the first row, and built after the last: %s", table, areText(len(p.Deferred)), strings.Join(p.Deferred, ", ")))
	}
	for _, k := range p.Kept {
		lines = append(lines, fmt.Sprintf("%s: index %s stays: it %s", table, k.Name, k.Why))
	}
	if p.Waiting > 0 {
		lines = append(lines, fmt.Sprintf("%s: %s to be built, of an earlier load", table, waitText(p.Waiting)))
	}
	return lines
}

// areText says that so many indexes are something.
func areText(n int) string {
	if n == 1 {
		return "1 index is"
	}
	return plural(int64(n), "index") + " are"
}

// waitText says that so many indexes wait.
func waitText(n int) string {
	if n == 1 {
		return "1 index waits"
	}
	return plural(int64(n), "index") + " wait"
}

// noteIndexes tells of them before a load.
func (v *loadVerb) noteIndexes(t *loader.SetTable, p loader.IndexPlan) {
	table := t.Config.Table
	switch {
	case t.Config.DeferIndexes:
		for _, line := range indexLines(table, p) {
			v.note("%s", line)
		}
		if len(p.Deferred) == 0 && p.Waiting == 0 {
			v.note("note: %s has no index that may be dropped meanwhile", table)
		}
	case p.Waiting > 0:
		v.note("note: %s to be built, of an earlier load of %s: --defer-indexes builds them at the end of this one, shardload forget %s at once", waitText(p.Waiting), table, shellWord(table))
	}
}

// indexing tells that indexes are built, and what came of it.
func (v *loadVerb) indexing(ctx context.Context, t *loader.SetTable) (built func(n, of int), done func()) {
	begun, stop := time.Now(), v.progress(ctx, "indexes of "+t.Config.Table, nil)
	var most, all atomic.Int64
	built = func(n, of int) {
		all.Store(int64(of))
		for was := most.Load(); int64(n) > was && !most.CompareAndSwap(was, int64(n)); was = most.Load() {
		}
	}
	return built, func() {
		stop()
		if all.Load() > 0 {
			v.note("%s: %d of %s built in %s", t.Config.Table, most.Load(), plural(all.Load(), "index"), seconds(time.Since(begun)))
		}
	}
}

// noteWaiting tells after a failure which tables are without indexes, and what to do. Where one
// could not be built the error says that.
func (v *loadVerb) noteWaiting(r loadReport, failure error) {
	if _, ok := errors.AsType[*loader.IndexError](failure); ok {
		return
	}
	for _, t := range r.Tables {
		if t.IndexesWait {
			v.note("indexes of %s wait to be built: the same command with --defer-indexes builds them once all rows are stored, shardload forget %s at once", t.Table, shellWord(t.Table))
		}
	}
}
