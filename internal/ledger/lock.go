package ledger

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// LockSQL returns the query that takes the lock on the target's job of that name
// until the transaction ends, and says whether it did: one process at a time
// works on a job.
func LockSQL(t Target, name string) string {
	return server.TryLockSQL(jobLock(t.Table.OID, name))
}

// JobHolders returns who has the lock that LockSQL did not get.
func JobHolders(ctx context.Context, conn *pgx.Conn, t Target, name string) ([]server.Holder, error) {
	return server.Holders(ctx, conn, jobLock(t.Table.OID, name))
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
