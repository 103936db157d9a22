// Package server is where shardload meets a server: how it is reached, under which
// settings its connections work, and how names and values are written into SQL.
//
// Whatever another role may have made on a server is data here, never SQL: names are
// quoted, values are literals, and no name is looked up where others may create it.
package server

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Literal returns s as an SQL string, whatever standard_conforming_strings says.
func Literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// ArrayLiteral returns values as the text of a text[], none of them NULL. It is a value
// for a parameter: in a statement it must pass Literal as well.
func ArrayLiteral(values []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for j := range len(v) {
			if v[j] == '"' || v[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(v[j])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// Exec runs statements, without parameters, and drops what they return.
func Exec(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}

// Describe asks what one statement takes and returns, without running it. A second one after it
// is refused.
func Describe(ctx context.Context, conn *pgconn.PgConn, sql string) (*pgconn.StatementDescription, error) {
	return conn.Prepare(ctx, "", sql, nil)
}
