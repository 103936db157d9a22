package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
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
	route    Route
	conn     *pgx.Conn
	identity string
	fileNode uint32 // 0 until it was read behind the lock; TRUNCATE and rebuilds change it
}

// fencePoll is how often the fence looks for somebody who waits at it.
const fencePoll = 500 * time.Millisecond

// raiseFence locks the table, and makes sure that it is still what Open found.
func (l *Loader) raiseFence(ctx context.Context, lay *layout, route Route) (*fence, error) {
	f := &fence{l: l, lay: lay, route: route, identity: lay.identity(l.table, l.distribution, route)}
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
	err = exec(ctx, f.conn.PgConn(), f.l.session.begin()+f.l.lockSQL())
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == undefinedTable {
		return f.changed("it is gone")
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.l.table.SQL(), err)
	}
	return nil
}

const undefinedTable = "42P01"

// lockSQL returns the statement that locks the table as writers do.
func (l *Loader) lockSQL() string {
	if l.server.Citus != "" {
		// LOCK TABLE would lock the workers' tables, too.
		return "SELECT pg_catalog.lock_relation_if_exists(" + quoteLiteral(l.table.SQL()) + ", 'ROW EXCLUSIVE')"
	}
	return "LOCK TABLE " + l.table.SQL() + " IN ROW EXCLUSIVE MODE"
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

// waiting reports whether somebody waits for the fence: for the table's lock, or,
// as CREATE INDEX CONCURRENTLY does, for the end of its transaction.
func (f *fence) waiting(ctx context.Context) (waiting bool, err error) {
	err = f.conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks
		WHERE pid <> pg_backend_pid() AND NOT granted AND pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(pid)))`).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("watch the lock on %s: %w", f.l.table.SQL(), err)
	}
	return waiting, nil
}

// open lets those through who wait, with no row on its way that they would not
// see. If the table is another afterwards no batch starts any more.
func (f *fence) open(ctx context.Context, lanes *lanes) error {
	f.l.cfg.Log.Info("somebody changes the table; the load waits for it", "table", f.l.table.SQL())
	if err := f.pause(ctx, lanes); err != nil {
		return err
	}
	if !f.conn.IsClosed() {
		if err := exec(ctx, f.conn.PgConn(), "COMMIT"); err != nil && !f.conn.IsClosed() {
			return fmt.Errorf("unlock %s: %w", f.l.table.SQL(), err)
		}
	}
	if err := f.lock(ctx); err != nil { // behind those who waited
		return err
	}
	if err := f.check(ctx); err != nil {
		return err
	}
	lanes.resume()
	return nil
}

// pauseLimit is how long the batches in flight may take before the load gives up:
// one of them may wait for a lock of the very transaction that waits at the fence,
// which no server sees as a deadlock.
const pauseLimit = 5 * time.Minute

func (f *fence) pause(ctx context.Context, lanes *lanes) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pauseLimit, fmt.Errorf("a batch has been waiting for %s while somebody waits to change %s; "+
		"does that transaction hold rows of the same keys? end it, and load again", pauseLimit, f.l.table.SQL()))
	defer cancel()
	defer lanes.watch(ctx)()
	return lanes.pause(ctx)
}

// check compares the table with what it was when the fence was raised.
func (f *fence) check(ctx context.Context) error {
	t, err := catalog.Lookup(ctx, f.conn, f.l.table.SQL())
	if _, dropped := errors.AsType[*catalog.NotFoundError](err); dropped {
		return f.changed("it is gone")
	}
	if err != nil {
		return err
	}
	d := &citus.Distribution{Kind: citus.Local}
	if f.l.server.Citus != "" {
		if d, err = citus.Distribute(ctx, f.conn, t.OID); err != nil {
			return err
		}
	}
	if now := f.lay.identity(t, d, f.route); now != f.identity {
		return f.changed("it is now " + now + ", and was " + f.identity)
	}
	if f.fileNode != 0 && f.fileNode != t.RelFileNode {
		return f.changed("it was emptied or rewritten")
	}
	f.fileNode = t.RelFileNode
	return f.checkNodes(ctx)
}

// checkNodes makes sure that the nodes to which rows went are still part of the
// cluster: the lock on a shard is of no use on a node that is not told of moves.
func (f *fence) checkNodes(ctx context.Context) error {
	if f.route == RouteCoordinator {
		return nil
	}
	now, err := citus.Nodes(ctx, f.conn)
	if err != nil {
		return err
	}
	for _, n := range f.l.nodes[1:] {
		ok := slices.ContainsFunc(now, func(c citus.Node) bool {
			return c.Group == n.group && c.Address() == n.address && c.Active && c.Synced && c.Role == "primary"
		})
		if !ok {
			return f.changed(n.name + " was taken out of the cluster, replaced, or cut off from its metadata")
		}
	}
	return nil
}

// changed is the error of a table that is not what it was.
func (f *fence) changed(how string) error {
	f.l.cfg.Log.Warn("the table has changed", "table", f.l.table.SQL(), "how", how)
	return &ChangedError{Table: f.l.table.SQL()}
}

// close opens the fence for good.
func (f *fence) close() {
	if f.conn != nil {
		closeSoon(f.conn.PgConn())
	}
}
