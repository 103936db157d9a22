package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Run runs statements in a transaction of ours. An error names the first line of the
// statement that failed.
func Run(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	return Tx(ctx, conn, Write, func() error {
		for _, sql := range statements {
			if err := Exec(ctx, conn.PgConn(), sql); err != nil {
				return fmt.Errorf("%s: %w", strings.SplitN(sql, "\n", 2)[0], err)
			}
		}
		return nil
	})
}

// Value runs a query of one value in a transaction of ours, and stores it into into.
func Value(ctx context.Context, conn *pgx.Conn, into any, sql string, args ...any) error {
	batch := &pgx.Batch{}
	batch.Queue(sql, args...).QueryRow(func(row pgx.Row) error { return row.Scan(into) })
	return Ask(ctx, conn, batch)
}
