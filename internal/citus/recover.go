package citus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// pollEvery is how often a wait for Citus looks again.
	pollEvery = time.Second
	// slack is how much longer than Citus's own interval a wait lasts.
	slack = 15 * time.Second
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
	err = conn.QueryRow(ctx, `SELECT recover_prepared_transactions()`).Scan(&n)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42501" {
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

// waitForRecovery waits until Citus has finished by itself what is prepared now.
func waitForRecovery(ctx context.Context, conn *pgx.Conn) (n int, note string, err error) {
	doubtful, err := prepared(ctx, conn)
	if err != nil || len(doubtful) == 0 {
		return 0, "", err
	}
	var milliseconds int64 // -1 if Citus does not recover by itself
	err = conn.QueryRow(ctx, `SELECT setting::bigint FROM pg_settings WHERE name = 'citus.recover_2pc_interval'`).Scan(&milliseconds)
	if err != nil {
		return 0, "", fmt.Errorf("how often Citus recovers: %w", err)
	}
	patience := time.Duration(0)
	if milliseconds >= 0 {
		patience = time.Duration(milliseconds)*time.Millisecond + slack
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
	tick := time.NewTicker(pollEvery)
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
	const onNode = `SELECT coalesce(string_agg(gid, ' ' ORDER BY gid), '') FROM pg_prepared_xacts
		WHERE gid LIKE 'citus\_%' AND database = current_database()`
	rows, err := conn.Query(ctx, `SELECT nodeid, success, result FROM run_command_on_all_nodes($1::text)`, onNode)
	if err != nil {
		return nil, fmt.Errorf("look for prepared transactions: %w", err)
	}
	var ids []string
	var node int32
	var success bool
	var result string
	_, err = pgx.ForEachRow(rows, []any{&node, &success, &result}, func() error {
		if !success {
			return fmt.Errorf("node %d: %s", node, result)
		}
		for id := range strings.FieldsSeq(result) {
			ids = append(ids, fmt.Sprintf("%d:%s", node, id))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for prepared transactions: %w", err)
	}
	return ids, nil
}
