package route

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"shardload/internal/fault"
	"shardload/loader/internal/lane"
	"shardload/loader/waiting"
)

// Meanwhile runs fn, which stores no rows, and opens the fence for those who wait at it: what
// fn asks of the table on other connections waits behind them, and they wait for the fence,
// which no server sees as a deadlock. Whatever asks of the table while the fence is up runs
// here, but for what stores rows, which has Watch. The context that fn gets ends with it.
func (f *Fence) Meanwhile(ctx context.Context, fn func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	g.Go(func() error { return (&watch{f, nil}).run(ctx, done) })
	g.Go(func() error {
		defer close(done)
		return fn(ctx)
	})
	return g.Wait()
}

// Watch opens the fence for those who wait at it, and mends it when its
// connection is lost, until everything is stored.
func (f *Fence) Watch(ctx context.Context, lanes *lane.Lanes, stored <-chan struct{}) error {
	return (&watch{f, lanes}).run(ctx, stored)
}

// A watch looks who waits at a fence while lanes send batches; or nothing is sent, and there
// are none.
type watch struct {
	*Fence
	lanes *lane.Lanes
}

func (w *watch) run(ctx context.Context, done <-chan struct{}) error {
	tick := time.NewTicker(fault.FencePoll)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		waiting, err := w.waiting(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !w.conn.IsClosed() && !fault.Passes(err) {
			return err
		}
		if err != nil || waiting && !w.Holds() {
			if err := w.openFor(ctx, waiting, err); err != nil {
				return err
			}
		}
	}
}

// openFor opens the fence: for those who wait at it, or because asking who does has failed with
// lost. It says why.
func (w *watch) openFor(ctx context.Context, others bool, lost error) error {
	why := "the lock on " + w.t.Table.String() + ", the connection of which was lost"
	if others {
		w.t.Log.Info("another session waits to lock the table; the load lets it go first", "table", w.t.Table.String())
		why = "another session that wants to lock " + w.t.Table.String()
	} else {
		w.t.Log.Info("the connection that locks the table was lost; the load goes on when it is locked again", "table", w.t.Table.String(), "error", lost)
	}
	defer w.t.Watch.Waits.Begin(waiting.Wait{For: why})()
	return w.open(ctx)
}

// open lets those through who wait, with no row on its way that they would not
// see. If the table is another afterwards no batch starts any more.
func (w *watch) open(ctx context.Context) error {
	if w.lanes == nil {
		return w.letPass(ctx)
	}
	if err := w.pause(ctx); err != nil {
		return err
	}
	if err := w.letPass(ctx); err != nil {
		return err
	}
	w.lanes.Proceed()
	return nil
}

// pause waits until no batch is in flight, and gives up where that takes too long.
func (w *watch) pause(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fault.FenceLimit, fmt.Errorf("a batch has been waiting for %s while somebody waits to change %s; "+
		"does that transaction hold rows of the same keys? end it, and load again", fault.FenceLimit, w.t.Table))
	defer cancel()
	defer w.lanes.Watch(ctx)()
	return w.lanes.Pause(ctx)
}

// waiting reports whether somebody waits for the fence: for the table's lock, or,
// as CREATE INDEX CONCURRENTLY does, for the end of its transaction.
func (f *Fence) waiting(ctx context.Context) (waiting bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks
		WHERE pid <> pg_catalog.pg_backend_pid() AND NOT granted AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(pid)))`).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("watch the lock on %s: %w", f.t.Table, err)
	}
	return waiting, nil
}

// letPass unlocks the table, and locks it again after those who wait, unless moves are held
// off: then the batch that is on its way ends without them.
func (f *Fence) letPass(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held && !f.conn.IsClosed() {
		return nil
	}
	f.held = false
	if err := f.unlock(ctx); err != nil {
		return err
	}
	return f.t.Persist(ctx, func() error {
		if err := f.lock(ctx); err != nil { // behind those who waited
			return err
		}
		return f.check(ctx)
	})
}
