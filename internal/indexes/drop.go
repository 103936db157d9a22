package indexes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
)

// A Survey says which indexes of a table may wait, and why others that guard no rows do not.
type Survey struct {
	May  []string // names, quoted where they must be; parts of partitioned ones are not named
	Kept []Kept
}

// Look finds out which indexes of t may wait.
func Look(ctx context.Context, conn *pgx.Conn, t ledger.Target) (s Survey, err error) {
	list, err := readAnyhow(ctx, conn, t)
	if err != nil {
		return s, err
	}
	may, kept := sort(list)
	s.Kept = kept
	for _, f := range tops(may) {
		s.May = append(s.May, server.Shown(f.name))
	}
	return s, nil
}

// readAnyhow reads the indexes of t, also while somebody drops them: the server cannot describe an
// index that goes at this moment, and can say so a moment later.
func readAnyhow(ctx context.Context, conn *pgx.Conn, t ledger.Target) (list []*found, err error) {
	for try := 1; ; try++ {
		begin, undo, end := "SAVEPOINT shardload_look", "ROLLBACK TO SAVEPOINT shardload_look", "RELEASE SAVEPOINT shardload_look"
		if conn.PgConn().TxStatus() == 'I' {
			begin, undo, end = "", "", ""
		}
		if err := server.Exec(ctx, conn.PgConn(), begin); err != nil {
			return nil, err
		}
		list, err = read(ctx, conn, t.Table.OID, onCitus(t), "true")
		if err == nil {
			return list, server.Exec(ctx, conn.PgConn(), end)
		}
		if !fault.Is(err, fault.InternalError) || try == fault.LookTries || conn.IsClosed() {
			return nil, err
		}
		if err := server.Exec(ctx, conn.PgConn(), undo); err != nil {
			return nil, err
		}
	}
}

func onCitus(t ledger.Target) bool {
	return t.Distribution != nil && t.Distribution.Kind != citus.Local
}

// tops returns those of the list with which the others go.
func tops(list []*found) (top []*found) {
	in := map[uint32]bool{}
	for _, f := range list {
		in[f.oid] = true
	}
	for _, f := range list {
		if !in[f.parent] {
			top = append(top, f)
		}
	}
	return top
}

// Drop drops the indexes of t that may wait, and notes them beside t, in one transaction. It waits
// for whoever uses the table. What it returns is what it has dropped, and what stays although it
// guards no rows.
func Drop(ctx context.Context, conn *pgx.Conn, t ledger.Target) (s Survey, err error) {
	if s, err = Look(ctx, conn, t); err != nil || len(s.May) == 0 {
		return s, err
	}
	err = server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// First of all the lock that DROP INDEX takes: what is read is what is dropped.
		if err := server.Exec(ctx, conn.PgConn(), citus.LockTableSQL(t.Table.SQL(), "ACCESS EXCLUSIVE", !onCitus(t))); err != nil {
			return err
		}
		list, err := read(ctx, conn, t.Table.OID, onCitus(t), "true")
		if err != nil {
			return err
		}
		may, kept := sort(list)
		if err := try(ctx, tx, t, may); err != nil {
			return err
		}
		may, more := sort(list)
		s = Survey{Kept: append(kept, more[len(kept):]...)}
		if len(may) == 0 {
			return errNothing
		}
		return drop(ctx, tx, t, may, &s)
	})
	if errors.Is(err, errNothing) {
		return s, nil
	}
	if err != nil {
		return Survey{}, fmt.Errorf("drop the indexes of %s: %w", t.Table, err)
	}
	return s, nil
}

// drop notes indexes and drops them.
func drop(ctx context.Context, tx pgx.Tx, t ledger.Target, may []*found, s *Survey) error {
	w, err := ledger.PrepareWaiting(ctx, tx, t)
	if err != nil {
		return err
	}
	var list []ledger.Index
	for _, f := range may {
		text, err := json.Marshal(f.definition)
		if err != nil {
			return err
		}
		list = append(list, ledger.Index{Schema: f.schema, Name: f.name, Definition: text})
	}
	if err := w.Add(ctx, tx, list); err != nil {
		return err
	}
	for _, f := range tops(may) {
		if err := server.Exec(ctx, tx.Conn().PgConn(), "DROP INDEX "+server.Name(f.schema, f.name)); err != nil {
			return err
		}
		s.May = append(s.May, server.Shown(f.name))
	}
	return nil
}

// try makes each of the indexes on an empty table of the same columns, and compares. Where the role
// cannot make it, or it becomes another one, it stays: f.why says so.
func try(ctx context.Context, tx pgx.Tx, t ledger.Target, may []*found) error {
	conn := tx.Conn()
	table := server.Name(t.Table.Schema, "shardload_trial_"+ledger.NewID())
	if err := server.Exec(ctx, conn.PgConn(), "CREATE TABLE "+table+" (LIKE "+t.Table.SQL()+") USING heap"); err != nil {
		return err
	}
	var oid uint32
	if err := conn.QueryRow(ctx, "SELECT $1::text::regclass::oid", table).Scan(&oid); err != nil {
		return err
	}
	why := map[string]string{} // by what tells indexes apart
	for _, f := range may {
		if _, tried := why[f.text()]; !tried {
			reason, err := tryOne(ctx, tx, table, oid, f)
			if err != nil {
				return err
			}
			why[f.text()] = reason
		}
		f.why = why[f.text()]
	}
	return server.Exec(ctx, conn.PgConn(), "DROP TABLE "+table)
}

// tryOne says why an index cannot be made again, "" if it can.
func tryOne(ctx context.Context, tx pgx.Tx, table string, oid uint32, f *found) (why string, err error) {
	conn := tx.Conn()
	undo := func() error { return server.Exec(ctx, conn.PgConn(), "ROLLBACK TO SAVEPOINT shardload_trial") }
	if err := server.Exec(ctx, conn.PgConn(), "SAVEPOINT shardload_trial"); err != nil {
		return "", err
	}
	err = makeIndex(ctx, conn.PgConn(), &f.definition, "", table)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && !conn.IsClosed() {
		return "could not be made again: " + refused.Message, undo()
	}
	if err != nil {
		return "", err
	}
	list, err := read(ctx, conn, oid, false, "true")
	if err != nil {
		return "", err
	}
	if len(list) != 1 || list[0].text() != f.text() {
		why = "could not be made again: it would become another one"
	}
	return why, undo()
}

// makeIndex runs a definition's statement, in a transaction of ours.
func makeIndex(ctx context.Context, conn *pgconn.PgConn, d *definition, name, table string) error {
	sql := d.create(name, table)
	if d.Code { // what it calls may look names up as it does when rows are stored
		return server.AsRole(ctx, conn, sql)
	}
	return execOne(ctx, conn, sql)
}

// execOne runs a text that must be one statement: the server refuses more.
func execOne(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.ExecParams(ctx, sql, nil, nil, nil, nil).Close()
	return err
}
