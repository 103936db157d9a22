package ledger

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/server"
)

// Indexes that were dropped for a load wait in a table of their own beside the target until they
// are built. They are the table's and not a job's: several loads may have dropped some, and a
// load without a job drops some, too. The table is made by the transaction that drops the first
// of them, and goes after the last one was built.

// indexesPrefix is what the names of these tables begin with; the target's OID ends them.
const indexesPrefix = "shardload_indexes_"

// What is in such a table becomes a part of statements: only its owner may write to it.
var indexesShape = shape{
	columns: []column{
		{name: "schema", kind: "text", rest: "NOT NULL"},
		{name: "name", kind: "text", rest: "NOT NULL"},
		{name: "definition", kind: "jsonb", rest: "NOT NULL"},
		{name: "dropped", kind: "timestamptz", rest: "NOT NULL DEFAULT pg_catalog.now()"},
	},
	keys:    [][]string{{"schema", "name"}},
	private: true,
}

// An Index waits to be built.
type Index struct {
	Schema, Name string    // as they were, unquoted
	Definition   []byte    // JSON, of whoever drops and builds indexes
	Dropped      time.Time // when
}

// A WaitingIndexes is a table of ours with the indexes of another one that wait to be built.
type WaitingIndexes struct {
	Table   string // quoted
	Of      Target // whose indexes they are, by its OID and, if it is there still, its name
	Gone    bool   // it is not there any more
	Indexes []Index

	schema string // of Table
	why    string // Table is not to be used, "" if it is
}

// IndexesLock is the number of the advisory lock that loads share for which a table's indexes
// wait, and that whoever builds them has alone.
func IndexesLock(table uint32) int64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "shardload indexes %d", table)
	return int64(h.Sum64())
}

// WaitingOf returns the indexes of the target that wait, nil for none. It is an
// *UntrustedError if they are in a table that is not ours, or that the role may not read.
func WaitingOf(ctx context.Context, conn *pgx.Conn, t Target) (*WaitingIndexes, error) {
	list, err := findWaiting(ctx, conn, fmt.Sprintf("c.relname = '%s%d'", indexesPrefix, t.Table.OID))
	if err != nil {
		return nil, fmt.Errorf("look for indexes that wait: %w", err)
	}
	var alone error
	for _, w := range list {
		if w.why != "" { // anybody may make one anywhere
			if w.schema == t.Table.Schema {
				alone = &UntrustedError{Table: w.Table, Reason: w.why}
			}
			continue
		}
		w.Of = t
		if err := w.read(ctx, conn); err != nil {
			return nil, err
		}
		return w, nil
	}
	return nil, alone
}

// ListWaiting returns the indexes that wait in the database, by their tables, and the tables
// of that kind that are left alone.
func ListWaiting(ctx context.Context, conn *pgx.Conn) (list []*WaitingIndexes, alone []UntrustedError, err error) {
	all, err := findWaiting(ctx, conn, "true")
	if err != nil {
		return nil, nil, fmt.Errorf("look for indexes that wait: %w", err)
	}
	for _, w := range all {
		if w.why == "" {
			err = w.read(ctx, conn)
		}
		switch {
		case w.why != "":
			alone = append(alone, UntrustedError{Table: w.Table, Reason: w.why})
		case err != nil && Untrusted(err) == nil:
			return nil, nil, err
		case err == nil && len(w.Indexes) > 0:
			list = append(list, w)
		}
	}
	return list, alone, nil
}

// findWaiting looks for tables of waiting indexes for which where holds, by the catalog alone.
func findWaiting(ctx context.Context, conn *pgx.Conn, where string) (list []*WaitingIndexes, err error) {
	batch := &pgx.Batch{}
	batch.Queue(fmt.Sprintf(`SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, x.of, coalesce(tn.nspname::pg_catalog.text, ''), coalesce(t.relname::pg_catalog.text, ''),
		coalesce(CASE WHEN NOT %[1]s THEN 'belongs to ' || o.rolname END, %[2]s,
			CASE WHEN NOT coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), true) THEN 'may not be read by this role' END, '')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
		CROSS JOIN LATERAL (SELECT CASE WHEN c.relname ~ '^%[3]s[1-9][0-9]{0,8}$' OR c.relname ~ '^%[3]s[1-4][0-9]{9}$' AND pg_catalog.substr(c.relname::pg_catalog.text, %[4]d) COLLATE "C" <= '4294967295'
			THEN pg_catalog.substr(c.relname::pg_catalog.text, %[4]d)::pg_catalog.oid END AS of) AS x
		LEFT JOIN pg_catalog.pg_class t ON t.oid = x.of AND t.relkind IN ('r', 'p')
		LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
		WHERE x.of IS NOT NULL AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND c.relpersistence <> 't' AND %[5]s ORDER BY 1, 2`,
		ownerSQL("t.oid"), indexesShape.strangeSQL(anyType), indexesPrefix, len(indexesPrefix)+1, where)).Query(func(rows pgx.Rows) error {
		list, err = pgx.CollectRows(rows, scanWaiting)
		return err
	})
	return list, server.Ask(ctx, conn, batch)
}

func scanWaiting(row pgx.CollectableRow) (*WaitingIndexes, error) {
	w := &WaitingIndexes{Of: Target{Table: &catalog.Table{}}}
	var name string
	err := row.Scan(&w.schema, &name, &w.Of.Table.OID, &w.Of.Table.Schema, &w.Of.Table.Name, &w.why)
	w.Table, w.Gone = server.Shown(w.schema, name), w.Of.Table.Name == ""
	return w, err
}

// read reads which indexes wait.
func (w *WaitingIndexes) read(ctx context.Context, conn *pgx.Conn) error {
	err := server.Tx(ctx, conn, server.Read, func() error {
		if err := w.guard(ctx, conn, reading); err != nil {
			return err
		}
		return asOwnerOn(ctx, conn, w.Table, func() error {
			rows, err := conn.Query(ctx, "SELECT schema, name, definition::pg_catalog.text, dropped FROM "+w.Table+" ORDER BY schema, name")
			if err != nil {
				return err
			}
			w.Indexes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (x Index, err error) {
				var definition string
				err = row.Scan(&x.Schema, &x.Name, &definition, &x.Dropped)
				x.Definition = []byte(definition)
				return x, err
			})
			return err
		})
	})
	if undefined(err) { // the last one was built at this moment
		return nil
	}
	if err != nil {
		return fmt.Errorf("read which indexes wait: %w", err)
	}
	return nil
}

// guard locks the table, and makes sure that it is ours.
func (w *WaitingIndexes) guard(ctx context.Context, conn *pgx.Conn, mode lockMode) error {
	guards := guardSQL(w.Of, mode, w.Table, indexesShape, anyType)
	return guard(ctx, conn, strings.Join(guards[:], "; "))
}

// PrepareWaiting makes sure that there is a table for the target's indexes. The caller is the
// only one to drop and build indexes of the target: it has its lock, and IndexesLock.
func PrepareWaiting(ctx context.Context, tx pgx.Tx, t Target) (*WaitingIndexes, error) {
	w, err := prepareWaiting(ctx, tx, t)
	if err != nil {
		return nil, explain(err, t, "note which indexes wait")
	}
	return w, nil
}

func prepareWaiting(ctx context.Context, tx pgx.Tx, t Target) (*WaitingIndexes, error) {
	if err := server.Exec(ctx, tx.Conn().PgConn(), strings.Join(makingSQL(), "; ")); err != nil {
		return nil, err
	}
	w, err := WaitingOf(ctx, tx.Conn(), t)
	if err != nil {
		return nil, err
	}
	if w == nil {
		w = &WaitingIndexes{Table: server.Shown(t.Table.Schema, fmt.Sprint(indexesPrefix, t.Table.OID)), Of: t, schema: t.Table.Schema}
		if err := makeTable(ctx, tx, t, "TABLE", w.Table, indexesShape.create("")); err != nil {
			return nil, err
		}
		if err := makePrivate(ctx, tx, t, w.Table); err != nil {
			return nil, err
		}
	}
	return w, w.guard(ctx, tx.Conn(), writing)
}

// Add notes indexes that wait from now on, in the transaction that has prepared w and drops them.
func (w *WaitingIndexes) Add(ctx context.Context, tx pgx.Tx, list []Index) error {
	err := asOwner(ctx, tx, w.Table, func() error {
		for _, x := range list {
			// One of that name that waits was made anew by somebody, and is dropped now.
			_, err := tx.Exec(ctx, `INSERT INTO `+w.Table+` (schema, name, definition) VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text::pg_catalog.jsonb)
				ON CONFLICT (schema, name) DO UPDATE SET definition = excluded.definition, dropped = excluded.dropped`, x.Schema, x.Name, string(x.Definition))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note which indexes wait: %w", err)
	}
	return nil
}

// makePrivate gives the table to the target's owner, also where a superuser has made it, and
// takes from all others the rights that default privileges have given them.
func makePrivate(ctx context.Context, tx pgx.Tx, t Target, table string) error {
	rows, err := tx.Query(ctx, `SELECT 'REVOKE ALL ON ' || $1::pg_catalog.text || ' FROM ' || coalesce((SELECT pg_catalog.quote_ident(g.rolname::pg_catalog.text) FROM pg_catalog.pg_roles g WHERE g.oid = x.grantee), 'PUBLIC') || ' CASCADE'
		FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS x
		WHERE c.oid = $1::pg_catalog.text::pg_catalog.regclass AND x.grantee <> c.relowner
		UNION SELECT 'ALTER TABLE ' || $1::pg_catalog.text || ' OWNER TO ' || pg_catalog.quote_ident(o.rolname::pg_catalog.text)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner JOIN pg_catalog.pg_roles me ON me.rolname = current_user
		WHERE c.oid = $2::pg_catalog.oid AND me.rolsuper AND o.oid <> me.oid ORDER BY 1 DESC`, table, t.Table.OID)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, sql := range list {
		if err == nil {
			err = server.Exec(ctx, tx.Conn().PgConn(), sql)
		}
	}
	return err
}

// Take locks an index that waits, in the transaction that builds it. It reports whether it waits
// still.
func (w *WaitingIndexes) Take(ctx context.Context, tx pgx.Tx, x Index) (ok bool, err error) {
	if err = w.guard(ctx, tx.Conn(), writing); undefined(err) {
		return false, nil
	}
	if err == nil {
		err = asOwner(ctx, tx, w.Table, func() error {
			err := tx.QueryRow(ctx, "SELECT true FROM "+w.Table+" WHERE schema = $1::pg_catalog.text AND name = $2::pg_catalog.text FOR UPDATE", x.Schema, x.Name).Scan(&ok)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	}
	return ok, err
}

// Remove takes an index off the list, in the transaction that has built it.
func (w *WaitingIndexes) Remove(ctx context.Context, tx pgx.Tx, x Index) error {
	return asOwner(ctx, tx, w.Table, func() error {
		_, err := tx.Exec(ctx, "DELETE FROM "+w.Table+" WHERE schema = $1::pg_catalog.text AND name = $2::pg_catalog.text", x.Schema, x.Name)
		return err
	})
}

// Drop drops the table if nothing is in it. The caller has IndexesLock.
func (w *WaitingIndexes) Drop(ctx context.Context, conn *pgx.Conn) error {
	err := server.BeginFunc(ctx, conn, func(pgx.Tx) error {
		if err := w.guard(ctx, conn, writing); err != nil {
			return err
		}
		return asOwnerOn(ctx, conn, w.Table, func() error {
			var some bool
			if err := conn.QueryRow(ctx, "SELECT pg_catalog.count(*) > 0 FROM "+w.Table).Scan(&some); err != nil || some {
				return err
			}
			return server.Exec(ctx, conn.PgConn(), "DROP TABLE "+w.Table)
		})
	}, makingSQL()...)
	if err != nil && !undefined(err) {
		return fmt.Errorf("drop the table of indexes that waited: %w", err)
	}
	return nil
}
