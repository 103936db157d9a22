package loader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
)

// A fence is a lock on the table, held on the coordinator as long as a load runs.
// It keeps out what would rebuild or change the table beside rows that are on
// their way: a rebuild does not see rows that go straight to a shard, and binary
// rows of a column whose type has changed are stored as other values. Moves,
// splits and other writers pass.
//
// If somebody waits at the fence, the load stores what is in flight, opens the
// fence for a moment, and goes on if the table is still the same.
type fence struct {
	l        *Loader
	lay      *layout
	conn     *pgx.Conn
	identity string
}

// fencePoll is how often the fence looks for somebody who waits at it.
const fencePoll = 500 * time.Millisecond

// raiseFence locks the table, and makes sure that it is still what Open found.
func (l *Loader) raiseFence(ctx context.Context, lay *layout) (*fence, error) {
	f := &fence{l: l, lay: lay}
	l.controlMu.Lock()
	was, err := l.identity(ctx, l.control, lay)
	l.controlMu.Unlock()
	if err != nil {
		return nil, err
	}
	f.identity = was
	if err := f.lock(ctx); err != nil {
		f.close()
		return nil, err
	}
	if err := f.check(ctx); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// lock takes the lock, on a new connection if need be.
func (f *fence) lock(ctx context.Context) (err error) {
	if f.conn == nil || f.conn.IsClosed() {
		if f.conn, err = pgx.ConnectConfig(ctx, controlConfig(f.l.cfg.Conn)); err != nil {
			return fmt.Errorf("lock %s: %w", f.l.table.SQL(), err)
		}
	}
	lock := "LOCK TABLE " + f.l.table.SQL() + " IN ROW EXCLUSIVE MODE"
	if f.l.server.Citus != "" {
		// LOCK TABLE would lock the workers' tables, too.
		lock = "SELECT pg_catalog.lock_relation_if_exists(" + quoteLiteral(f.l.table.SQL()) + ", 'ROW EXCLUSIVE')"
	}
	if err := exec(ctx, f.conn.PgConn(), f.l.session.begin()+lock); err != nil {
		return fmt.Errorf("lock %s: %w", f.l.table.SQL(), err)
	}
	return nil
}

// watch opens the fence for those who wait at it, and mends it when its
// connection is lost, until everything is stored.
func (f *fence) watch(ctx context.Context, lanes *lanes, stored <-chan struct{}) error {
	tick := time.NewTicker(fencePoll)
	defer tick.Stop()
	for {
		select {
		case <-stored:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		waiting, err := f.waiting(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !f.conn.IsClosed() {
			return err
		}
		if err != nil || waiting {
			if err := f.open(ctx, lanes); err != nil {
				return err
			}
		}
	}
}

// waiting reports whether somebody waits for a lock on the table.
func (f *fence) waiting(ctx context.Context) (waiting bool, err error) {
	err = f.conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND NOT granted
		AND relation = $1::oid AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))`, f.l.table.OID).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("watch the lock on %s: %w", f.l.table.SQL(), err)
	}
	return waiting, nil
}

// open lets those through who wait, with no row on its way that they would not
// see.
func (f *fence) open(ctx context.Context, lanes *lanes) error {
	f.l.cfg.Log.Info("somebody changes the table; the load waits for it", "table", f.l.table.SQL())
	if err := lanes.pause(ctx); err != nil {
		return err
	}
	defer lanes.resume()
	if !f.conn.IsClosed() {
		if err := exec(ctx, f.conn.PgConn(), "COMMIT"); err != nil && !f.conn.IsClosed() {
			return fmt.Errorf("unlock %s: %w", f.l.table.SQL(), err)
		}
	}
	if err := f.lock(ctx); err != nil { // behind those who waited
		return err
	}
	return f.check(ctx)
}

// check compares the table with what it was when the fence was raised.
func (f *fence) check(ctx context.Context) error {
	now, err := f.l.identity(ctx, f.conn, f.lay)
	if _, dropped := errors.AsType[*catalog.NotFoundError](err); dropped {
		return &ChangedError{Table: f.l.table.SQL()}
	}
	if err != nil {
		return err
	}
	if now != f.identity {
		f.l.cfg.Log.Warn("the table has changed", "was", f.identity, "is", now)
		return &ChangedError{Table: f.l.table.SQL()}
	}
	return nil
}

// close opens the fence for good.
func (f *fence) close() {
	if f.conn != nil {
		closeSoon(f.conn.PgConn())
	}
}
