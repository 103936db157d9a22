package citus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/server"
)

// A Placement says where a shard is.
type Placement struct {
	Shard
	Place int64  // the placement's own ID: another after a move
	Group int32  // of the node
	Table string // the shard's own table, qualified and quoted
	sum   string // a hash of Table, as its server computes it
}

// nameSQL is the expression of the name of a shard's own table.
const nameSQL = `CASE WHEN n.nspname = 'public' THEN 'public.' ELSE '' END || pg_catalog.shard_name(s.logicalrelid, s.shardid)`

// placedSQL is the end of a query for the placements p of the shards s of a table: the
// name of the shard's own table, and where to look. shard_name leaves the schema public
// out, which is not on every search path.
const placedSQL = nameSQL + fromPlaced + `s.logicalrelid = $1::oid`

const fromPlaced = `
		FROM pg_catalog.pg_dist_shard s
		JOIN pg_catalog.pg_dist_placement p USING (shardid)
		JOIN pg_catalog.pg_class c ON c.oid = s.logicalrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE p.shardstate = 1 AND `

// Placements returns where the shards of the table with that OID are, as the
// coordinator has it.
func Placements(ctx context.Context, conn *pgx.Conn, table uint32) ([]Placement, error) {
	placements, err := collect(ctx, conn, scanPlacement, `
		SELECT s.shardid, p.placementid, s.shardminvalue, s.shardmaxvalue, p.groupid, pg_catalog.md5(`+nameSQL+`), `+placedSQL, table)
	if err != nil {
		return nil, fmt.Errorf("the placements of the shards: %w", err)
	}
	return placements, nil
}

func scanPlacement(row pgx.CollectableRow) (p Placement, err error) {
	var low, high *string // NULL for a table without a distribution column
	if err = row.Scan(&p.ID, &p.Place, &low, &high, &p.Group, &p.sum, &p.Table); err != nil || low == nil || high == nil {
		return p, err
	}
	if p.Min, err = hash(*low); err == nil {
		p.Max, err = hash(*high)
	}
	return p, err
}

// hash reads the bound of a shard's range.
func hash(bound string) (int32, error) {
	h, err := strconv.ParseInt(bound, 10, 32)
	return int32(h), err
}

// IdentitySQL is the query for what tells a server from any other, and the database in it:
// names and ports do not, behind another network's or on another machine's loopback. It may run under
// any search path: on a worker that of its own sessions holds.
const IdentitySQL = `SELECT pg_catalog.concat(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.numeric, ' ', oid)
	FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()`

// Identities returns what each worker answers to IdentitySQL when the coordinator
// asks, by the node's name and port in pg_dist_node. A worker that the coordinator
// cannot reach is missing.
func Identities(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	answers, err := askNodes(ctx, conn, `SELECT pg_catalog.concat(nodename, ':', nodeport), success, coalesce(result, '')
		FROM pg_catalog.run_command_on_workers($1::text)`, IdentitySQL)
	if err != nil {
		return nil, fmt.Errorf("ask the workers who they are: %w", err)
	}
	ids := map[string]string{}
	for _, a := range answers {
		if a.Success {
			ids[a.Node] = a.Result
		}
	}
	return ids, nil
}

// Identity reads the answer to IdentitySQL.
func Identity(answer *pgconn.Result) (string, error) {
	if answer == nil || len(answer.Rows) != 1 {
		return "", errors.New("the server does not say who it is")
	}
	return string(answer.Rows[0][0]), nil
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
		SELECT pg_catalog.count(*) FROM pg_catalog.pg_dist_placement p
		JOIN pg_catalog.pg_dist_shard s USING (shardid)
		JOIN pg_catalog.pg_dist_partition t ON t.logicalrelid = s.logicalrelid
		WHERE p.shardid IN (%s) AND p.shardstate = 1 AND t.colocationid = %d
		  AND p.groupid = (SELECT groupid FROM pg_catalog.pg_dist_local_group)`, shareLock, shards[0], ids, colocation)
}

// HoldSQL returns the statement that locks all shards of a table against moves and
// splits until the transaction ends. The role must own the table.
func HoldSQL(table uint32) string {
	return fmt.Sprintf(`SELECT pg_catalog.lock_shard_metadata(5, (SELECT array_agg(shardid ORDER BY shardid)
		FROM pg_catalog.pg_dist_shard WHERE logicalrelid = %d::oid))`, table)
}

// PlacedSQL returns the query for the IDs of the placements of a table.
func PlacedSQL(table uint32) string {
	return fmt.Sprintf(`SELECT p.placementid FROM pg_catalog.pg_dist_shard s JOIN pg_catalog.pg_dist_placement p USING (shardid)
		WHERE s.logicalrelid = %d::oid AND p.shardstate = 1`, table)
}

// FilesSQL returns the query for the files of shards on the node that has them: a row
// for each table that has rows, the shard's or a partition's of it, with the placement,
// the table's OID and its file. It is "" for no shards.
func FilesSQL(shards []Placement) string {
	values := make([]string, len(shards))
	for i, p := range shards {
		values[i] = fmt.Sprintf("(%d, pg_catalog.to_regclass(%s)::oid)", p.Place, server.Literal(p.Table))
	}
	if len(values) == 0 {
		return ""
	}
	return `SELECT u.place, coalesce(l.oid, 0), coalesce(pg_catalog.pg_relation_filenode(l.oid), 0)
		FROM (VALUES ` + strings.Join(values, ", ") + `) AS u(place, oid)
		LEFT JOIN LATERAL (SELECT relid::oid FROM pg_catalog.pg_partition_tree(u.oid) WHERE isleaf
			UNION SELECT u.oid WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(u.oid))) AS l(oid) ON true`
}
