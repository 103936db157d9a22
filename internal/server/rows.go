package server

import (
	"context"
	"encoding/binary"
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
	params, formats := make([][]byte, len(arrays)), make([]int16, len(arrays))
	for i, array := range arrays {
		params[i], formats[i] = textArray(array), 1
	}
	result := conn.ExecParams(ctx, sql, params, nil, formats, nil).Read()
	return result.Rows, result.Err
}

// textArray returns an array of texts, of which nil is NULL, as the server reads it in binary: in
// text it might not read NULL, by the setting array_nulls.
func textArray(values [][]byte) []byte {
	const text = 25 // its OID
	size := 20
	for _, v := range values {
		size += 4 + len(v)
	}
	b := make([]byte, 0, size)
	dimensions := uint32(1)
	if len(values) == 0 {
		dimensions = 0
	}
	for _, n := range []uint32{dimensions, 1, text} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	if dimensions == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	b = binary.BigEndian.AppendUint32(b, 1)
	for _, v := range values {
		if v == nil {
			b = binary.BigEndian.AppendUint32(b, 1<<32-1)
			continue
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}
