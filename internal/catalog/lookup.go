package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/server"
)

// A NotFoundError tells that no relation has the name that Lookup was given.
type NotFoundError struct {
	Name       string   // as the caller wrote it
	SearchPath []string // the schemas that were searched, if Name has none
}

func (e *NotFoundError) Error() string {
	if len(e.SearchPath) == 0 {
		return fmt.Sprintf("table %s does not exist: the search path names no schema that exists; write SCHEMA.TABLE", e.Name)
	}
	return fmt.Sprintf("table %s does not exist (search path: %s)", e.Name, strings.Join(e.SearchPath, ", "))
}

// leavesSQL is a relation of the tables that have the rows of c: its partitions, or c.
const leavesSQL = `(SELECT relid::oid FROM pg_catalog.pg_partition_tree(c.oid) WHERE isleaf
                        UNION SELECT c.oid WHERE c.relkind <> 'p') AS l(oid)`

// FilesSQL is the query for the file of a table, and for those of the tables that have
// its rows: a row for each, or one with a zero if there are none. There is no row
// if the table is gone.
const FilesSQL = `
SELECT c.relfilenode, coalesce(l.oid, 0), coalesce(pg_catalog.pg_relation_filenode(l.oid), 0)
  FROM pg_catalog.pg_class c LEFT JOIN LATERAL ` + leavesSQL + ` ON true WHERE c.oid = $1::oid`

// findSQL finds the relation of a name in the role's own search path, where it looks
// up no function or operator, and notes it and the path's schemas in the transaction.
const findSQL = `SELECT pg_catalog.set_config('shardload.relation', pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid::pg_catalog.text, true),
	pg_catalog.set_config('shardload.schemas', pg_catalog.current_schemas(false)::pg_catalog.text, true)`

// found is the OID of the relation that findSQL has found, NULL for none.
const found = `nullif(current_setting('shardload.relation', true), '')::oid`

// tableSQL returns exactly one row. The columns behind the search path are NULL if
// there is no such relation. The bits of a trigger's type are: for each row, BEFORE,
// INSERT.
const tableSQL = `
SELECT coalesce(current_setting('shardload.schemas', true), ''),
       c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
       c.relfilenode, row_security_active(c.oid), c.reltuples::bigint,
       EXISTS (SELECT FROM pg_trigger WHERE (tgrelid = c.oid OR tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))
                                        AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 7 = 7),
       ARRAY(SELECT l.oid FROM ` + leavesSQL + ` ORDER BY l.oid),
       ARRAY(SELECT coalesce(pg_relation_filenode(l.oid), 0) FROM ` + leavesSQL + ` ORDER BY l.oid),
       (SELECT array_agg(a.attname::text ORDER BY k.n)
          FROM pg_index i
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
         WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts)
  FROM (SELECT ` + found + ` AS oid) AS r
  LEFT JOIN pg_class c ON c.oid = r.oid
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace`

// columnsSQL walks each column's type down through its domains; depth counts
// them. The modifier and the default of the uppermost domain that has one hold.
const columnsSQL = `
WITH RECURSIVE below AS (
	SELECT a.attnum, a.atttypid AS typ, a.atttypmod AS typmod, 0 AS depth,
	       pg_get_expr(d.adbin, d.adrelid) AS expr
	  FROM pg_attribute a
	  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	 WHERE a.attrelid = ` + found + ` AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT b.attnum, t.typbasetype, CASE WHEN b.typmod = -1 THEN t.typtypmod ELSE b.typmod END,
	       b.depth + 1, coalesce(b.expr, t.typdefault)
	  FROM below b
	  JOIN pg_type t ON t.oid = b.typ
	 WHERE t.typtype = 'd'
)
SELECT DISTINCT ON (a.attnum)
       a.attname::text, a.attnum, format_type(a.atttypid, a.atttypmod), a.atttypid,
       b.typ, b.typmod, coalesce(e.oid, 0), a.attnotnull, coalesce(b.expr, ''),
       a.attidentity::text, a.attgenerated <> '',
       CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT format('%I.%I', s.nspname, o.collname) FROM pg_collation o JOIN pg_namespace s ON s.oid = o.collnamespace
                   WHERE o.oid = a.attcollation)
            ELSE '' END,
       EXISTS (SELECT FROM pg_cast k WHERE k.castsource = 'text'::regtype AND k.casttarget = b.typ AND k.castmethod = 'f'
                                        AND (b.typ = 'regclass'::regtype OR b.typ >= 16384)),
       (SELECT format('%I.%I', s.nspname, o.typname) FROM pg_type o JOIN pg_namespace s ON s.oid = o.typnamespace WHERE o.oid = b.typ)
  FROM below b
  JOIN pg_attribute a ON a.attrelid = ` + found + ` AND a.attnum = b.attnum
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type e ON e.typarray = b.typ
 ORDER BY a.attnum, b.depth DESC`

// keysSQL asks for a column that PostgreSQL 14 does not have as for a field of JSON. A key
// WITHOUT OVERLAPS, which 18 has, is no target of ON CONFLICT: its index is an exclusion.
const keysSQL = `
SELECT (SELECT array_agg(a.attname::text ORDER BY k.n)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE k.n <= i.indnkeyatts),
       i.indisprimary, NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
       (SELECT array_agg(format('OPERATOR(%I.%s)', s.nspname, o.oprname) ORDER BY k.n)
          FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS k(opclass, n)
          JOIN pg_opclass c ON c.oid = k.opclass
          JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype
                        AND a.amopstrategy = 3 -- of a B-tree: equal
          JOIN pg_operator o ON o.oid = a.amopopr
          JOIN pg_namespace s ON s.oid = o.oprnamespace
         WHERE k.n <= i.indnkeyatts)
  FROM pg_index i
 WHERE i.indrelid = ` + found + ` AND i.indisunique AND NOT i.indisexclusion AND i.indimmediate AND i.indisvalid
   AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY NOT i.indisprimary, i.indexrelid`

// checksSQL leaves out those that look at the whole row, which is of the table's own type.
const checksSQL = `
SELECT c.conname::text,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) ORDER BY a.attnum),
       pg_get_constraintdef(c.oid)
  FROM pg_constraint c
 WHERE c.conrelid = ` + found + ` AND c.contype = 'c' AND NOT coalesce(0 = ANY (c.conkey), false)
 ORDER BY c.conname`

// Lookup reads what the relation called name is. The name is written as in SQL
// (ads, public.ads, "Ads") and found through the search path. If there is none
// the error is a *NotFoundError.
//
// Lookup sees several snapshots: whoever must be sure that the columns are still
// these holds a lock on the table.
func Lookup(ctx context.Context, conn *pgx.Conn, name string) (t *Table, err error) {
	err = Steady(ctx, func() *pgx.Conn { return conn }, name, func() (found *Table, err error) {
		batch := &pgx.Batch{}
		if t, err = Queue(batch, name); err != nil {
			return nil, err
		}
		if err = server.Ask(ctx, conn, batch); err == nil && len(t.Columns) == 0 { // or it is gone since
			err = errBare
		}
		return t, err
	})
	if err != nil && !errors.Is(err, errBare) {
		return nil, err
	}
	return t, nil
}

// errBare says that a table has no columns.
var errBare = errors.New("it has no columns")

// Queue adds the queries of Lookup to batch, and returns what is the answer after it.
func Queue(batch *pgx.Batch, name string) (*Table, error) {
	parts, err := server.ParseName(name)
	if err != nil {
		return nil, fmt.Errorf("table name %s: %w", name, err)
	}
	t := &Table{}
	batch.Queue(server.RolePathSQL)
	batch.Queue(findSQL, server.Name(parts...))
	batch.Queue(server.OwnPathSQL)
	batch.Queue(tableSQL).QueryRow(func(row pgx.Row) error {
		found, err := scanTable(row, name)
		if err == nil {
			*t = *found
		}
		return lookingUp(name, err)
	})
	batch.Queue(columnsSQL).Query(func(rows pgx.Rows) (err error) {
		t.Columns, err = pgx.CollectRows(rows, scanColumn)
		return lookingUp(name, err)
	})
	batch.Queue(keysSQL).Query(func(rows pgx.Rows) (err error) {
		t.Keys, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
		return lookingUp(name, err)
	})
	batch.Queue(checksSQL).Query(func(rows pgx.Rows) (err error) {
		t.Checks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Check])
		return lookingUp(name, err)
	})
	return t, nil
}

// lookingUp returns the error of a query of Queue's.
func lookingUp(name string, err error) error {
	if notFound, ok := errors.AsType[*NotFoundError](err); ok {
		return notFound
	}
	if err != nil {
		return fmt.Errorf("look up table %s: %w", name, err)
	}
	return nil
}

// scanTable reads a row of tableSQL.
func scanTable(row pgx.Row, name string) (*Table, error) {
	var (
		path                                    string
		oid, fileNode                           *uint32
		schema, relation, relkind, relpersisted *string
		rowSecurity                             *bool
		beforeInsert                            bool
		leaves, files                           []uint32
		estimate                                *int64
		key                                     []string
	)
	err := row.Scan(&path, &oid, &schema, &relation, &relkind, &relpersisted, &fileNode, &rowSecurity, &estimate, &beforeInsert, &leaves, &files, &key)
	if err != nil {
		return nil, err
	}
	if oid == nil {
		return nil, &NotFoundError{Name: name, SearchPath: schemas(path)}
	}
	t := &Table{
		OID:           *oid,
		Schema:        *schema,
		Name:          *relation,
		Kind:          charCode(*relkind),
		Persistence:   charCode(*relpersisted),
		PrimaryKey:    key,
		RelFileNode:   *fileNode,
		RowSecurity:   *rowSecurity,
		EstimatedRows: *estimate,
		BeforeInsert:  beforeInsert,
		Files:         make(map[uint32]uint32, len(leaves)),
	}
	for i, leaf := range leaves {
		t.Files[leaf] = files[i]
	}
	return t, nil
}

// schemas reads a list of names that the server has written as an array.
func schemas(array string) (list []string) {
	m := pgtype.NewMap()
	if err := m.Scan(pgtype.TextArrayOID, pgtype.TextFormatCode, []byte(array), &list); err != nil {
		return nil
	}
	return list
}

// scanColumn reads a row of columnsSQL.
func scanColumn(row pgx.CollectableRow) (Column, error) {
	var c Column
	var identity string
	err := row.Scan(&c.Name, &c.Num, &c.Type, &c.TypeOID, &c.BaseOID, &c.TypMod, &c.ElemOID,
		&c.NotNull, &c.Default, &identity, &c.Generated, &c.Collation, &c.CastsText, &c.BareType)
	c.Identity = charCode(identity)
	if c.Generated {
		c.Default = "" // what pg_attrdef holds is how it is computed
	}
	// A name that only ends in nextval counts as well: too careful is safe here.
	c.UsesSequence = c.Identity != 0 || strings.Contains(strings.ToLower(c.Default), "nextval(")
	return c, err
}

// charCode returns the value of a "char" column, 0 if it is empty.
func charCode(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}
