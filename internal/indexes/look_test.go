package indexes_test

import (
	"fmt"
	"testing"
	"time"

	"shardload/internal/indexes"
	"shardload/internal/pgtest"
)

// TestLookBesideDrop holds that whoever looks for indexes while they are dropped finds those that
// are left: the statement waits for the lock of a partitioned table, and began before.
func TestLookBesideDrop(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	dropper, looker, watch := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
	exec(t, dropper, tables["parts"]...)
	of := target(t, looker, "parts")
	pid := looker.PgConn().PID()

	tx, err := dropper.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, dropper, "LOCK TABLE parts", "DROP INDEX parts_v", "DROP INDEX old_only")
	type answer struct {
		indexes.Survey
		error
	}
	looked := make(chan answer, 1)
	go func() {
		found, err := indexes.Look(t.Context(), looker, of)
		looked <- answer{found, err}
	}()
	for query(t, watch, fmt.Sprintf("SELECT (count(*) > 0)::text FROM pg_locks WHERE pid = %d AND NOT granted", pid))[0] != "true" {
		time.Sleep(time.Millisecond)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-looked
	if got.error != nil {
		t.Fatal(got.error)
	}
	if fmt.Sprint(got.May) != "[whole]" {
		t.Errorf("found %v, want those that are left: whole", got.May)
	}
}
