package server

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
)

// Rows returns what a query gives, as text, nil for NULL, in a transaction of its own on conn with
// the settings of a batch, under which functions evaluate. Its parameters are arrays of texts in
// an encoding; a nil text is NULL. setup are statements before it. An error of the transaction is
// a fault.StatementError.
func (s *Session) Rows(ctx context.Context, conn *pgconn.PgConn, encoding, setup, sql string, arrays [][][]byte) (rows [][][]byte, err error) {
	var list statements
	list.open(conn, Read)
	list.set(conn, s.settings(s.DateStyle, s.TimeZone, encoding)...)
	list.set(conn, s.functions...)
	list.add(setup, s.PathSQL())
	if err := Exec(ctx, conn, list.String()); err != nil {
		return nil, &fault.StatementError{Err: fmt.Errorf("ask the server: %w", err)}
	}
	defer func() {
		if failed := Rollback(ctx, conn); err == nil && failed != nil {
			err = fmt.Errorf("ask the server: %w", failed)
		}
	}()
	params := make([][]byte, len(arrays))
	for i, array := range arrays {
		params[i] = arrayText(array)
	}
	result := conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return result.Rows, result.Err
}

// arrayText returns texts, of which nil is NULL, as the text of a text[].
func arrayText(values [][]byte) []byte {
	b := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		if v == nil {
			b = append(b, "NULL"...)
			continue
		}
		b = append(b, '"')
		for _, c := range v {
			if c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '"')
	}
	return append(b, '}')
}
