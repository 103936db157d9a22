package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
)

// Column returns the texts of an SQL expression over v, a text, for each of values, in a
// transaction of its own on conn that Ask opens: its settings hold behind a connection
// pooler, too. An error of the transaction is a fault.StatementError: it is about no value.
func (s *Session) Column(ctx context.Context, conn *pgconn.PgConn, encoding, zone, expr string, values []string) (answers []string, err error) {
	if err := Exec(ctx, conn, s.Ask(conn, encoding, zone)); err != nil {
		return nil, &fault.StatementError{Err: fmt.Errorf("ask the server: %w", err)}
	}
	defer func() {
		if rollbackErr := Exec(ctx, conn, "ROLLBACK"); err == nil && rollbackErr != nil {
			err = fmt.Errorf("ask the server: %w", rollbackErr)
		}
	}()
	sql := "SELECT " + expr + " FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS u(v, n) ORDER BY n"
	result := conn.ExecParams(ctx, sql, [][]byte{[]byte(ArrayLiteral(values))}, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	if len(result.Rows) != len(values) {
		return nil, fmt.Errorf("asked the server about %d values, got %d answers", len(values), len(result.Rows))
	}
	answers = make([]string, len(values))
	for i, row := range result.Rows {
		answers[i] = string(row[0])
	}
	return answers, nil
}

// IsUTF8 reports whether an encoding, by PostgreSQL's name, is UTF-8.
func IsUTF8(encoding string) bool {
	name := strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(encoding))
	return name == "UTF8" || name == "UNICODE"
}

// CloseSoon closes conn, also after an interrupt, without waiting long for a server that
// does not answer: nothing is open on it that the server would keep.
func CloseSoon(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), fault.CloseGrace)
	defer cancel()
	_ = conn.Close(ctx)
}
