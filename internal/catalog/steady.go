package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// Steady runs look, which finds out about the table of that name without changing anything,
// and returns that table, nil if it did not get so far.
//
// A table that is dropped meanwhile makes look fail in words that say nothing to anybody
// ("could not open relation with OID"), or that are not so. Then look runs again, and finds
// out about what has the name now, or that nothing has. conn returns a connection on which
// nothing is open.
func Steady(ctx context.Context, conn func() *pgx.Conn, name string, look func() (*Table, error)) error {
	for try := 1; ; try++ {
		t, err := look()
		if err == nil || ctx.Err() != nil || !dropped(ctx, conn(), name, t, err) {
			return err
		}
		if try == fault.LookTries {
			return fmt.Errorf("table %s was dropped or made anew %d times while it was looked at; the last time: %w", name, try, err)
		}
	}
}

// dropped reports whether err may come from t being dropped. Where it is not known which table
// that was, an error tells that the server or pgx has about its inside.
func dropped(ctx context.Context, conn *pgx.Conn, name string, t *Table, err error) bool {
	if _, ok := errors.AsType[*NotFoundError](err); ok || conn.IsClosed() || conn.PgConn().TxStatus() != 'I' {
		return false
	}
	if t == nil || t.OID == 0 {
		_, isNull := errors.AsType[pgx.ScanArgError](err)
		return isNull || fault.Is(err, fault.InternalError)
	}
	now, err := oidOf(ctx, conn, name)
	return err == nil && now != t.OID
}

// oidOf returns the OID of the relation of that name, found as Lookup does, 0 if there is none.
func oidOf(ctx context.Context, conn *pgx.Conn, name string) (oid uint32, err error) {
	parts, err := server.ParseName(name)
	if err != nil {
		return 0, err
	}
	batch := &pgx.Batch{}
	batch.Queue(server.RolePathSQL)
	batch.Queue(findSQL, server.Name(parts...))
	batch.Queue(server.OwnPathSQL)
	batch.Queue("SELECT coalesce(" + found + ", 0)").QueryRow(func(row pgx.Row) error { return row.Scan(&oid) })
	return oid, server.Ask(ctx, conn, batch)
}
