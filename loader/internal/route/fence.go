package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/target"
)

// A Fence is a lock on the table, held on the coordinator as long as a load runs.
// It keeps out what would rebuild or change the table beside rows that are on
// their way: a rebuild does not see rows that go straight to a shard, and binary
// rows of a column whose type has changed are stored as other values. Moves,
// splits and other writers pass.
//
// If somebody waits at the fence, the load stores what is in flight, opens the
// fence for a moment, and goes on if the table is still the same.
type Fence struct {
	t       *target.Target
	nodes   *Nodes
	columns []*catalog.Column // of the input
	way     Way
	mu      sync.Mutex // guards conn while batches are stored
	conn    *pgx.Conn
	held    bool     // moves of shards are held off
	others  []string // statements that lock what else is to stay as it is
	of      ledger.Target
	jobName string // "" for none
	// progress is the job whose marks are kept in a table of their own, nil for none.
	progress *job.Job
	identity string
	files    map[uint32]uint32 // of the table and its partitions, nil until read behind the lock
}

// Raise locks the table, and makes sure that it is still what Open found. It
// locks the job of that name, too, unless it has none.
func Raise(ctx context.Context, t *target.Target, nodes *Nodes, columns []*catalog.Column, by Way, of ledger.Target, job string) (*Fence, error) {
	f := &Fence{t: t, nodes: nodes, columns: columns, way: by, of: of, jobName: job, identity: identity(columns, t.Table, t.Distribution, by)}
	err := t.Persist(ctx, func() error {
		if err := f.lock(ctx); err != nil {
			return err
		}
		return f.check(ctx)
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lock takes the locks, on a new connection if need be.
func (f *Fence) lock(ctx context.Context) (err error) {
	if f.conn == nil || f.conn.IsClosed() {
		conn, err := f.t.TakeAhead(ctx)
		if err != nil {
			return fmt.Errorf("lock %s: %w", f.t.Table.SQL(), err)
		}
		f.conn = conn
	}
	if f.conn.PgConn().TxStatus() != 'I' { // of a try that failed
		if err := server.Exec(ctx, f.conn.PgConn(), "ROLLBACK"); err != nil {
			return fmt.Errorf("lock %s: %w", f.t.Table.SQL(), err)
		}
	}
	err = server.Start(ctx, f.conn.PgConn(), server.Write, append(f.t.TableLockSQL(f.columns), f.others...)...)
	if fault.Is(err, fault.UndefinedTable) {
		return f.changed("it is gone")
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.t.Table.SQL(), err)
	}
	return f.lockJob(ctx)
}

// lockJob makes sure that no other process works on the job.
func (f *Fence) lockJob(ctx context.Context) error {
	if f.jobName == "" {
		return nil
	}
	err := ledger.LockJob(ctx, f.conn, f.of, f.jobName, func(holders []server.Holder) {
		f.t.Log.Info("another process is loading this input: "+server.DescribeHolders(holders)+" its lock", "table", f.t.Table.SQL())
	})
	if locked, ok := errors.AsType[*server.LockedError](err); ok {
		return &failure.PreflightError{
			Problem: "another process is loading this input into " + f.t.Table.SQL() + ": " + server.DescribeHolders(locked.Holders) + " its lock",
			Do:      "wait for it, or end it",
		}
	}
	return err
}

// AddProgress locks the progress table of j, as long as the fence stands, and makes sure
// that it is ours: now, and each time that the fence was open.
func (f *Fence) AddProgress(ctx context.Context, j *job.Job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	sql := f.t.LockSQL(j.Progress)
	f.others, f.progress = append(f.others, sql), j
	if err := server.Exec(ctx, f.conn.PgConn(), sql); err != nil {
		return fmt.Errorf("lock %s: %w", j.Progress, err)
	}
	return ledger.CheckProgress(ctx, f.conn, j.Target, j.Job)
}

// Meanwhile runs fn, which stores no rows, and opens the fence for those who wait at it: what
// fn asks of the table on other connections waits behind them, and they wait for the fence,
// which no server sees as a deadlock. Whatever asks of the table while the fence is up runs
// here, but for what stores rows, which has Watch. The context that fn gets ends with it.
func (f *Fence) Meanwhile(ctx context.Context, fn func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	g.Go(func() error { return f.Watch(ctx, nil, done) })
	g.Go(func() error {
		defer close(done)
		return fn(ctx)
	})
	return g.Wait()
}

// Watch opens the fence for those who wait at it, and mends it when its
// connection is lost, until everything is stored. lanes are nil where nothing is on its way.
func (f *Fence) Watch(ctx context.Context, lanes *lane.Lanes, stored <-chan struct{}) error {
	tick := time.NewTicker(fault.FencePoll)
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
		if err != nil || waiting && !f.Holds() {
			if waiting {
				f.t.Log.Info("somebody changes the table; the load waits for it", "table", f.t.Table.SQL())
			} else {
				f.t.Log.Info("the connection that locks the table was lost; the load goes on when it is locked again", "table", f.t.Table.SQL(), "error", err)
			}
			if err := f.open(ctx, lanes); err != nil {
				return err
			}
		}
	}
}

// waiting reports whether somebody waits for the fence: for the table's lock, or,
// as CREATE INDEX CONCURRENTLY does, for the end of its transaction.
func (f *Fence) waiting(ctx context.Context) (waiting bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks
		WHERE pid <> pg_catalog.pg_backend_pid() AND NOT granted AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(pid)))`).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("watch the lock on %s: %w", f.t.Table.SQL(), err)
	}
	return waiting, nil
}

// open lets those through who wait, with no row on its way that they would not
// see. If the table is another afterwards no batch starts any more.
func (f *Fence) open(ctx context.Context, lanes *lane.Lanes) error {
	if lanes == nil {
		return f.letPass(ctx)
	}
	if err := f.pause(ctx, lanes); err != nil {
		return err
	}
	if err := f.letPass(ctx); err != nil {
		return err
	}
	lanes.Proceed()
	return nil
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

// unlock ends the transaction that holds the locks, unless its connection is lost.
func (f *Fence) unlock(ctx context.Context) error {
	if f.conn.IsClosed() {
		return nil
	}
	if err := server.Exec(ctx, f.conn.PgConn(), "COMMIT"); err != nil && !f.conn.IsClosed() {
		return fmt.Errorf("unlock %s: %w", f.t.Table.SQL(), err)
	}
	return nil
}

// pause waits until no batch is in flight, and gives up where that takes too long.
func (f *Fence) pause(ctx context.Context, lanes *lane.Lanes) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fault.FenceLimit, fmt.Errorf("a batch has been waiting for %s while somebody waits to change %s; "+
		"does that transaction hold rows of the same keys? end it, and load again", fault.FenceLimit, f.t.Table.SQL()))
	defer cancel()
	defer lanes.Watch(ctx)()
	return lanes.Pause(ctx)
}

// check compares the table with what it was when the fence was raised.
func (f *Fence) check(ctx context.Context) error {
	t, d, nodes, err := lookAt(ctx, f.conn, f.t, f.way)
	if _, dropped := errors.AsType[*catalog.NotFoundError](err); dropped {
		return f.changed("it is gone")
	}
	if err != nil {
		return err
	}
	if now := identity(f.columns, t, d, f.way); now != f.identity {
		return f.changed("it is now " + now + ", and was " + f.identity)
	}
	for leaf, file := range f.files {
		switch now, there := t.Files[leaf]; {
		case !there:
			return f.changed("a partition of it is gone")
		case now != file:
			return f.changed("it, or a partition of it, was emptied or rewritten")
		}
	}
	f.files = t.Files
	if f.progress != nil {
		if err := ledger.CheckProgress(ctx, f.conn, f.progress.Target, f.progress.Job); err != nil {
			return err
		}
	}
	return f.checkNodes(nodes)
}

// lookAt reads what is called as the target is, how the target is distributed, and, for a
// way to nodes, which there are. Behind the lock that is what the load goes by.
func lookAt(ctx context.Context, conn *pgx.Conn, of *target.Target, by Way) (t *catalog.Table, d *citus.Distribution, nodes []citus.Node, err error) {
	batch := &pgx.Batch{}
	if t, err = catalog.Queue(batch, of.Table.SQL()); err != nil {
		return nil, nil, nil, err
	}
	d, now := &citus.Distribution{Kind: citus.Local}, &nodes
	if of.Server.Citus != "" {
		d = citus.QueueDistribution(batch, of.Table.OID)
	}
	if by != ByCoordinator {
		now = citus.QueueNodes(batch)
	}
	if err := server.Ask(ctx, conn, batch); err != nil {
		return nil, nil, nil, err
	}
	return t, d, *now, nil
}

// checkNodes makes sure that the nodes to which rows went are still part of the
// cluster: the lock on a shard is of no use on a node that is not told of moves.
func (f *Fence) checkNodes(now []citus.Node) error {
	if f.way == ByCoordinator {
		return nil
	}
	for _, n := range f.nodes.All()[1:] {
		ok := slices.ContainsFunc(now, func(c citus.Node) bool {
			// A mark tells whether a server that has taken the node's place has its rows.
			same := f.jobName != "" || c.Address() == n.at.Load().address
			return c.Group == n.group && same && c.Active && c.Synced && c.Role == "primary"
		})
		if !ok {
			return f.changed(n.Name() + " was taken out of the cluster, replaced, or cut off from its metadata")
		}
	}
	return nil
}

// changed is the error of a table that is not what it was.
func (f *Fence) changed(how string) error {
	f.t.Log.Warn("the table has changed", "table", f.t.Table.SQL(), "how", how)
	return &failure.ChangedError{Table: f.t.Table.SQL()}
}

// Close opens the fence for good.
func (f *Fence) Close() {
	if f.conn != nil {
		server.CloseSoon(f.conn.PgConn())
	}
}
