package ledger_test

import (
	"context"
	"testing"
	"time"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// TestLockedElsewhere holds that whoever looks for a job does not wait for those who have a
// table of jobs of another schema locked, as DROP SCHEMA has it; and that whoever has to look
// into it waits for it with no other one locked.
func TestLockedElsewhere(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, schema := range []string{"first", "second"} {
		pgtest.Exec(t, conn, "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".t (k int)")
		if err := ledger.Prepare(ctx, conn, targetOf(t, conn, schema+".t")); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, conn, "CREATE TABLE t (k int)")
	target := targetOf(t, conn, "t")
	other, looking := pgtest.Connect(t, conn.Config().ConnString()), pgtest.Connect(t, conn.Config().ConnString())
	pgtest.Exec(t, other, "BEGIN", "LOCK TABLE second.shardload_jobs IN ACCESS EXCLUSIVE MODE")
	if err := ledger.Prepare(ctx, conn, target); err != nil {
		t.Fatal(err)
	}
	_, elsewhere, err := ledger.FindAlike(ctx, conn, target, []string{"no"}, ledger.Fingerprint{})
	if err != nil || len(elsewhere) != 2 {
		t.Fatalf("%d tables elsewhere, %v", len(elsewhere), err)
	}
	looked := make(chan error, 1)
	go func() {
		_, err := elsewhere.Jobs(ctx, looking, target)
		looked <- err
	}()
	waits := "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'second.shardload_jobs'::regclass"
	for pgtest.Query(t, conn, waits)[0] == "0" {
		if ctx.Err() != nil {
			t.Fatal("nobody waits")
		}
	}
	if held := pgtest.Query(t, conn, "SELECT count(*) FROM pg_locks WHERE relation = 'first.shardload_jobs'::regclass"); held[0] != "0" {
		t.Errorf("%s locks of the one table while it waits for the other", held[0])
	}
	pgtest.Exec(t, other, "ROLLBACK")
	if err := <-looked; err != nil {
		t.Error(err)
	}
}
