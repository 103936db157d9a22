package citus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// Recover lets Citus finish transactions that a fault has left prepared on its
// nodes: their rows are in no count yet. Where the role may, it makes Citus do so
// at once, else it waits for the time that Citus takes by itself. It returns how
// many were finished, and what there is to say about it; the note is "" if there
// was nothing to finish.
func Recover(ctx context.Context, conn *pgx.Conn) (n int, note string, err error) {
	version, err := Version(ctx, conn)
	if err != nil || version == "" {
		return 0, "", err
	}
	err = server.Tx(ctx, conn, server.Write, func() error {
		return conn.QueryRow(ctx, `SELECT pg_catalog.recover_prepared_transactions()`).Scan(&n)
	})
	if fault.Denied(err) {
		return waitForRecovery(ctx, conn)
	}
	if err != nil {
		return 0, "", fmt.Errorf("recover prepared transactions: %w", err)
	}
	if n > 0 {
		note = fmt.Sprintf("%d transactions that a fault had left prepared are finished", n)
	}
	return n, note, nil
}

// Settle waits until no transaction that is prepared on a node now is so any more, and
// makes Citus finish them at once where the role may. It returns how many are left when
// Citus should have been through: only a superuser can finish those.
func Settle(ctx context.Context, conn *pgx.Conn) (left int, err error) {
	if err := recoverNow(ctx, conn); err != nil {
		return 0, err
	}
	doubtful, err := prepared(ctx, conn)
	if err != nil || len(doubtful) == 0 {
		return 0, err
	}
	patience, err := recoveryTime(ctx, conn)
	if err != nil {
		return 0, err
	}
	still, err := waitFor(ctx, conn, doubtful, max(patience, fault.RecoverLeast))
	return len(still), err
}

// recoverNow makes Citus finish what is prepared, if the role may.
func recoverNow(ctx context.Context, conn *pgx.Conn) error {
	err := server.Tx(ctx, conn, server.Write, func() error {
		return server.Exec(ctx, conn.PgConn(), `SELECT pg_catalog.recover_prepared_transactions()`)
	})
	if fault.Denied(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recover prepared transactions: %w", err)
	}
	return nil
}

// recoveryTime returns how long Citus takes to finish what is prepared, 0 if it does not
// do so by itself.
func recoveryTime(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	var milliseconds int64 // -1 if Citus does not recover by itself
	err := server.Value(ctx, conn, &milliseconds, `SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'citus.recover_2pc_interval'`)
	if err != nil {
		return 0, fmt.Errorf("how often Citus recovers: %w", err)
	}
	if milliseconds < 0 {
		return 0, nil
	}
	return time.Duration(milliseconds)*time.Millisecond + fault.RecoverSlack, nil
}

// waitForRecovery waits until Citus has finished by itself what is prepared now.
func waitForRecovery(ctx context.Context, conn *pgx.Conn) (n int, note string, err error) {
	doubtful, err := prepared(ctx, conn)
	if err != nil || len(doubtful) == 0 {
		return 0, "", err
	}
	patience, err := recoveryTime(ctx, conn)
	if err != nil {
		return 0, "", err
	}
	left, err := waitFor(ctx, conn, doubtful, patience)
	if err != nil {
		return 0, "", err
	}
	n = len(doubtful) - len(left)
	if len(left) > 0 {
		return n, fmt.Sprintf("%d transactions are still prepared on the nodes, and their rows in no count: "+
			"let a superuser run SELECT recover_prepared_transactions() on the coordinator", len(left)), nil
	}
	return n, fmt.Sprintf("waited until Citus had finished %d prepared transactions", n), nil
}

// waitFor waits, at most as long as patience, until none of the transactions is
// prepared any more, and returns those that still are.
func waitFor(ctx context.Context, conn *pgx.Conn, doubtful []string, patience time.Duration) (left []string, err error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(fault.RecoverPoll)
	defer tick.Stop()
	for {
		now, err := prepared(ctx, conn)
		if err != nil {
			return nil, err
		}
		left = slices.DeleteFunc(slices.Clone(doubtful), func(id string) bool { return !slices.Contains(now, id) })
		if len(left) == 0 {
			return nil, nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return left, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// prepared returns Citus's transactions in this database that are prepared on any
// node, as node and name.
func prepared(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	// On each node under the search path of its own sessions.
	const onNode = `SELECT coalesce(pg_catalog.string_agg(gid, ' ' ORDER BY gid), '') FROM pg_catalog.pg_prepared_xacts
		WHERE pg_catalog.starts_with(gid, 'citus_') AND database OPERATOR(pg_catalog.=) pg_catalog.current_database()`
	answers, err := OnAll(ctx, conn, onNode)
	if err != nil {
		return nil, fmt.Errorf("look for prepared transactions: %w", err)
	}
	var ids []string
	for node, names := range answers {
		for id := range strings.FieldsSeq(names) {
			ids = append(ids, node+":"+id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
