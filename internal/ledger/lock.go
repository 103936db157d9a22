package ledger

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/loader/waiting"
)

// LockJob takes the lock on the target's job of that name until conn's transaction ends:
// one process at a time works on a job. If another one does the error is a
// *server.LockedError, and tell is called before.
func LockJob(ctx context.Context, conn *pgx.Conn, t Target, name string, tell func([]server.Holder)) error {
	return takeJob(ctx, conn, jobLock(t.Table.OID, name), tell, t.Waiting.Waits)
}

// takeJob takes the lock of a job by its number. A process that was killed or interrupted
// has its locks until the server notices: so long they are waited for.
func takeJob(ctx context.Context, conn *pgx.Conn, key int64, tell func([]server.Holder), waits *waiting.Waits) error {
	return server.TakeLock(ctx, conn, key, "work on a job", server.Waiting{Limit: fault.BusyLimit, Tell: tell, Waits: waits})
}

// TablesLockSQL returns the statement that takes the lock under which tables of ours are
// made and dropped in a schema, and waits for it.
func TablesLockSQL(schema string) string {
	return fmt.Sprintf("SELECT pg_catalog.pg_advisory_xact_lock(%d)", server.TablesLock(schema))
}

// jobLock is the number of the advisory lock of a job.
func jobLock(table uint32, name string) int64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", table, name)
	return int64(h.Sum64())
}
