package citus_test

import (
	"testing"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/pgtest"
)

// TestLockTable holds that both statements lock the table, or say alike that it is gone.
func TestLockTable(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.Exec(t, conn, "CREATE TABLE there (k int)")
	for _, local := range []bool{true, false} {
		pgtest.Exec(t, conn, "BEGIN", citus.LockTableSQL("there", "ROW EXCLUSIVE", local))
		if got := pgtest.Query(t, conn, "SELECT mode FROM pg_locks WHERE relation = 'there'::regclass AND granted")[0]; got != "RowExclusiveLock" {
			t.Errorf("local %t: locked in mode %s", local, got)
		}
		if _, err := conn.Exec(t.Context(), citus.LockTableSQL("gone", "ROW EXCLUSIVE", local)); !fault.Is(err, fault.UndefinedTable) {
			t.Errorf("local %t: error %v of a table that is gone", local, err)
		}
		pgtest.Exec(t, conn, "ROLLBACK")
	}
}
