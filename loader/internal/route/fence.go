package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
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
		return gone(ctx, f)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.t.Table.SQL(), err)
	}
	return f.lockJob(ctx)
}

// gone says which table is gone that lock could not lock: the target, or one that another process
// drops which empties the target, or forgets the job.
func gone(ctx context.Context, f *Fence) error {
	err := server.Exec(ctx, f.conn.PgConn(), "ROLLBACK")
	if err == nil {
		err = server.Start(ctx, f.conn.PgConn(), server.Write, f.t.TableLockSQL(f.columns)...)
	}
	if err == nil {
		return f.changed("the table of this load's progress is gone: another process has emptied the table, or forgotten the load")
	}
	if fault.Is(err, fault.UndefinedTable) {
		return f.changed("it is gone")
	}
	return fmt.Errorf("lock %s: %w", f.t.Table.SQL(), err)
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
		return Busy(f.t, locked)
	}
	return err
}

// Busy returns the error of an input that another process is loading into t.
func Busy(t *target.Target, locked *server.LockedError) error {
	return &failure.PreflightError{
		Problem: "another process is loading this input into " + t.Table.SQL() + ": " + server.DescribeHolders(locked.Holders) + " its lock",
		Do:      "wait for it, or end it",
	}
}

// AddProgress locks the progress table of j, as long as the fence stands, and makes sure
// that it is ours: now, and each time that the fence was open.
func (f *Fence) AddProgress(ctx context.Context, j *job.Job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	locks := []string{f.t.LockSQL(j.Progress)}
	if j.Aside != nil {
		locks = append(locks, f.t.LockSQL(j.Aside.Table))
	}
	f.others, f.progress = append(f.others, locks...), j
	return f.t.Persist(ctx, func() error {
		if f.conn.IsClosed() || f.conn.PgConn().TxStatus() != 'T' { // all locks, this one among them
			if err := f.lock(ctx); err != nil {
				return err
			}
			return f.check(ctx)
		}
		for _, sql := range locks {
			if err := server.Exec(ctx, f.conn.PgConn(), sql); err != nil {
				return fmt.Errorf("lock %s: %w", j.Progress, err)
			}
		}
		return ledger.CheckProgress(ctx, f.conn, j.Target, j.Job)
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
	return &failure.ChangedError{Table: f.t.Table.SQL(), How: how}
}

// Close opens the fence for good.
func (f *Fence) Close() {
	if f.conn != nil {
		server.CloseSoon(f.conn.PgConn())
	}
}
