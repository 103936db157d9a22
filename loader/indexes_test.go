package loader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// waitingIndexes are indexes of table flowing: four that may wait, and one that guards rows.
const waitingIndexes = `CREATE INDEX flowing_n ON flowing (n); CREATE INDEX flowing_name ON flowing (lower(name)) WHERE n > 5;
	CREATE INDEX flowing_at ON flowing USING brin (at); CREATE INDEX flowing_many ON flowing (tenant, n DESC) INCLUDE (at) WITH (fillfactor = 80);
	CREATE UNIQUE INDEX flowing_once ON flowing (tenant, id)`

// indexed makes table flowing with indexes, and returns what they are.
func indexed(t *testing.T, dsn string) (conn *pgx.Conn, indexes []string) {
	t.Helper()
	conn = makeFlowing(t, dsn)
	for _, sql := range strings.Split(waitingIndexes, ";") { // Citus takes one at a time
		exec(t, conn, sql)
	}
	return conn, indexesOf(t, conn)
}

// indexesOf returns what the indexes of table flowing are, on each shard, too.
func indexesOf(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	const of = `SELECT string_agg(pg_get_indexdef(indexrelid) || ' ' || indisvalid, E'\n' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = '%s'::regclass`
	list := query(t, conn, fmt.Sprintf(of, "flowing"))
	if query(t, conn, `SELECT count(*) FROM pg_extension WHERE extname = 'citus'`)[0] == "1" {
		list = append(list, query(t, conn, `SELECT shardid, result FROM run_command_on_shards('flowing', $$`+of+`$$) ORDER BY 1`)...)
	}
	return list
}

// indexedAgain holds that table flowing has its indexes and rows, and nothing waits.
func indexedAgain(t *testing.T, conn *pgx.Conn, indexes []string, rows int) {
	t.Helper()
	if diff := gocmp.Diff(indexes, indexesOf(t, conn)); diff != "" {
		t.Errorf("indexes (-before +after):\n%s", diff)
	}
	if left := waitingTables(t, conn); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	sameRows(t, conn, "flowing", rows)
}

// waitingTables returns the tables of ours for indexes that wait.
func waitingTables(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return query(t, conn, "SELECT relname FROM pg_class WHERE relname ~ '^shardload_(indexes|trial)_' AND relnamespace = current_schema()::regnamespace AND relkind = 'r'")
}

// secondary counts the indexes of table flowing that may wait.
func secondary(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	return query(t, conn, "SELECT count(*) FROM pg_index WHERE indrelid = 'flowing'::regclass AND NOT indisunique")[0]
}

// loadSet loads an input as a set of its own does.
func loadSet(ctx context.Context, t *testing.T, cfg loader.Config, in loader.Input, opt loader.SetOptions) (loader.SetResult, error) {
	t.Helper()
	set, err := loader.OpenSet(ctx, &loader.SetTable{Config: cfg, Inputs: []loader.Input{in}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	results, err := set.Load(ctx, opt)
	return results[0], err
}

// TestDeferIndexes holds that indexes are away while rows are stored, whether a file is large or
// stored in one transaction, and as they were afterwards; that a load which was stopped leaves them
// waiting, one without DeferIndexes leaves that as it is, and running the first again builds them;
// and that a load of what is complete drops nothing.
func TestDeferIndexes(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, indexes := indexed(t, dsn)
		path, rows := flowFile(t, 4000)
		for _, job := range []string{"in pieces", "whole", "none"} {
			exec(t, conn, "TRUNCATE flowing")
			cfg := pieces(t, dsn)
			cfg.DeferIndexes, cfg.Job = true, job
			switch job {
			case "whole":
				cfg.Batch, cfg.Memory, cfg.MaxRecord = 0, 0, 0
			case "none":
				cfg.NoResume = true
			}
			watch, away := pgtestConn(t, dsn), ""
			var batches atomic.Int64
			cfg.Observe = func(loader.StoredBatch) {
				if batches.Add(1) == 1 {
					away = secondary(t, watch)
				}
			}
			var built, of atomic.Int64
			res, err := loadSet(t.Context(), t, cfg, loader.File(path), loader.SetOptions{NoAnalyze: true, SetObserver: loader.SetObserver{
				Indexing: func(*loader.SetTable) (func(int, int), func()) {
					return func(n, all int) { built.Store(max(built.Load(), int64(n))); of.Store(int64(all)) }, func() {}
				},
			}})
			if err != nil || res.Waiting || res.Indexes == 0 || away != "0" || built.Load() != 4 || of.Load() != 4 {
				t.Errorf("%s: waiting %t, took %v, %s indexes while rows were stored, %d of %d built, error %v", job, res.Waiting, res.Indexes, away, built.Load(), of.Load(), err)
			}
			indexedAgain(t, conn, indexes, rows)
		}

		exec(t, conn, "TRUNCATE flowing")
		cfg := pieces(t, dsn)
		cfg.DeferIndexes, cfg.Job = true, "stopped"
		ctx, cancel := context.WithCancel(t.Context())
		stopping := cfg
		stopping.Observe = func(loader.StoredBatch) { cancel() }
		res, err := loadSet(ctx, t, stopping, loader.File(path), loader.SetOptions{})
		if !errors.Is(err, context.Canceled) || !res.Waiting || secondary(t, conn) != "0" || len(waitingTables(t, conn)) != 1 {
			t.Fatalf("stopped: waiting %t, %v, error %v", res.Waiting, waitingTables(t, conn), err)
		}
		other := pieces(t, dsn)
		other.Job = "another"
		l := open(t, other)
		if n := l.Plan().Indexes.Waiting; n != 4 {
			t.Errorf("another load: %d indexes wait, want 4", n)
		}
		if _, err := l.Load(t.Context(), loader.Reader("none", strings.NewReader("id,tenant,name,n,at\n"))); err != nil {
			t.Error(err)
		}
		if secondary(t, conn) != "0" || len(waitingTables(t, conn)) != 1 {
			t.Errorf("after another load: %s indexes, %v", secondary(t, conn), waitingTables(t, conn))
		}
		if res, err := loadSet(t.Context(), t, cfg, loader.File(path), loader.SetOptions{}); err != nil || res.Waiting {
			t.Errorf("again: waiting %t, error %v", res.Waiting, err)
		}
		indexedAgain(t, conn, indexes, rows)
		oids := query(t, conn, "SELECT indexrelid FROM pg_index WHERE indrelid = 'flowing'::regclass ORDER BY 1")
		if _, err := loadSet(t.Context(), t, cfg, loader.File(path), loader.SetOptions{}); err != nil {
			t.Error(err)
		}
		if diff := gocmp.Diff(oids, query(t, conn, "SELECT indexrelid FROM pg_index WHERE indrelid = 'flowing'::regclass ORDER BY 1")); diff != "" {
			t.Errorf("indexes of a complete load (-before +after):\n%s", diff)
		}
	})
}

// TestDeferIndexesLate holds that the indexes of a load which was killed after its last row, before
// or while they were built, are built when it is run again.
func TestDeferIndexesLate(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, indexes := indexed(t, dsn)
		path, rows := flowFile(t, 2000)
		cfg := pieces(t, dsn)
		cfg.DeferIndexes = true
		if _, err := run(t, cfg, loader.File(path), 0); err != nil { // and nobody builds
			t.Fatal(err)
		}
		if secondary(t, conn) != "0" {
			t.Fatalf("%s indexes are there", secondary(t, conn))
		}
		// A writer's lock holds the first up; the load is interrupted there.
		writer := pgtestConn(t, dsn)
		exec(t, writer, "BEGIN; LOCK TABLE flowing IN ROW EXCLUSIVE MODE")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			awaitRow(t, conn, "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'flowing'::regclass AND mode = 'ShareLock'")
			cancel()
		}()
		res, err := loadSet(ctx, t, cfg, loader.File(path), loader.SetOptions{})
		if !errors.Is(err, context.Canceled) || !res.Waiting {
			t.Errorf("interrupted: waiting %t, error %v", res.Waiting, err)
		}
		exec(t, writer, "COMMIT")
		if res, err := loadSet(t.Context(), t, cfg, loader.File(path), loader.SetOptions{}); err != nil || res.Waiting || res.Inputs[0].Rows != 0 {
			t.Errorf("again: waiting %t, %d rows, error %v", res.Waiting, res.Inputs[0].Rows, err)
		}
		indexedAgain(t, conn, indexes, rows)
	})
}

// TestDeferIndexesBeside holds that of two loads which defer the same table's indexes the one that
// ends first waits for the other, and says so, and that all are built once.
func TestDeferIndexesBeside(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, _ := indexed(t, dsn)
		exec(t, conn, "DROP INDEX flowing_once") // both loads have the same keys
		indexes := indexesOf(t, conn)
		cfg := pieces(t, dsn)
		cfg.DeferIndexes, cfg.Job = true, "second"
		f := newFlow(0)
		second := start(t, cfg, f)
		if secondary(t, conn) != "0" {
			t.Errorf("%s indexes beside the second load", secondary(t, conn))
		}
		said := make(heard, 100)
		first := pieces(t, dsn)
		first.DeferIndexes, first.Job, first.Log = true, "first", logTo(said)
		done := make(chan error, 1)
		path, _ := flowFile(t, 1000)
		go func() {
			_, err := loadSet(t.Context(), t, first, loader.File(path), loader.SetOptions{NoAnalyze: true})
			done <- err
		}()
		said.await(t, "who ends last builds them")
		if secondary(t, conn) != "0" {
			t.Errorf("%s indexes beside the second load", secondary(t, conn))
		}
		if _, err := second.finish(); err != nil { // its process ends, and builds nothing
			t.Error(err)
		}
		second.leave()
		if err := receiveIn(t, "the end of the first load", done); err != nil {
			t.Error(err)
		}
		if diff := gocmp.Diff(indexes, indexesOf(t, conn)); diff != "" {
			t.Errorf("indexes (-before +after):\n%s", diff)
		}
	})
}

// one returns a file of one record.
func one(t *testing.T) string {
	t.Helper()
	return writeInput(t, []byte("id,tenant,name,n,at\n1,1,x,1,2024-01-01\n"))
}

// heard is what a log says, a line each.
type heard chan string

func (h heard) Write(line []byte) (int, error) {
	h <- string(line)
	return len(line), nil
}

// await waits until the log says something.
func (h heard) await(t *testing.T, text string) {
	t.Helper()
	for {
		select {
		case line := <-h:
			if strings.Contains(line, text) {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q was not said", text)
		}
	}
}

// TestDeferIndexesRoles holds that whoever owns the table and may create in its schema, and nothing
// more, can do it all, and that others are told at once.
func TestDeferIndexesRoles(t *testing.T) {
	t.Parallel()
	dsn, conn := smallTable(t)
	indexed(t, dsn)
	makeRole(t, dsn, conn, "indexowner")
	schema := query(t, conn, "SELECT current_schema()")[0]
	exec(t, conn, "GRANT INSERT, SELECT ON flowing TO indexowner")
	exec(t, conn, "GRANT CREATE ON SCHEMA "+schema+" TO indexowner")
	cfg := pieces(t, dsn)
	cfg.Conn.User, cfg.Conn.Password, cfg.DeferIndexes = "indexowner", "indexowner", true
	_, err := loader.Open(t.Context(), cfg)
	if denied, ok := errors.AsType[*loader.PreflightError](err); !ok || !strings.Contains(denied.Error(), "only its owner may drop and build its indexes") {
		t.Errorf("error %v, want a PreflightError", err)
	}
	other := pieces(t, dsn)
	other.DeferIndexes, other.NoResume = true, true
	if _, err := run(t, other, loader.File(one(t)), 0); err != nil || secondary(t, conn) != "0" {
		t.Fatalf("%s indexes, error %v", secondary(t, conn), err)
	}
	plain := cfg
	plain.DeferIndexes, plain.NoResume = false, true
	if _, err := run(t, plain, loader.File(writeInput(t, []byte("id,tenant,name,n,at\n2,1,x,1,2024-01-01\n"))), 0); err != nil { // it may not read what waits
		t.Error(err)
	}
	if err := open(t, other).BuildIndexes(t.Context()); err != nil {
		t.Error(err)
	}
	exec(t, conn, "TRUNCATE flowing")
	exec(t, conn, "ALTER TABLE flowing OWNER TO indexowner")
	exec(t, conn, "REVOKE CREATE ON SCHEMA "+schema+" FROM indexowner")
	indexes := indexesOf(t, conn)
	path, rows := flowFile(t, 2000)
	l := open(t, cfg)
	if p := l.Plan().Indexes; len(p.Deferred) > 0 || len(p.Kept) != 4 || !strings.Contains(p.Kept[0].Why, "may not create anything in schema") {
		t.Errorf("plan %+v", p)
	}
	exec(t, conn, "GRANT CREATE ON SCHEMA "+schema+" TO indexowner")
	if _, err := loadSet(t.Context(), t, cfg, loader.File(path), loader.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	indexedAgain(t, conn, indexes, rows)

	exec(t, conn, "TRUNCATE flowing")
	cfg.Job = "of the owner's table, by a superuser"
	super := cfg
	super.Conn = parse(t, dsn)
	if _, err := run(t, super, loader.File(path), 0); err != nil {
		t.Fatal(err)
	}
	if owner := query(t, conn, "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relname ~ '^shardload_indexes_' AND relkind = 'r' AND relnamespace = current_schema()::regnamespace"); len(owner) != 1 || owner[0] != "indexowner" {
		t.Errorf("the table of indexes belongs to %v", owner)
	}
	l = open(t, cfg)
	if err := l.BuildIndexes(t.Context()); err != nil {
		t.Error(err)
	}
	indexedAgain(t, conn, indexes, rows)
}
