package server

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/loader/waiting"
)

// Advisory locks are anybody's: whoever knows a number may take it, and holds up those
// who wait for it. So ours are many, nobody waits for them in silence, and nobody waits
// for ever.

// TablesLock returns the number of the advisory lock under which tables of ours are made
// and dropped in a schema. It counts in one database.
func TablesLock(schema string) int64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "shardload tables %q", schema)
	return int64(h.Sum64())
}

// TryLockSQL returns the query that takes an advisory lock until the transaction ends, if
// nobody has it, and says whether it did.
func TryLockSQL(key int64) string {
	return fmt.Sprintf("SELECT pg_catalog.pg_try_advisory_xact_lock(%d)", key)
}

// A Holder is a session that has a lock.
type Holder struct {
	PID         int32
	User        string // as far as the role may see it
	Application string
}

// A Waiting says what becomes of those who wait for an advisory lock. The zero value
// waits for fault.LockLimit.
type Waiting struct {
	Limit time.Duration
	// Tell, if it is not nil, is called once the wait is a long one, with those who have
	// the lock.
	Tell func([]Holder)
	// Waits gets such a long wait; nil for none.
	Waits *waiting.Waits
}

// A LockedError reports that a lock was not to be had in time.
type LockedError struct {
	What    string
	After   time.Duration
	Holders []Holder
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: waited %s for a lock that %s", e.What, e.After.Round(time.Second), DescribeHolders(e.Holders))
}

// DescribeHolders says who holds a lock: "process 7 of alice (psql) has".
func DescribeHolders(list []Holder) string {
	if len(list) == 0 {
		return "another session has"
	}
	var texts []string
	for _, h := range list {
		text := fmt.Sprintf("process %d", h.PID)
		if h.PID == 0 {
			text = "a prepared transaction"
		}
		if h.User != "" {
			text += " of " + h.User
		}
		if h.Application != "" {
			text += " (" + h.Application + ")"
		}
		texts = append(texts, text)
	}
	if len(texts) == 1 {
		return texts[0] + " has"
	}
	return strings.Join(texts, ", ") + " have"
}

// TakeLock takes an advisory lock until conn's transaction ends. It asks again and again
// instead of waiting in the server, so that it can say for whom it waits. what says for
// an error what the lock is for.
func TakeLock(ctx context.Context, conn *pgx.Conn, key int64, what string, wait Waiting) error {
	return takeLock(ctx, conn, key, TryLockSQL(key), what, wait)
}

// ShareLock does what TakeLock does, together with others who share the lock.
func ShareLock(ctx context.Context, conn *pgx.Conn, key int64, what string, wait Waiting) error {
	return takeLock(ctx, conn, key, fmt.Sprintf("SELECT pg_catalog.pg_try_advisory_xact_lock_shared(%d)", key), what, wait)
}

func takeLock(ctx context.Context, conn *pgx.Conn, key int64, try, what string, wait Waiting) error {
	limit, poll, told := wait.Limit, fault.FirstLockPoll, false
	if limit <= 0 {
		limit = fault.LockLimit
	}
	for began := time.Now(); ; poll = min(2*poll, fault.LastLockPoll) {
		var locked bool
		if err := conn.QueryRow(ctx, try).Scan(&locked); err != nil || locked {
			return err
		}
		waited := time.Since(began)
		if tell := !told && waited > fault.LockTold; tell || waited > limit {
			list, err := Holders(ctx, conn, key)
			if err != nil {
				return err
			}
			if waited > limit {
				return &LockedError{What: what, After: waited, Holders: list}
			}
			if wait.Tell != nil {
				wait.Tell(list)
			}
			defer wait.Waits.Begin(waiting.Wait{For: "a lock that " + DescribeHolders(list), Since: began, Until: began.Add(limit)})()
			told = true // so that this is once
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Holders returns the sessions that have an advisory lock of the database.
func Holders(ctx context.Context, conn *pgx.Conn, key int64) ([]Holder, error) {
	rows, err := conn.Query(ctx, `SELECT l.pid, coalesce(a.usename::pg_catalog.text, ''), coalesce(a.application_name, '')
		FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.classid = $1::pg_catalog.oid AND l.objid = $2::pg_catalog.oid
		AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) ORDER BY 1`,
		uint32(uint64(key)>>32), uint32(uint64(key)))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Holder])
}
