package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
	"shardload/internal/server"
)

// Whoever waits for the lock of a schema says for whom, and does not wait for ever. The
// number that an earlier version took for all schemas holds nobody up.
func TestWaiting(t *testing.T) {
	conn, target := newTable(t, pgtest.Plain(t))
	other := pgtest.Connect(t, conn.Config().ConnString())
	pgtest.Exec(t, other, "BEGIN", "SET LOCAL application_name = 'holder'", "SELECT pg_advisory_xact_lock(7310868735421903216)", ledger.TablesLockSQL("elsewhere"))
	if err := ledger.Prepare(context.Background(), conn, target); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, other, ledger.TablesLockSQL(target.Table.Schema))
	told := ""
	target.Waiting = server.Waiting{Limit: 2500 * time.Millisecond, Tell: func(list []server.Holder) { told = server.DescribeHolders(list) }}
	err := ledger.Prepare(context.Background(), conn, target)
	e, ok := errors.AsType[*server.LockedError](err)
	pid := fmt.Sprintf("process %d of ", other.PgConn().PID())
	if !ok || len(e.Holders) != 1 || !strings.Contains(err.Error(), pid) || !strings.Contains(told, pid) || !strings.Contains(told, "(holder)") {
		t.Errorf("error %v, told %q; want the holder, %s", err, told, pid)
	}
}

// TestForgetAfterInterrupt holds that a job can be forgotten although the process that was
// interrupted has its lock for a moment longer.
func TestForgetAfterInterrupt(t *testing.T) {
	t.Parallel()
	conn, target := newTable(t, pgtest.Plain(t))
	dsn := conn.Config().ConnString()
	other, watch := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	j, _ := create(t, conn, target, "in")
	e := findEntry(t, conn, j.ID)
	pgtest.Exec(t, other, "BEGIN")
	if err := ledger.LockJob(ctx, other, target, "in", nil); err != nil {
		t.Fatal(err)
	}
	forgotten := make(chan error, 1)
	go func() { forgotten <- ledger.Forget(ctx, conn, e) }()
	asked := fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND query LIKE '%%pg_try_advisory_xact_lock%%'", conn.PgConn().PID())
	for pgtest.Query(t, watch, asked)[0] == "0" {
		select {
		case err := <-forgotten:
			t.Fatalf("not waited: %v", err)
		case <-ctx.Done():
			t.Fatal("nobody asks for the lock")
		default:
		}
	}
	pgtest.Exec(t, other, "ROLLBACK")
	if err := <-forgotten; err != nil {
		t.Error(err)
	}
}
