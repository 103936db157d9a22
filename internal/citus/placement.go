package citus

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Placement says where a shard is.
type Placement struct {
	Shard
	Group int32  // of the node
	Table string // the shard's own table, qualified and quoted
}

// Placements returns where the shards of the table with that OID are, as the
// coordinator has it.
func Placements(ctx context.Context, conn *pgx.Conn, table uint32) ([]Placement, error) {
	// shard_name leaves the schema public out, which is not on every search path.
	rows, err := conn.Query(ctx, `
		SELECT s.shardid, s.shardminvalue, s.shardmaxvalue, p.groupid,
		       CASE WHEN n.nspname = 'public' THEN 'public.' ELSE '' END || pg_catalog.shard_name(s.logicalrelid, s.shardid)
		FROM pg_catalog.pg_dist_shard s
		JOIN pg_catalog.pg_dist_placement p USING (shardid)
		JOIN pg_catalog.pg_class c ON c.oid = s.logicalrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE s.logicalrelid = $1::oid AND p.shardstate = 1`, table)
	if err != nil {
		return nil, fmt.Errorf("the placements of the shards: %w", err)
	}
	placements, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Placement, err error) {
		var low, high *string // NULL for a table without a distribution column
		if err = row.Scan(&p.ID, &low, &high, &p.Group, &p.Table); err != nil || low == nil || high == nil {
			return p, err
		}
		if p.Min, err = hash(*low); err == nil {
			p.Max, err = hash(*high)
		}
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("the placements of the shards: %w", err)
	}
	return placements, nil
}

// hash reads the bound of a shard's range.
func hash(bound string) (int32, error) {
	h, err := strconv.ParseInt(bound, 10, 32)
	return int32(h), err
}

// whoSQL tells a server from any other, and the database in it: names and ports
// do not, behind another network's or on another machine's loopback.
const whoSQL = `SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text || ' ' || oid::text
	FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`

// Identities returns what each worker answers to Identity when the coordinator
// asks, by the node's name and port in pg_dist_node. A worker that the coordinator
// cannot reach is missing.
func Identities(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, `SELECT nodename::text, nodeport::int, success, coalesce(result, '')
		FROM pg_catalog.run_command_on_workers($1::text)`, whoSQL)
	if err != nil {
		return nil, fmt.Errorf("ask the workers who they are: %w", err)
	}
	type answer struct {
		Name    string
		Port    int32
		Success bool
		Result  string
	}
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[answer])
	if err != nil {
		return nil, fmt.Errorf("ask the workers who they are: %w", err)
	}
	ids := map[string]string{}
	for _, a := range answers {
		if a.Success {
			ids[fmt.Sprintf("%s:%d", a.Name, a.Port)] = a.Result
		}
	}
	return ids, nil
}

// Identity returns what tells the server and database behind conn from all
// others.
func Identity(ctx context.Context, conn *pgconn.PgConn) (string, error) {
	results, err := conn.Exec(ctx, whoSQL).ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return "", fmt.Errorf("the server does not say who it is")
	}
	return string(results[0].Rows[0][0]), nil
}

// GuardSQL returns the statements that lock a shard against moves and splits until
// the transaction ends, and then count what is still as the caller believes: how
// many of shards, of which the first is the one to lock, are placed on this node
// and of that colocation group. Shards of one group and hash range move together,
// so the lock holds all of them.
//
// They are two statements, in a transaction that is READ COMMITTED: a snapshot
// taken before the lock would show the shard where it no longer is, and rows
// copied there are lost. An error of code XX000 from the lock means that the
// shard is gone.
//
// A placement of another state than 1 is one that waits to be dropped, in Citus 11.
func GuardSQL(colocation int64, shards ...int64) string {
	const shareLock = 5 // as Citus's own writes take it: it waits for a move, and the next move waits for it
	ids := strings.Trim(strings.ReplaceAll(fmt.Sprint(shards), " ", ", "), "[]")
	return fmt.Sprintf(`SELECT pg_catalog.lock_shard_metadata(%d, ARRAY[%d]::bigint[]);
		SELECT count(*) FROM pg_catalog.pg_dist_placement p
		JOIN pg_catalog.pg_dist_shard s USING (shardid)
		JOIN pg_catalog.pg_dist_partition t ON t.logicalrelid = s.logicalrelid
		WHERE p.shardid IN (%s) AND p.shardstate = 1 AND t.colocationid = %d
		  AND p.groupid = (SELECT groupid FROM pg_catalog.pg_dist_local_group)`, shareLock, shards[0], ids, colocation)
}

// Gone reports whether err, of the guard or of a COPY into a shard behind it, says
// that the shard is no longer there.
func Gone(err *pgconn.PgError) bool {
	return err.Code == "42P01" || ShardGone(err)
}

// ShardGone reports whether err says that Citus no longer knows a shard, because
// it was split for example. Writes that Citus places itself fail so, too.
func ShardGone(err *pgconn.PgError) bool {
	return err.Code == "XX000" && strings.Contains(err.Message, "could not find valid entry for shard")
}
