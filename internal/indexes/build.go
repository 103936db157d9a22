package indexes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/internal/term"
)

// A Builder builds the indexes of a table that wait.
type Builder struct {
	Target  ledger.Target
	Connect func(context.Context) (*pgx.Conn, error)
	// Persist calls fn until it succeeds or fails with what does not pass. It is called from
	// several goroutines.
	Persist func(ctx context.Context, fn func() error) error
	Log     *slog.Logger
	AtOnce  int             // how many indexes are built at a time
	Tell    func(n, of int) // how many are built by now, of how many; called from several goroutines
}

// shown returns the table's name as people write it.
func (b *Builder) shown() string { return server.Shown(b.Target.Table.Schema, b.Target.Table.Name) }

// nodesAtOnce is how many indexes of a table of Citus are built at a time at most: Citus builds
// each on all shards of all nodes at once, and opens up to citus.max_adaptive_executor_pool_size
// connections to each node for it.
const nodesAtOnce = 2

// Build builds the indexes that wait, and returns how many it has built. Nobody else does
// meanwhile: it waits, and says so, for loads that store rows without them and build them later,
// and for whoever builds them now. Those that cannot be built wait on; the error has a
// *failure.IndexError for each.
func (b *Builder) Build(ctx context.Context) (built int, err error) {
	var lock *pgx.Conn
	defer func() {
		if lock != nil {
			server.CloseSoon(lock.PgConn())
		}
	}()
	err = b.Persist(ctx, func() (err error) {
		if lock == nil || lock.IsClosed() {
			if lock, err = b.Connect(ctx); err != nil {
				return err
			}
		}
		return b.lock(ctx, lock)
	})
	if err != nil {
		return 0, fmt.Errorf("build the indexes of %s: %w", b.Target.Table, err)
	}
	w := newWorkers(b)
	defer w.close()
	err = w.do(ctx, func(conn *pgx.Conn) (err error) {
		w.waiting, err = ledger.WaitingOf(ctx, conn, b.Target)
		return err
	})
	if err != nil || w.waiting == nil {
		return 0, err
	}
	err = w.run(ctx)
	return int(w.done.Load()), err
}

// lock takes IndexesLock, which lasts as long as conn.
func (b *Builder) lock(ctx context.Context, conn *pgx.Conn) error {
	if err := server.Rollback(ctx, conn.PgConn()); err != nil { // of a try that failed
		return err
	}
	if err := server.Start(ctx, conn.PgConn(), server.Write); err != nil {
		return err
	}
	return server.TakeLock(ctx, conn, ledger.IndexesLock(b.Target.Table.OID), "build indexes", server.Waiting{Limit: fault.Endless, Tell: func(list []server.Holder) {
		b.Log.Warn(fmt.Sprintf("the indexes of %s wait for another load of it: %s its lock; who ends last builds them", b.shown(), server.DescribeHolders(list)))
	}})
}

// Share takes IndexesLock of t together with other loads, until conn's transaction ends, which it
// opens: as long nobody builds the table's indexes. It waits for whoever builds them now.
func Share(ctx context.Context, conn *pgx.Conn, t ledger.Target, log *slog.Logger) error {
	if err := server.Start(ctx, conn.PgConn(), server.Write); err != nil {
		return err
	}
	return server.ShareLock(ctx, conn, ledger.IndexesLock(t.Table.OID), "store rows without indexes", server.Waiting{Limit: fault.Endless, Tell: func(list []server.Holder) {
		log.Warn(fmt.Sprintf("waiting until the indexes of %s are built that wait: %s its lock", server.Shown(t.Table.Schema, t.Table.Name), server.DescribeHolders(list)))
	}})
}

// A task is an index that is to be built.
type task struct {
	ledger.Index
	*definition
}

// steps are what is done one after the other: the indexes of single tables first, then those of
// partitioned ones from below, which take in the parts that they find.
func steps(waiting []ledger.Index) ([][]task, error) {
	by := map[int][]task{}
	for _, x := range waiting {
		d, err := decode(x.Name, x.Definition)
		if err != nil {
			return nil, err
		}
		at := 0
		if d.Partitioned {
			const deepest = 1_000_000
			at = deepest - d.Depth
		}
		by[at] = append(by[at], task{x, d})
	}
	var list [][]task
	for _, at := range slices.Sorted(maps.Keys(by)) {
		list = append(list, by[at])
	}
	return list, nil
}

// run builds what waits. If something could not be built what would need it is left.
func (w *workers) run(ctx context.Context) error {
	list, err := steps(w.waiting.Indexes)
	if err != nil {
		return err
	}
	if total := len(w.waiting.Indexes); total > 0 {
		w.Log.Info(fmt.Sprintf("%s: building %s", w.shown(), term.Plural(total, "index")))
		w.tell()
	}
	var clustered []task
	for _, step := range list {
		if err := w.each(ctx, step, w.build); err != nil {
			return err
		}
		for _, x := range step {
			if x.Clustered {
				clustered = append(clustered, x)
			}
		}
	}
	// A mark takes a lock of the table that nobody gets who builds an index of it: last of all.
	if err := w.each(ctx, clustered, w.mark); err != nil {
		return err
	}
	return w.do(ctx, func(conn *pgx.Conn) error { return w.waiting.Drop(ctx, conn) })
}

// build builds an index and takes it off the list, in one transaction.
func (w *workers) build(ctx context.Context, conn *pgx.Conn, x task) error {
	built := false
	err := server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		ok, err := w.waiting.Take(ctx, tx, x.Index)
		if err != nil || !ok { // the answer to the COMMIT was lost
			return err
		}
		built = true
		on, err := findTable(ctx, conn, x.Of)
		if err != nil {
			return err
		}
		if on == nil {
			w.Log.Warn(fmt.Sprintf("index %s is not built: %s is gone", server.Shown(x.Name), x.Table))
			return w.waiting.Remove(ctx, tx, x.Index)
		}
		if err := w.make(ctx, conn, x, on); err != nil {
			return err
		}
		if err := adorn(ctx, conn, x, on); err != nil || x.Clustered {
			return err
		}
		return w.waiting.Remove(ctx, tx, x.Index)
	}, parallelSQL)
	if err == nil && built {
		w.done.Add(1)
		w.tell()
	}
	return err
}

// parallelSQL makes Citus open more connections while a statement takes long, and keep them for the
// next index. Where there is no Citus it means nothing.
const parallelSQL = "SELECT set_config('citus.executor_slow_start_interval', '10', true), set_config('citus.max_cached_conns_per_worker', '16', true)"

// make makes the index, unless it is there, and compares it with what it was.
func (w *workers) make(ctx context.Context, conn *pgx.Conn, x task, on *table) error {
	there, err := findIndex(ctx, conn, x, on)
	if err != nil || there {
		return err
	}
	if err := makeIndex(ctx, conn.PgConn(), x.definition, x.Name, on.sql); err != nil {
		return err
	}
	if there, err = findIndex(ctx, conn, x, on); err == nil && !there {
		err = errors.New("it was made, and is not there")
	}
	return err
}

// A table has an index, under whatever name it has now.
type table struct {
	schema string
	sql    string // quoted
}

// findTable returns the table of that OID, nil if it is gone.
func findTable(ctx context.Context, conn *pgx.Conn, oid uint32) (*table, error) {
	var schema, name string
	err := conn.QueryRow(ctx, `SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = $1::oid AND c.relkind IN ('r', 'p')`, oid).Scan(&schema, &name)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &table{schema, server.Name(schema, name)}, err
}

// findIndex reports whether the index is there. It is an error if something else has its name.
func findIndex(ctx context.Context, conn *pgx.Conn, x task, on *table) (bool, error) {
	name := server.Name(on.schema, x.Name)
	var taken bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1::text) IS NOT NULL", name).Scan(&taken); err != nil || !taken {
		return false, err
	}
	list, err := read(ctx, conn, x.Of, false, "x.indrelid = $1::oid AND c.oid = to_regclass($3::text)", name)
	if err != nil {
		return false, err
	}
	if len(list) != 1 || list[0].text() != x.text() {
		return false, fmt.Errorf("something else has the name %s by now: rename it, or drop it", name)
	}
	if list[0].why == invalid {
		return false, fmt.Errorf("%s was made by somebody else, and is not valid: drop it", name)
	}
	return true, nil
}

// adorn gives the index what its statement does not say.
func adorn(ctx context.Context, conn *pgx.Conn, x task, on *table) error {
	name := server.Name(on.schema, x.Name)
	if x.Comment != "" {
		if err := execOne(ctx, conn.PgConn(), "COMMENT ON INDEX "+name+" IS "+server.Literal(x.Comment)); err != nil {
			return err
		}
	}
	for _, column := range slices.Sorted(maps.Keys(x.Statistics)) {
		err := execOne(ctx, conn.PgConn(), fmt.Sprintf("ALTER INDEX %s ALTER COLUMN %d SET STATISTICS %d", name, column, x.Statistics[column]))
		if err != nil {
			return err
		}
	}
	return nil
}

// mark makes an index that is built the one that CLUSTER goes by, and takes it off the list.
func (w *workers) mark(ctx context.Context, conn *pgx.Conn, x task) error {
	return server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		ok, err := w.waiting.Take(ctx, tx, x.Index)
		if err != nil || !ok {
			return err
		}
		on, err := findTable(ctx, conn, x.Of)
		if err != nil {
			return err
		}
		if on != nil {
			if err := execOne(ctx, conn.PgConn(), "ALTER TABLE "+on.sql+" CLUSTER ON "+server.Name(x.Name)); err != nil {
				return err
			}
		}
		return w.waiting.Remove(ctx, tx, x.Index)
	})
}
