package target

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
)

// Look reads where the rows of the table lie, as conn's server has it. The table may
// have been emptied since Open; behind the fence it stays as it is.
func (t *Target) Look(ctx context.Context, conn *pgx.Conn) (files ledger.Files, err error) {
	files = ledger.Files{}
	there := false
	batch := &pgx.Batch{}
	batch.Queue(catalog.FilesSQL, t.Table.OID).Query(func(rows pgx.Rows) error {
		var leaf, file uint32
		_, err := pgx.ForEachRow(rows, []any{&t.Table.RelFileNode, &leaf, &file}, func() error {
			if there = true; leaf != 0 { // a partitioned table may have none
				files.Add(ledger.Here, leaf, file)
			}
			return nil
		})
		return err
	})
	if t.Server.Citus != "" {
		batch.Queue(citus.PlacedSQL(t.Table.OID)).Query(func(rows pgx.Rows) error {
			var place int64
			_, err := pgx.ForEachRow(rows, []any{&place}, func() error {
				files.Place(strconv.FormatInt(place, 10), false)
				return nil
			})
			return err
		})
	}
	if err := server.Ask(ctx, conn, batch); err != nil {
		return nil, fmt.Errorf("look at %s: %w", t.Table, err)
	}
	if !there { // the fence has fallen
		return nil, &failure.ChangedError{Table: t.Table.String(), How: "it is gone"}
	}
	return files, nil
}

// CountLimit is how many rows of a plain table are counted to see whether it still
// has what was stored.
const CountLimit = 10_000_000

// CountRows returns how many rows the table has, up to want, the number that is
// expected. It returns want if the role may not read the table or if that would
// take long.
func (t *Target) CountRows(ctx context.Context, conn *pgx.Conn, want int64) (n int64, err error) {
	want = max(want, 1)
	sql := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d) AS few", t.Table.SQL(), min(want, CountLimit))
	if want > 1 && t.Server.Citus != "" {
		sql = "SELECT count(*) FROM " + t.Table.SQL() // the shards count for themselves
	}
	err = server.Value(ctx, conn, &n, sql)
	if fault.Denied(err) {
		return want, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the rows that an earlier run has stored: %w", err)
	}
	if n == CountLimit {
		return want, nil
	}
	return n, nil
}

// TableLockSQL returns the statements that lock the table as writers of these columns do.
// Rights on single columns are too few for LOCK TABLE; an INSERT that is only planned
// takes the same lock, and fires no trigger.
func (t *Target) TableLockSQL(columns []*catalog.Column) []string {
	if r := t.Rights; r.Insert || r.Update || r.Delete || r.Truncate {
		return []string{t.LockSQL(t.Table.SQL())}
	}
	names, values := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i], values[i] = server.Name(c.Name), "NULL"
	}
	sql := fmt.Sprintf("EXPLAIN INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s WHERE false", t.Table.SQL(), strings.Join(names, ", "), strings.Join(values, ", "))
	if t.Server.Citus != "" {
		return []string{"SET LOCAL citus.explain_distributed_queries = off", sql} // asks no node
	}
	return []string{sql}
}

// LockSQL returns the statement that locks a table as writers do.
func (t *Target) LockSQL(table string) string {
	return citus.LockTableSQL(table, "ROW EXCLUSIVE", t.Server.Citus == "")
}

// HasRows reports whether the table has a row, as a connection to the server sees it.
func (t *Target) HasRows(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	err := server.Start(ctx, conn, server.Read, citus.FewConnectionsSQL)
	if err == nil {
		var results []*pgconn.Result
		results, err = conn.Exec(ctx, "SELECT 1 FROM "+t.Table.SQL()+" LIMIT 1; ROLLBACK").ReadAll()
		if err == nil {
			return len(results[0].Rows) > 0, nil
		}
	}
	if !conn.IsClosed() && conn.TxStatus() != 'I' {
		err = errors.Join(err, server.Exec(ctx, conn, "ROLLBACK"))
	}
	return false, err
}
