package citus

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// OnWorkers runs a query of one row and column, which may run under any search path, on each active
// worker that is a primary, over Citus's own connections. The error is that of the nodes that have not
// answered.
func OnWorkers(ctx context.Context, conn *pgx.Conn, sql string) error {
	return server.Tx(ctx, conn, server.Read, func() error {
		nodes, err := Nodes(ctx, conn)
		if err != nil {
			return err
		}
		var names, commands []string
		var ports []int32
		for _, n := range nodes {
			if n.Group != 0 && n.Active && n.Role == "primary" {
				names, ports, commands = append(names, n.Name), append(ports, n.Port), append(commands, sql)
			}
		}
		if len(names) == 0 {
			return nil
		}
		answers, err := askNodes(ctx, conn, `SELECT pg_catalog.concat(node_name, ':', node_port), success, coalesce(result, '')
			FROM pg_catalog.master_run_on_worker($1::text[], $2::pg_catalog.int4[], $3::text[], true)`, names, ports, commands)
		if err != nil {
			return fmt.Errorf("ask the workers: %w", err)
		}
		for _, a := range answers {
			if !a.Success {
				err = errors.Join(err, a.failure())
			}
		}
		return err
	})
}

// OnAll runs a query of one row and column, which may run under any search path, on each node of
// the cluster, over Citus's own connections, and returns the answers, as text, by the nodes' names
// and ports.
func OnAll(ctx context.Context, conn *pgx.Conn, sql string) (map[string]string, error) {
	answers, err := askNodes(ctx, conn, `SELECT coalesce(n.nodename || ':' || n.nodeport, a.nodeid::pg_catalog.text), a.success, coalesce(a.result, '')
		FROM pg_catalog.run_command_on_all_nodes($1::text) AS a LEFT JOIN pg_catalog.pg_dist_node AS n USING (nodeid)`, sql)
	if err != nil {
		return nil, err
	}
	by := map[string]string{}
	for _, a := range answers {
		if !a.Success {
			return nil, a.failure()
		}
		by[a.Node] = a.Result
	}
	return by, nil
}
