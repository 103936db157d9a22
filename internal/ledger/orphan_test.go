package ledger_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// A progress table whose job is gone is found and removed: not that of a job, not one
// that a load still writes to, not one that may be another role's code.
func TestOrphans(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn, target := newTable(t, dsn)
		load := pgtest.Connect(t, conn.Config().ConnString())
		kept, _ := create(t, conn, target, "kept")
		left, _ := create(t, conn, target, "left")
		back, _ := create(t, conn, target, "back")
		pgtest.Exec(t, conn, "CREATE TABLE aside AS SELECT * FROM shardload_jobs WHERE name = 'back'",
			"DELETE FROM shardload_jobs WHERE name IN ('left', 'back')")
		pgtest.Exec(t, load, "BEGIN", "LOCK TABLE "+left.Progress+" IN ROW EXCLUSIVE MODE")

		list := orphansOf(t, conn, target)
		if list[kept.Progress] != nil || list[left.Progress] == nil || list[back.Progress] == nil {
			t.Fatalf("orphans are %v, want %s and %s", list, left.Progress, back.Progress)
		}
		if users := list[left.Progress].Users; len(users) != 1 || users[0].PID != int32(load.PgConn().PID()) || len(list[back.Progress].Users) > 0 {
			t.Errorf("%s is used by %+v, and %s by %+v", left.Progress, users, back.Progress, list[back.Progress].Users)
		}
		if err := ledger.RemoveOrphan(ctx, conn, list[left.Progress]); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("one that a load writes to: error %v", err)
		}
		pgtest.Exec(t, load, "ROLLBACK")
		pgtest.Exec(t, conn, "INSERT INTO shardload_jobs SELECT * FROM aside")
		if err := ledger.RemoveOrphan(ctx, conn, list[back.Progress]); err == nil || !strings.Contains(err.Error(), "belongs to job") {
			t.Errorf("one that has a job again: error %v", err)
		}
		for range 2 { // the second time it is gone
			if err := ledger.RemoveOrphan(ctx, conn, list[left.Progress]); err != nil {
				t.Error(err)
			}
		}
		if list = orphansOf(t, conn, target); len(list) > 0 {
			t.Errorf("orphans are %v, want none", list)
		}
		for _, j := range []*ledger.Job{kept, back} {
			if len(readLanes(t, conn, target, j)) == 0 {
				t.Errorf("%s is empty", j.Progress)
			}
		}

		// Others' are left alone, also where nothing says that there are jobs.
		role := makeRole(t, conn, "mallory")
		schema := "orphan_" + ledger.NewID()
		pgtest.Exec(t, conn, "CREATE SCHEMA "+schema+" AUTHORIZATION "+role, "SET ROLE "+role, "SET search_path = "+schema)
		pgtest.Exec(t, conn, plant...)
		name := schema + ".shardload_progress_" + ledger.NewID()
		pgtest.Exec(t, conn, "CREATE TABLE "+name+" (key int DEFAULT canary())", "CREATE INDEX ON "+name+" ((canary_of(key::bigint)))",
			"RESET ROLE", "RESET search_path")
		list2, err := ledger.List(ctx, conn)
		if err != nil || !slices.ContainsFunc(list2.LeftAlone, func(e ledger.UntrustedError) bool { return strings.Contains(e.Table, schema) }) {
			t.Errorf("left alone: %+v, %v; want one in %s", list2.LeftAlone, err, schema)
		}
		orphans, err := ledger.Orphans(ctx, conn)
		if err != nil || slices.ContainsFunc(orphans, func(o *ledger.Orphan) bool { return o.Schema == schema }) {
			t.Errorf("orphans are %+v, %v; want none in %s", orphans, err, schema)
		}
	})
}

// orphansOf returns the orphans in the target's schema, by name.
func orphansOf(t *testing.T, conn *pgx.Conn, target ledger.Target) map[string]*ledger.Orphan {
	t.Helper()
	all, err := ledger.Orphans(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]*ledger.Orphan{}
	for _, o := range all {
		if o.Schema == target.Table.Schema {
			list[o.Table] = o
		}
	}
	return list
}
