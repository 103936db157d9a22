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
