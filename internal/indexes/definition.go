// Package indexes drops a table's secondary indexes for the time of a load, and builds them after
// it as they were. What was dropped is kept beside the table by the transaction that drops it, and
// taken off the list by the one that has built it: whatever is killed between, each index is there
// or waits.
package indexes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// version is the form in which definitions are kept.
const version = 1

// A definition is all that makes an index what it is, but its name. Texts are the server's, who
// has written all names in them with their schemas.
type definition struct {
	Version     int    `json:"version"`
	Of          uint32 `json:"of"`    // OID of the table or partition
	Table       string `json:"table"` // its name then, quoted, for people
	Partitioned bool   `json:"partitioned,omitempty"`
	Depth       int    `json:"depth,omitempty"` // of Of below the table that is loaded
	Using       string `json:"using"`           // from USING to before TABLESPACE
	Tablespace  string `json:"tablespace,omitempty"`
	Where       string `json:"where,omitempty"`
	Comment     string `json:"comment,omitempty"`
	// Statistics are the targets of its columns, by their numbers, where they have one.
	Statistics map[int]int `json:"statistics,omitempty"`
	Clustered  bool        `json:"clustered,omitempty"` // the one that CLUSTER goes by
	Code       bool        `json:"code,omitempty"`      // it calls what is not the server's own
}

// create returns the statement that makes the index on a table. Without a name the server
// chooses one. What the definition says goes behind what it is made on: whatever it is, it cannot
// make another statement of it, as each is sent by itself.
func (d *definition) create(name, table string) string {
	sql := "CREATE INDEX "
	if name != "" {
		sql += server.Name(name) + " "
	}
	return sql + "ON " + table + " " + d.text()
}

// text returns what tells it from other indexes on the same columns.
func (d *definition) text() string {
	sql := d.Using
	if d.Tablespace != "" {
		sql += " TABLESPACE " + server.Name(d.Tablespace)
	}
	if d.Where != "" {
		sql += " WHERE " + d.Where
	}
	return sql
}

// decode reads what is kept of an index.
func decode(name string, kept []byte) (*definition, error) {
	var d definition
	if err := json.Unmarshal(kept, &d); err != nil {
		return nil, fmt.Errorf("what is kept of index %s: %w", name, err)
	}
	if d.Version != version {
		return nil, fmt.Errorf("index %s is kept in form %d, which another version of shardload writes, and this one knows form %d: go on with that version", name, d.Version, version)
	}
	if !strings.HasPrefix(d.Using, "USING ") {
		return nil, fmt.Errorf("what is kept of index %s is no definition", name)
	}
	return &d, nil
}

// A found is an index as the catalog has it.
type found struct {
	definition
	oid, parent  uint32 // parent: of the index that it is a part of, 0 for none
	schema, name string
	guards       bool   // rows: it is unique, or a constraint's
	gone         bool   // it was dropped while the catalog was read
	why          string // it cannot be dropped and made again, "" if it can
}

// invalid is why an index stays that CREATE INDEX CONCURRENTLY has left behind, or a partitioned one
// that lacks parts.
const invalid = "is not valid"

// indexesSQL has %s for the condition of the indexes x, of tables t.
const indexesSQL = `
SELECT x.indexrelid, coalesce(i.inhparent, 0), tn.nspname::text, c.relname::text, t.oid, format('%%I.%%I', tn.nspname, t.relname), c.relkind = 'I', p.level,
       coalesce(pg_get_indexdef(x.indexrelid), ''), format('CREATE INDEX %%I ON %%s%%I.%%I ', c.relname, CASE WHEN c.relkind = 'I' THEN 'ONLY ' END, tn.nspname, t.relname),
       coalesce(pg_get_expr(x.indpred, x.indrelid), ''), coalesce(s.spcname::text, ''), coalesce(obj_description(c.oid, 'pg_class'), ''),
       (SELECT coalesce(json_object_agg(a.attnum, a.attstattarget), '{}')::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0),
       x.indisclustered,
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass)),
       x.indisunique OR x.indisexclusion OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid),
       CASE WHEN x.indisreplident THEN 'is the replica identity'
            WHEN NOT (x.indisvalid AND x.indisready AND x.indislive) THEN '` + invalid + `'
            WHEN EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('x', 'e')) THEN 'belongs to an extension'
            WHEN EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype IN ('n', 'a')) THEN 'is needed by something else'
            WHEN NOT pg_has_role(t.relowner, 'USAGE') THEN 'belongs to another role'
            WHEN NOT has_schema_privilege(tn.oid, 'CREATE') THEN 'could not be made again: the role may not create anything in schema ' || quote_ident(tn.nspname)
            WHEN s.oid IS NOT NULL AND NOT has_tablespace_privilege(s.oid, 'CREATE') THEN 'could not be made again: the role may create nothing in tablespace ' || quote_ident(s.spcname)
            WHEN $2 AND s.oid IS NOT NULL THEN 'is in a tablespace, in which Citus makes no index'
            WHEN $2 AND x.indisclustered THEN 'is what CLUSTER goes by, which Citus cannot set'
            ELSE '' END
  FROM (SELECT $1::oid AS relid, 0 AS level UNION SELECT relid::oid, level FROM pg_partition_tree($1::oid::regclass)) AS p
  JOIN pg_class t ON t.oid = p.relid AND t.relkind IN ('r', 'p')
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_index x ON x.indrelid = t.oid
  JOIN pg_class c ON c.oid = x.indexrelid
  LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE %s
 ORDER BY p.level, t.relname, c.relname`

// read returns the indexes of a table and its partitions, or of a single one of these, for which
// where holds. onCitus says that Citus makes them.
func read(ctx context.Context, conn *pgx.Conn, table uint32, onCitus bool, where string, args ...any) (list []*found, err error) {
	batch := &pgx.Batch{}
	batch.Queue(fmt.Sprintf(indexesSQL, where), append([]any{table, onCitus}, args...)...).Query(func(rows pgx.Rows) error {
		list, err = pgx.CollectRows(rows, scan)
		// The statement may have waited for whoever dropped an index that it sees still.
		list = slices.DeleteFunc(list, func(f *found) bool { return f.gone })
		return err
	})
	if err := server.Ask(ctx, conn, batch); err != nil {
		return nil, fmt.Errorf("read which indexes there are: %w", err)
	}
	return list, nil
}

func scan(row pgx.CollectableRow) (*found, error) {
	f := found{definition: definition{Version: version}}
	var whole, prefix, statistics string
	err := row.Scan(&f.oid, &f.parent, &f.schema, &f.name, &f.Of, &f.Table, &f.Partitioned, &f.Depth, &whole, &prefix, &f.Where, &f.Tablespace, &f.Comment,
		&statistics, &f.Clustered, &f.Code, &f.guards, &f.why)
	if err == nil {
		err = json.Unmarshal([]byte(statistics), &f.Statistics)
	}
	if err != nil {
		return nil, err
	}
	f.gone = whole == ""
	using, begins := strings.CutPrefix(whole, prefix)
	where := ""
	if f.Where != "" {
		where = " WHERE " + f.Where
	}
	using, ends := strings.CutSuffix(using, where)
	f.Using = using
	if f.why == "" && !f.guards && !(begins && ends && strings.HasPrefix(using, "USING ")) {
		f.why = "has a definition that is not understood"
	}
	return &f, nil
}

// A Kept is an index that stays where it is.
type Kept struct {
	Name string // quoted where it must be
	Why  string // "is …", "belongs to …"
}

// sort divides the indexes into those that may wait, and those that stay although they guard no
// rows. A partitioned index and its parts go together.
func sort(list []*found) (may []*found, kept []Kept) {
	byOID := map[uint32]*found{}
	for _, f := range list {
		byOID[f.oid] = f
	}
	root := func(f *found) *found {
		for byOID[f.parent] != nil {
			f = byOID[f.parent]
		}
		return f
	}
	stays := map[*found]string{}
	for _, f := range list {
		top := root(f)
		switch {
		case f.guards:
			stays[top] = "guards rows"
		case f.why != "":
			stays[top] = f.why
		case top.parent != 0:
			stays[top] = "is a part of an index of another table"
		}
	}
	for _, f := range list {
		top := root(f)
		switch why := stays[top]; {
		case why == "":
			may = append(may, f)
		case !top.guards && f == top:
			kept = append(kept, Kept{Name: server.Shown(f.name), Why: why})
		}
	}
	return may, kept
}

// errNothing says that no index may wait.
var errNothing = errors.New("no index may wait")
