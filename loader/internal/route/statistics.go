package route

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
)

// Statistics returns how old the table's statistics are, those of all shards together.
func (ns *Nodes) Statistics(ctx context.Context) (s catalog.Statistics, err error) {
	err = ns.t.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		if ns.t.Distribution.Kind != citus.Local {
			s, err = ofShards(ctx, conn, ns.t.Table.OID)
			return err
		}
		var answer string
		if err := server.Value(ctx, conn, &answer, catalog.StatisticsSQL("ARRAY[$1]::pg_catalog.text[]"), ns.t.Table.SQL()); err != nil {
			return err
		}
		s, err = catalog.ReadStatistics(answer)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("how old the statistics of %s are: %w", ns.t.Table, err)
	}
	return s, nil
}

// ofShards returns the statistics of all shards together of the table with that OID, wherever they
// are. Each node is asked once.
func ofShards(ctx context.Context, conn *pgx.Conn, table uint32) (all catalog.Statistics, err error) {
	placements, err := citus.Placements(ctx, conn, table)
	if err != nil || len(placements) == 0 {
		return all, err
	}
	var names []string
	shards := map[int64]bool{}
	for _, p := range placements {
		names = append(names, server.Literal(p.Table))
		shards[p.ID] = true
	}
	answers, err := citus.OnAll(ctx, conn, catalog.StatisticsSQL("ARRAY["+strings.Join(names, ", ")+"]::pg_catalog.text[]"))
	if err != nil {
		return all, err
	}
	for _, answer := range answers {
		one, err := catalog.ReadStatistics(answer)
		if err != nil {
			return all, err
		}
		all.Add(one)
	}
	copies := int64(len(placements) / len(shards)) // of each row
	all.Rows, all.Since = all.Rows/copies, all.Since/copies
	return all, nil
}

// Analyze refreshes the table's statistics, on a connection that streams have left with those
// which Citus has made to the nodes.
func (ns *Nodes) Analyze(ctx context.Context) error {
	sql := "ANALYZE " + ns.t.Table.SQL()
	asRole := ns.t.Server.Citus == "" || ns.t.Code // an index may call functions
	analyze := func(conn *pgconn.PgConn) (err error) {
		if asRole {
			if err = server.Start(ctx, conn, server.Write); err == nil {
				err = server.AsRole(ctx, conn, sql)
			}
		} else {
			err = server.Start(ctx, conn, server.Write, sql)
		}
		if err == nil {
			err = server.Exec(ctx, conn, "COMMIT")
		}
		return err
	}
	if err := ns.t.Persist(ctx, func() error { return ns.First().With(ctx, analyze) }); err != nil {
		return fmt.Errorf("analyze %s: %w", ns.t.Table, err)
	}
	return nil
}
