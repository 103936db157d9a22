package left

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// The tools that make tables in the user's database for a while.
// A Tool makes objects that are there for a while.
type Tool string

// The tools.
const (
	Tune  Tool = "tune"
	Bench Tool = "bench"
)

// An objectMark is the comment of a table or schema that is there for a while: only
// its owner can give it, and what else has the comment has another name.
type objectMark struct {
	Tool    Tool      `json:"tool"`
	ID      string    `json:"id"` // which ends the object's name
	Backend int32     `json:"backend"`
	Started float64   `json:"backend_started"` // in seconds, as the server counts them
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Made    time.Time `json:"made"`
}

const markIntro = "temporary, made by shardload, which drops it again "

// MakeMarked makes an object with a mark, together or not at all. The object is in
// use as long as conn is open.
func MakeMarked(ctx context.Context, conn *pgx.Conn, tool Tool, id, create, object string) error {
	return server.Tx(ctx, conn, server.Write, func() error {
		m := objectMark{Tool: tool, ID: id, PID: os.Getpid(), Made: time.Now().UTC().Truncate(time.Second)}
		m.Host, _ = os.Hostname() // for people alone
		err := conn.QueryRow(ctx, `SELECT pid, pg_catalog.date_part('epoch', backend_start) FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())`).
			Scan(&m.Backend, &m.Started)
		if err != nil {
			return err
		}
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := server.Exec(ctx, conn.PgConn(), create); err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "COMMENT ON "+object+" IS "+server.Literal(markIntro+string(text)))
		return err
	})
}

// An Object is a table or schema in a database that a tuning or a benchmark has left
// behind.
type Object struct {
	Leftover
	schema, table string // the table is "" for a schema
	oid           uint32
}

// marked finds objects of the current role's. Others' are not looked at: their
// comments are not ours.
const marked = `
SELECT c.oid, n.nspname, c.relname, d.description
FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objoid AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
	AND d.objsubid OPERATOR(pg_catalog.=) 0
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) c.relowner AND r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND pg_catalog.starts_with(d.description, $1::pg_catalog.text)
UNION ALL
SELECT n.oid, n.nspname, '', d.description
FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) d.objoid AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner AND r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
WHERE pg_catalog.starts_with(d.description, $1::pg_catalog.text)
ORDER BY 2, 3`

// A querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Objects returns the tables and schemas of the current role's in the database that
// tunings and benchmarks have made and not dropped.
func Objects(ctx context.Context, conn querier) ([]Object, error) {
	rows, err := conn.Query(ctx, marked, markIntro)
	if err != nil {
		return nil, err
	}
	type found struct {
		Object
		mark objectMark
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f found, err error) {
		var text string
		if err := row.Scan(&f.oid, &f.schema, &f.table, &text); err != nil {
			return f, err
		}
		_ = json.Unmarshal([]byte(strings.TrimPrefix(text, markIntro)), &f.mark) // what is none has no id
		return f, nil
	})
	if err != nil {
		return nil, err
	}
	var list []Object
	for _, f := range all {
		if !f.mark.names(f.schema, f.table) {
			continue // it was renamed, and is somebody's now
		}
		f.What, f.Name, f.Made = "schema", server.Shown(f.schema), f.mark.Made
		if f.table != "" {
			f.What, f.Name = "table", server.Shown(f.schema, f.table)
		}
		if f.InUse, err = f.mark.inUse(ctx, conn); err != nil {
			return nil, err
		}
		list = append(list, f.Object)
	}
	return list, nil
}

var objectID = regexp.MustCompile(`^[a-z2-7]{8}$`)

// names reports whether the mark is that of an object of this name.
func (m objectMark) names(schema, table string) bool {
	switch {
	case !objectID.MatchString(m.ID):
		return false
	case table == "":
		return m.Tool == Bench && schema == "shardload_bench_"+m.ID
	}
	return m.Tool == Tune && strings.HasSuffix(table, "_tune_"+m.ID)
}

// inUse says whose the object still is: that of the connection that has made it, as
// long as it is open.
func (m objectMark) inUse(ctx context.Context, conn querier) (string, error) {
	var started *float64
	err := conn.QueryRow(ctx, "SELECT pg_catalog.date_part('epoch', backend_start) FROM pg_catalog.pg_stat_get_activity($1::pg_catalog.int4)", m.Backend).Scan(&started)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", nil
	case err != nil:
		return "", err
	case started != nil && math.Abs(*started-m.Started) > 0.01:
		return "", nil
	}
	return fmt.Sprintf("process %d on %s, server process %d", m.PID, m.Host, m.Backend), nil
}

// benchTable is what tables are called in a benchmark's schema: its own, and those in
// which the loader keeps how far it is.
var benchTable = regexp.MustCompile(`^(ads_[0-9]+|shardload_[a-z0-9_]+)$`)

// Drop drops an object that Objects has found, if it still is what it was. Nothing
// else goes with it: what depends on it, or is others' in the schema, is an error.
func (o Object) Drop(ctx context.Context, conn *pgx.Conn) error {
	return server.Tx(ctx, conn, server.Write, func() error {
		now, err := Objects(ctx, conn)
		if err != nil {
			return err
		}
		for _, other := range now {
			if other.oid == o.oid && other.Name == o.Name && other.InUse == "" {
				return o.drop(ctx, conn)
			}
		}
		return fmt.Errorf("%s %s: it is not what it was a moment ago", o.What, o.Name)
	})
}

func (o Object) drop(ctx context.Context, tx *pgx.Conn) error {
	if o.table != "" {
		_, err := tx.Exec(ctx, "DROP TABLE "+o.Name)
		return err
	}
	rows, err := tx.Query(ctx, `SELECT c.relname FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) c.relowner AND r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
		WHERE c.relnamespace OPERATOR(pg_catalog.=) $1::pg_catalog.oid AND c.relkind OPERATOR(pg_catalog.=) 'r' ORDER BY 1`, o.oid)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if !benchTable.MatchString(name) {
			continue
		}
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+pgx.Identifier{o.schema, name}.Sanitize()); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, "DROP SCHEMA "+o.Name); err != nil {
		return fmt.Errorf("schema %s: %w", o.Name, err)
	}
	return nil
}
