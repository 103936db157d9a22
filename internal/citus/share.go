package citus

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// A Share is what a node has of a table.
type Share struct {
	Node   string // its address
	Shards int
	Bytes  int64 // of the shards, with their indexes
}

// Shares asks the nodes how large their shards of a table are. The view citus_shards
// would ask with functions that it does not name the schema of.
func Shares(ctx context.Context, conn *pgx.Conn, table uint32) (shares []Share, err error) {
	err = server.Tx(ctx, conn, server.Read, func() error {
		// The bounds of a shard may be anything.
		placed, err := collect(ctx, conn, pgx.RowToStructByPos[placed], "SELECT p.groupid, "+placedSQL, table)
		if err != nil {
			return err
		}
		nodes, err := Nodes(ctx, conn)
		if err != nil {
			return err
		}
		shares, err = askSizes(ctx, conn, nodes, placed)
		return err
	})
	return shares, err
}

// A placed shard is its table's name on the nodes of a group.
type placed struct {
	Group int32
	Table string
}

// askSizes asks each node that has some of the shards for their size.
func askSizes(ctx context.Context, conn *pgx.Conn, nodes []Node, shards []placed) ([]Share, error) {
	var shares []Share
	var names, commands []string
	var ports []int32
	for _, n := range nodes {
		var tables []string
		for _, p := range shards {
			if p.Group == n.Group && n.Role == "primary" {
				tables = append(tables, "(pg_catalog.to_regclass("+server.Literal(p.Table)+"))")
			}
		}
		if len(tables) == 0 {
			continue
		}
		shares = append(shares, Share{Node: n.Address(), Shards: len(tables)})
		names, ports, commands = append(names, n.Name), append(ports, n.Port), append(commands, sizeSQL(tables))
	}
	answers, err := askNodes(ctx, conn, `SELECT pg_catalog.concat(node_name, ':', node_port), success, coalesce(result, '')
		FROM pg_catalog.master_run_on_worker($1::text[], $2::pg_catalog.int4[], $3::text[], true)`, names, ports, commands)
	if err != nil {
		return nil, fmt.Errorf("the sizes of the shards: %w", err)
	}
	for _, a := range answers {
		if !a.Success {
			return nil, fmt.Errorf("the sizes of the shards: %w", a.failure())
		}
		bytes, err := strconv.ParseInt(a.Result, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the sizes of the shards: node %s: %w", a.Node, err)
		}
		if i := slices.IndexFunc(shares, func(s Share) bool { return s.Node == a.Node }); i >= 0 {
			shares[i].Bytes = bytes
		}
	}
	slices.SortFunc(shares, func(a, b Share) int { return strings.Compare(a.Node, b.Node) })
	return shares, nil
}

// sizeSQL returns the query for the size of tables on a node, which may run under any
// search path.
func sizeSQL(tables []string) string {
	return "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(s.oid)), 0)::pg_catalog.int8 FROM (VALUES " + strings.Join(tables, ", ") + ") AS s (oid)"
}
