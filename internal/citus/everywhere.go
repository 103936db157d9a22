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
