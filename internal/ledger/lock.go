package ledger

import (
	"fmt"
	"hash/fnv"
)

// LockSQL returns the query that takes the lock on the target's job of that name
// until the transaction ends, and says whether it did: one process at a time
// works on a job.
func LockSQL(t Target, name string) string {
	return tryLockSQL(lockKey(t.Table.OID, name))
}

func tryLockSQL(key int64) string {
	return fmt.Sprintf("SELECT pg_catalog.pg_try_advisory_xact_lock(%d)", key)
}

// lockKey is the number of the advisory lock of a job.
func lockKey(table uint32, name string) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", table, name)
	return int64(h.Sum64())
}
