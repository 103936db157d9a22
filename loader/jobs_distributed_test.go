package loader_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestJobsOfCitus holds that a table of jobs which is a table of Citus itself, as in the
// schema of a tenant, is worked on as any other: there, functions in an UPDATE must be such
// that Citus can compute them once for all nodes.
func TestJobsOfCitus(t *testing.T) {
	t.Parallel()
	for name, tables := range map[string]struct{ target, jobs string }{
		"reference":      {jobs: "SELECT create_reference_table('shardload_jobs')"},
		"single shard":   {jobs: "SELECT create_distributed_table('shardload_jobs', NULL, colocate_with => 'none')"},
		"reference both": {target: "SELECT create_reference_table('flowing')", jobs: "SELECT create_reference_table('shardload_jobs')"},
		"local target":   {target: "SELECT", jobs: "SELECT create_reference_table('shardload_jobs')"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Citus(t)
			conn := pgtest.Connect(t, dsn)
			pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
			exec(t, conn, flowing)
			if tables.target == "" {
				distribute(t, conn, "flowing", "tenant")
			} else {
				exec(t, conn, tables.target)
			}
			if tables.jobs != "" {
				exec(t, conn, "CREATE TABLE first (k int)")
				loadFirst(t, dsn, "first")
				exec(t, conn, tables.jobs)
			}
			workWithJobs(t, dsn, conn, "flowing")
		})
	}
	t.Run("tenant", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Citus(t)
		conn := pgtest.Connect(t, dsn)
		pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
		schema := "tenant_" + strings.ToLower(ledger.NewID())
		exec(t, conn, "SET citus.enable_schema_based_sharding = on")
		exec(t, conn, "CREATE SCHEMA "+schema)
		t.Cleanup(func() { exec(t, conn, "DROP SCHEMA "+schema+" CASCADE") })
		exec(t, conn, "SET search_path = "+schema)
		for sql := range strings.SplitSeq(flowing, ";") {
			exec(t, conn, sql)
		}
		workWithJobs(t, dsn, conn, schema+".flowing")
	})
}

// loadFirst makes the table of jobs by a load of an empty table.
func loadFirst(t *testing.T, dsn, table string) {
	t.Helper()
	cfg := loader.Config{Conn: parse(t, dsn), Table: table, Job: "first"}
	if _, err := run(t, cfg, loader.File(writeInput(t, []byte("k\n1\n"))), 0); err != nil {
		t.Fatal(err)
	}
}

// workWithJobs does all that there is to do with jobs of a table that is empty.
func workWithJobs(t *testing.T, dsn string, conn *pgx.Conn, table string) {
	t.Helper()
	small := loader.Config{Conn: parse(t, dsn), Table: table, Job: "small"}
	file := loader.File(numbered(t, 100_000, 300))
	if _, err := run(t, small, file, 0); err != nil {
		t.Fatalf("small: %v", err)
	}
	want := func(rows string) {
		t.Helper()
		if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; got != rows+"|"+rows {
			t.Fatalf("rows %s, want %s", got, rows)
		}
	}
	nothingLeft(t, small, file)
	want("300")
	path, rows := flowFile(t, 4000)
	large := pieces(t, dsn)
	large.Table, large.Job = table, "large"
	if _, err := run(t, large, loader.File(path), 5); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	if list := jobsOfFlowing(t, conn); len(list) != 2 || list[1].Problem != "" || list[1].Unread != "" || list[1].Complete() {
		t.Errorf("stopped: %+v", list)
	}
	if _, err := run(t, large, loader.File(path), 0); err != nil {
		t.Fatalf("gone on: %v", err)
	}
	nothingLeft(t, large, loader.File(path))
	want(fmt.Sprint(300 + rows))
	rejecting := small
	rejecting.Job, rejecting.MaxErrors, rejecting.RejectsDir = "rejecting", loader.ErrorLimit{Records: 1}, t.TempDir()
	if res, err := run(t, rejecting, loader.File(writeInput(t, []byte("id,tenant,name,n,at\n200000,1,x,1,2020-01-01\n200001,1,x,bad,2020-01-01\n"))), 0); err != nil || res.Rejected != 1 {
		t.Fatalf("with a bad record: %v, %v", res, err)
	}
	want(fmt.Sprint(301 + rows))
	if err := loader.Truncate(t.Context(), parse(t, dsn), table); err != nil {
		t.Fatalf("emptied: %v", err)
	}
	if list := jobsOfFlowing(t, conn); len(list) != 0 {
		t.Errorf("emptied: jobs %+v", list)
	}
	if _, err := run(t, large, loader.File(path), 5); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	for _, e := range jobsOfFlowing(t, conn) {
		if err := ledger.Forget(t.Context(), conn, e); err != nil {
			t.Errorf("forget: %v", err)
		}
	}
	if list := jobsOfFlowing(t, conn); len(list) != 0 {
		t.Errorf("forgotten: jobs %+v", list)
	}
}

// nothingLeft holds that nothing of in is left to load.
func nothingLeft(t *testing.T, cfg loader.Config, in loader.Input) {
	t.Helper()
	if _, err := run(t, cfg, in, 0); !isComplete(err) {
		t.Errorf("%s once more: %v, want a CompleteError", cfg.Job, err)
	}
}

// jobsOf lists the jobs of conn's schema.
func jobsOf(t *testing.T, conn *pgx.Conn) (list []*ledger.Entry) {
	t.Helper()
	all, err := ledger.List(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	schema := query(t, conn, "SELECT current_schema()")[0]
	for _, e := range all.Jobs {
		if e.Target.Table.Schema == schema {
			list = append(list, e)
		}
	}
	return list
}

// jobsOfFlowing lists the jobs of conn's schema into the table flowing.
func jobsOfFlowing(t *testing.T, conn *pgx.Conn) []*ledger.Entry {
	return slices.DeleteFunc(jobsOf(t, conn), func(e *ledger.Entry) bool { return e.Target.Table.Name != "flowing" })
}
