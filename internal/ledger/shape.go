package ledger

import (
	"fmt"
	"strings"

	"shardload/internal/server"
)

// A shape says how a table of ours is made. The same list makes it and tells whether a
// table that is there is one.
type shape struct {
	columns []column
	keys    [][]string // what is unique, the primary key first
	private bool       // nobody but its owner may write to it
}

// A column of a table of ours. Its default is a constant or now().
type column struct {
	name string
	kind string // its type; "" for that of the target's distribution column
	rest string // of its declaration
	// added says that older versions made the table without it.
	added bool
}

var jobsShape = shape{
	columns: []column{
		{name: "id", kind: "text", rest: "NOT NULL"},
		{name: "target", kind: "text", rest: "NOT NULL"},
		{name: "target_oid", kind: "oid", rest: "NOT NULL"},
		{name: "file_node", kind: "oid", rest: "NOT NULL"},
		{name: "kind", kind: "text", rest: "NOT NULL"},
		{name: "name", kind: "text", rest: "NOT NULL"},
		{name: "fingerprint", kind: "jsonb", rest: "NOT NULL"},
		// The progress table's name. Only whether there is one is read: see Job.
		{name: "progress", kind: "text"},
		{name: "rejects", kind: "text"},
		{name: "begun", kind: "timestamptz", rest: "NOT NULL DEFAULT pg_catalog.now()"},
		{name: "finished", kind: "timestamptz"},
		{name: "rows", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "rejected", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "updated", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "skipped", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "bytes", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
	},
	keys: [][]string{{"id"}, {"target", "name"}},
}

var progressShape = shape{
	columns: []column{
		{name: "key", rest: "NOT NULL"},
		{name: "lane", kind: "integer", rest: "NOT NULL"},
		{name: "min", kind: "integer", rest: "NOT NULL"},
		{name: "max", kind: "integer", rest: "NOT NULL"},
		{name: "chunk", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "in_chunk", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "place", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "line", kind: "bigint", rest: "NOT NULL DEFAULT 1"},
		{name: "records", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "sum", kind: "bigint", rest: "NOT NULL DEFAULT 0", added: true},
		{name: "in_sum", kind: "bigint", rest: "NOT NULL DEFAULT 0", added: true},
		{name: "rows", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "rejected", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "updated", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "skipped", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "filtered", kind: "bigint", rest: "NOT NULL DEFAULT 0", added: true},
		{name: "epoch", kind: "bigint", rest: "NOT NULL DEFAULT 0", added: true},
		{name: "advanced", kind: "timestamptz", rest: "NOT NULL DEFAULT pg_catalog.now()"},
	},
	keys: [][]string{{"key", "lane"}},
}

// sharedShape is that of a progress table that the runs of a set share.
var sharedShape = shape{
	columns: append([]column{{name: "run", kind: "text", rest: "NOT NULL"}}, progressShape.columns...), // its ID
	keys:    [][]string{{"key", "run", "lane"}},
}

// create returns what makes a table of the shape, after its name. key is the type of
// the column that has none of its own.
func (s shape) create(key string) string {
	var parts []string
	for _, c := range s.columns {
		kind := key
		if c.kind != "" {
			kind = "pg_catalog." + typeNames[c.kind]
		}
		parts = append(parts, strings.TrimSpace(c.name+" "+kind+" "+c.rest))
	}
	for i, key := range s.keys {
		parts = append(parts, map[bool]string{true: "PRIMARY KEY", false: "UNIQUE"}[i == 0]+" ("+strings.Join(key, ", ")+")")
	}
	return " (" + strings.Join(parts, ", ") + ") USING heap"
}

// names returns the names of the columns, as a list in SQL.
func (s shape) names() string {
	var names []string
	for _, c := range s.columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// typeNames has the names that the server's own types have in their schema.
var typeNames = map[string]string{"text": "text", "oid": "oid", "jsonb": "jsonb", "timestamptz": "timestamptz", "bigint": "int8", "integer": "int4", "boolean": "bool", "bytea": "bytea"}

// A key type of a progress table that may be anything: it is not looked at then.
const anyType = "NULL::pg_catalog.oid"

// strangeSQL returns the expression of why the relation c of pg_class is not to be used
// as a table of the shape, NULL if it may be. What makes a statement on a table run
// somebody's code is strange, as is a column that would not keep what we store.
// key is the expression of the type that the column without one must have.
//
// The texts are parts of messages: "it " comes before them.
func (s shape) strangeSQL(key string) string {
	return "coalesce(" + strings.Join([]string{
		`CASE WHEN c.relkind <> 'r' THEN 'is not an ordinary table' END`,
		`CASE WHEN c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))
			THEN 'is a partition, or has tables that inherit from it, or inherits' END`,
		`CASE WHEN c.relrowsecurity OR c.relforcerowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid)
			THEN 'has row security' END`,
		`(SELECT 'has the rule ' || r.rulename FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid LIMIT 1)`,
		// Citus gives each table that it distributes this one.
		`(SELECT 'has the trigger ' || g.tgname FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid
			AND g.tgfoid <> coalesce(pg_catalog.to_regproc('pg_catalog.citus_truncate_trigger')::pg_catalog.oid, 0) LIMIT 1)`,
		`(SELECT 'has the constraint ' || k.conname FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype NOT IN ('p', 'u', 'n') LIMIT 1)`,
		`(SELECT 'has the index ' || i.indexrelid::pg_catalog.regclass::pg_catalog.text || ' of an expression' FROM pg_catalog.pg_index i
			WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) LIMIT 1)`,
		s.strangeColumnSQL(key), s.missingColumnSQL(), s.missingKeySQL(), s.openSQL(),
	}, ",\n\t") + ")"
}

// openSQL finds somebody else who may write to a table that is to be private.
func (s shape) openSQL() string {
	if !s.private {
		return "NULL"
	}
	return `(SELECT 'may be written by ' || coalesce((SELECT 'role ' || g.rolname FROM pg_catalog.pg_roles g WHERE g.oid = x.grantee), 'everybody')
		FROM (SELECT c.relacl UNION ALL SELECT a.attacl FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid) AS l (acl)
		CROSS JOIN LATERAL pg_catalog.aclexplode(l.acl) AS x
		WHERE x.grantee <> c.relowner AND x.privilege_type <> 'SELECT' LIMIT 1)`
}

// plainDefault is a pattern of the trees of the defaults that may be: a constant, such a one
// of an integer in a bigint (481 is int8 of int4), or now(), which is 1299 on all servers.
const plainDefault = `^[{](CONST [^{}]*|FUNCEXPR :funcid (1299 [^{}]*:args <>|481 [^{}]*:args [(][{]CONST [^{}]*[}][)])[^{}]*)[}]$`

// strangeColumnSQL finds a column of another type, or one that computes something.
// Columns that later versions may have added are of a plain type. A default must not depend
// on anything that somebody has made. It is told by its tree: pg_get_expr opens the table, for
// which whoever has that locked is waited for, and fails where a function in it is dropped at
// this moment; and one strange table must not stop what looks at all of them. No backslash is in
// a statement of ours: with standard_conforming_strings off it would mean another text,
// since a message is read as a whole before its SET is done.
func (s shape) strangeColumnSQL(key string) string {
	var own []string
	for _, c := range s.columns {
		kind := key
		if c.kind != "" {
			kind = server.Literal("pg_catalog."+typeNames[c.kind]) + "::pg_catalog.regtype::pg_catalog.oid"
		}
		own = append(own, "("+server.Literal(c.name)+", "+kind+")")
	}
	return `(SELECT 'has a column ' || a.attname || ' that shardload does not make' FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		LEFT JOIN (VALUES ` + strings.Join(own, ", ") + `) AS own (name, type) ON own.name = a.attname::pg_catalog.text
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attgenerated <> '' OR a.attidentity <> ''
		OR CASE WHEN own.name IS NULL THEN t.typtype <> 'b' OR t.oid >= 16384 ELSE own.type <> t.oid END
		OR a.attcollation <> t.typcollation AND own.type IS NOT NULL AND t.oid = 25 AND a.attname <> 'key'
		OR d.adbin::pg_catalog.text !~ '` + plainDefault + `'
		OR EXISTS (SELECT FROM pg_catalog.pg_depend p WHERE p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND p.objid = d.oid
			AND (p.refclassid <> 'pg_catalog.pg_class'::pg_catalog.regclass OR p.refobjid <> c.oid))) LIMIT 1)`
}

func (s shape) missingColumnSQL() string {
	var own []string
	for _, c := range s.columns {
		if !c.added {
			own = append(own, "("+server.Literal(c.name)+")")
		}
	}
	return `(SELECT 'lacks the column ' || own.name FROM (VALUES ` + strings.Join(own, ", ") + `) AS own (name)
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname::pg_catalog.text = own.name AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1)`
}

// missingKeySQL finds a key that is not enforced: that a job is entered once hangs on it.
func (s shape) missingKeySQL() string {
	var keys []string
	for _, key := range s.keys {
		keys = append(keys, "("+server.Literal(strings.Join(key, ", "))+")")
	}
	return fmt.Sprintf(`(SELECT 'lacks the key (' || own.key || ')' FROM (VALUES %s) AS own (key)
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
			AND (SELECT pg_catalog.string_agg(a.attname::pg_catalog.text, ', ' ORDER BY k.n)
				FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, n)
				JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts) = own.key) LIMIT 1)`,
		strings.Join(keys, ", "))
}
