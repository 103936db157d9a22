package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/ledger"
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
	others   []string // statements that lock what else is to stay as it is
	jobLock  string   // query that locks the job, "" for none
	identity string
	fileNode uint32 // 0 until it was read behind the lock; TRUNCATE and rebuilds change it
}

// fencePoll is how often the fence looks for somebody who waits at it.
const fencePoll = 500 * time.Millisecond

// raiseFence locks the table, and makes sure that it is still what Open found. It
// locks the job of that name, too, unless no progress is kept.
func (l *Loader) raiseFence(ctx context.Context, lay *layout, route Route, job string) (*fence, error) {
	f := &fence{l: l, lay: lay, route: route, identity: lay.identity(l.table, l.distribution, route)}
	if !l.cfg.NoResume {
		f.jobLock = ledger.LockSQL(l.target(), job)
	}
	err := l.persist(ctx, func() error { return f.lock(ctx) })
	if err == nil {
		err = f.check(ctx)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// lock takes the locks, on a new connection if need be.
func (f *fence) lock(ctx context.Context) (err error) {
	if f.conn == nil || f.conn.IsClosed() {
		if f.conn, err = connect(ctx, f.l.cfg.Conn, f.conn); err != nil {
			return fmt.Errorf("lock %s: %w", f.l.table.SQL(), err)
		}
	}
	if f.conn.PgConn().TxStatus() != 'I' { // of an attempt that failed
		if err := exec(ctx, f.conn.PgConn(), "ROLLBACK"); err != nil {
			return fmt.Errorf("lock %s: %w", f.l.table.SQL(), err)
		}
	}
	err = exec(ctx, f.conn.PgConn(), f.l.session.begin()+strings.Join(append([]string{f.l.lockSQL(f.l.table.SQL())}, f.others...), "; "))
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == undefinedTable {
		return f.changed("it is gone")
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.l.table.SQL(), err)
	}
	return f.lockJob(ctx)
}

// A process that was killed holds its locks until the server notices.
const (
	busyTries = 20
	busyDelay = 250 * time.Millisecond
)

// lockJob makes sure that no other process works on the job.
func (f *fence) lockJob(ctx context.Context) error {
	if f.jobLock == "" {
		return nil
	}
	for range busyTries {
		var locked bool
		if err := f.conn.QueryRow(ctx, f.jobLock).Scan(&locked); err != nil || locked {
			return err
		}
		select {
		case <-time.After(busyDelay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return &PreflightError{"another process is loading this input into " + f.l.table.SQL(), "wait for it (shardload status shows it), or end it"}
}

// add locks one more table, as long as the fence stands.
func (f *fence) add(ctx context.Context, table string) error {
	sql := f.l.lockSQL(table)
	f.others = append(f.others, sql)
	if err := exec(ctx, f.conn.PgConn(), sql); err != nil {
		return fmt.Errorf("lock %s: %w", table, err)
	}
	return nil
}

const undefinedTable = "42P01"

// lockSQL returns the statement that locks a table as writers do.
func (l *Loader) lockSQL(table string) string {
	if l.server.Citus != "" {
		// LOCK TABLE would lock the workers' tables, too.
		return "SELECT pg_catalog.lock_relation_if_exists(" + quoteLiteral(table) + ", 'ROW EXCLUSIVE')"
	}
	return "LOCK TABLE " + table + " IN ROW EXCLUSIVE MODE"
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
	if err := f.unlock(ctx); err != nil {
		return err
	}
	err := f.l.persist(ctx, func() error {
		if err := f.lock(ctx); err != nil { // behind those who waited
			return err
		}
		return f.check(ctx)
	})
	if err != nil {
		return err
	}
	lanes.proceed()
	return nil
}

// unlock ends the transaction that holds the locks, unless its connection is lost.
func (f *fence) unlock(ctx context.Context) error {
	if f.conn.IsClosed() {
		return nil
	}
	if err := exec(ctx, f.conn.PgConn(), "COMMIT"); err != nil && !f.conn.IsClosed() {
		return fmt.Errorf("unlock %s: %w", f.l.table.SQL(), err)
	}
	return nil
}

// finish makes sure that the table is still the same and that everything is
// stored, as the marks say, and ends the job. The fence is open afterwards.
func (f *fence) finish(ctx context.Context, ld *load) error {
	defer time.AfterFunc(slowEnd, func() {
		f.l.cfg.Log.Info("all rows are stored; the end of the job waits for a lock, as a shard of its colocation group that is moved or split holds it", "table", f.l.table.SQL())
	}).Stop()
	return f.l.persist(ctx, func() error {
		if f.conn.IsClosed() || f.conn.PgConn().TxStatus() != 'T' {
			// The answer to its COMMIT may be all that is missing, or that may still be
			// under way: then the lock waits for it.
			if done, err := ld.isComplete(ctx); err != nil || done {
				return err
			}
			lockErr := f.lock(ctx)
			if done, err := ld.isComplete(ctx); err != nil || done {
				return err
			}
			if lockErr != nil {
				return lockErr
			}
		}
		if err := f.check(ctx); err != nil {
			return err
		}
		if err := ld.complete(ctx, f.conn); err != nil {
			return err
		}
		if err := exec(ctx, f.conn.PgConn(), "COMMIT"); err != nil {
			return fmt.Errorf("end the load of %s: %w", f.l.table.SQL(), err)
		}
		return nil
	})
}

// slowEnd is how long the end of a job may take before the user is told why.
const slowEnd = 5 * time.Second

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
			// A mark tells whether a server that has taken the node's place has its rows.
			same := f.jobLock != "" || c.Address() == n.at.Load().address
			return c.Group == n.group && same && c.Active && c.Synced && c.Role == "primary"
		})
		if !ok {
			return f.changed(n.name() + " was taken out of the cluster, replaced, or cut off from its metadata")
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
