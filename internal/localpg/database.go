package localpg

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shardload/internal/fault"

	"github.com/jackc/pgx/v5"

	reach "shardload/internal/server"
)

// withConn runs fn on a connection to a database of srv.
func (h *home) withConn(ctx context.Context, srv *server, database string, fn func(*pgx.Conn) error) (err error) {
	// Whoever listens there instead is not told the password.
	conn, err := reach.Connect(ctx, h.dsn(srv.port, database)+"&require_auth=scram-sha-256")
	if err != nil {
		return fmt.Errorf("%s: %w", srv.name, err)
	}
	defer func() {
		// ctx may have ended, and the server should still hear of the end.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, conn.Close(ctx))
	}()
	if err := fn(conn); err != nil {
		return fmt.Errorf("%s: %w", srv.name, err)
	}
	return nil
}

// createDatabase makes the cluster's database on srv, with Citus in it if this is
// to be a Citus cluster.
func (s *starter) createDatabase(ctx context.Context, srv *server) error {
	err := s.home.withConn(ctx, srv, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{s.database}.Sanitize())
		if fault.Is(err, fault.DuplicateDatabase) {
			return nil // "postgres" was asked for, which every server has
		}
		return err
	})
	if err != nil || !s.citus {
		return err
	}
	return s.home.withConn(ctx, srv, s.database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE EXTENSION citus")
		return err
	})
}

// form makes one cluster of the coordinator and the workers. The coordinator holds
// no shards, as in clusters that are run in earnest.
func (s *starter) form(ctx context.Context) error {
	coordinator := s.servers[0]
	return s.home.withConn(ctx, coordinator, s.database, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SELECT citus_set_coordinator_host($1, $2)", loopback, coordinator.port); err != nil {
			return err
		}
		for _, worker := range s.servers[1:] {
			if _, err := conn.Exec(ctx, "SELECT citus_add_node($1, $2)", loopback, worker.port); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, "SELECT citus_set_node_property($1, $2, 'shouldhaveshards', false)",
			loopback, coordinator.port)
		return err
	})
}

// upgrade brings what Citus has in each node's database to the version of its library,
// which works with no other: Citus may have been upgraded while the cluster was stopped.
func (s *starter) upgrade(ctx context.Context) error {
	return s.each(ctx, func(ctx context.Context, on *server) error {
		return s.home.withConn(ctx, on, s.database, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, `SELECT e.extname::text FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname
				WHERE e.extname IN ('citus', 'citus_columnar') AND e.extversion <> a.default_version ORDER BY e.extname`)
			if err != nil {
				return err
			}
			old, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || len(old) == 0 {
				return err
			}
			s.cfg.Log.InfoContext(ctx, "upgrading Citus in a database to the version that is installed", "server", on.name)
			if _, err := conn.Exec(ctx, "SET citus.enable_ddl_propagation = off"); err != nil {
				return err
			}
			for _, extension := range old {
				if _, err := conn.Exec(ctx, "ALTER EXTENSION "+extension+" UPDATE"); err != nil {
					return fmt.Errorf("upgrade %s: %w", extension, err)
				}
			}
			return nil
		})
	})
}

// reform tells a Citus cluster that nodes have moved from the ports in old. It
// writes into each node's own copy of the metadata, as nobody else is connected
// yet: citus_update_node crashes the coordinator of Citus 13.2 now and then.
func (s *starter) reform(ctx context.Context, old []int) error {
	return s.each(ctx, func(ctx context.Context, on *server) error {
		return s.home.withConn(ctx, on, s.database, func(conn *pgx.Conn) error {
			tx, err := conn.Begin(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback(ctx) }() // does nothing after a commit
			// By way of negative ports: one node's new port may be another's old one.
			for i, srv := range s.servers {
				if _, err := tx.Exec(ctx, "UPDATE pg_dist_node SET nodeport = $1 WHERE nodeport = $2", -srv.port, old[i]); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, "UPDATE pg_dist_node SET nodeport = -nodeport WHERE nodeport < 0"); err != nil {
				return err
			}
			return tx.Commit(ctx)
		})
	})
}
