package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// tableSQL returns exactly one row for a name that can be parsed. The columns
// behind the search path are NULL if there is no such relation. The bits of a
// trigger's type are: for each row, BEFORE, INSERT.
//
// Casts fix every type, so that it works in each of the driver's query modes.
const tableSQL = `
SELECT current_schemas(false)::text[],
       c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
       c.relfilenode, row_security_active(c.oid), c.reltuples::bigint,
       EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgtype & 7 = 7),
       (SELECT array_agg(a.attname::text ORDER BY k.n)
          FROM pg_index i
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
         WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts)
  FROM (SELECT to_regclass($1::text) AS oid) AS r
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
	 WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped
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
       CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text ELSE '' END
  FROM below b
  JOIN pg_attribute a ON a.attrelid = to_regclass($1::text) AND a.attnum = b.attnum
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type e ON e.typarray = b.typ
 ORDER BY a.attnum, b.depth DESC`

// keysSQL asks for a column that PostgreSQL 14 does not have as for a field of JSON.
const keysSQL = `
SELECT (SELECT array_agg(a.attname::text ORDER BY k.n)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE k.n <= i.indnkeyatts),
       i.indisprimary, NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
  FROM pg_index i
 WHERE i.indrelid = to_regclass($1::text) AND i.indisunique AND i.indimmediate AND i.indisvalid
   AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY NOT i.indisprimary, i.indexrelid`

const checksSQL = `
SELECT c.conname::text,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) ORDER BY a.attnum),
       pg_get_constraintdef(c.oid)
  FROM pg_constraint c
 WHERE c.conrelid = to_regclass($1::text) AND c.contype = 'c'
 ORDER BY c.conname`

// Lookup reads what the relation called name is. The name is written as in SQL
// (ads, public.ads, "Ads") and found through the search path. If there is none
// the error is a *NotFoundError.
//
// Lookup sees several snapshots: whoever must be sure that the columns are still
// these holds a lock on the table.
func Lookup(ctx context.Context, conn *pgx.Conn, name string) (*Table, error) {
	var t *Table
	batch := &pgx.Batch{}
	batch.Queue(tableSQL, name).QueryRow(func(row pgx.Row) (err error) {
		t, err = scanTable(row, name)
		return err
	})
	batch.Queue(columnsSQL, name).Query(func(rows pgx.Rows) error {
		columns, err := pgx.CollectRows(rows, scanColumn)
		if t != nil {
			t.Columns = columns
		}
		return err
	})
	batch.Queue(keysSQL, name).Query(func(rows pgx.Rows) error {
		keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
		if t != nil {
			t.Keys = keys
		}
		return err
	})
	batch.Queue(checksSQL, name).Query(func(rows pgx.Rows) error {
		checks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Check])
		if t != nil {
			t.Checks = checks
		}
		return err
	})
	err := conn.SendBatch(ctx, batch).Close()
	if notFound, ok := errors.AsType[*NotFoundError](err); ok {
		return nil, notFound
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42602" {
		return nil, fmt.Errorf("table name %s: %s: write it as SQL does, in double quotes if it has more than small letters, digits and _", name, pgErr.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("look up table %s: %w", name, err)
	}
	return t, nil
}

// scanTable reads a row of tableSQL.
func scanTable(row pgx.Row, name string) (*Table, error) {
	var (
		path                                    []string
		oid, fileNode                           *uint32
		schema, relation, relkind, relpersisted *string
		rowSecurity                             *bool
		beforeInsert                            bool
		estimate                                *int64
		key                                     []string
	)
	err := row.Scan(&path, &oid, &schema, &relation, &relkind, &relpersisted, &fileNode, &rowSecurity, &estimate, &beforeInsert, &key)
	if err != nil {
		return nil, err
	}
	if oid == nil {
		return nil, &NotFoundError{Name: name, SearchPath: path}
	}
	return &Table{
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
	}, nil
}

// scanColumn reads a row of columnsSQL.
func scanColumn(row pgx.CollectableRow) (Column, error) {
	var c Column
	var identity string
	err := row.Scan(&c.Name, &c.Num, &c.Type, &c.TypeOID, &c.BaseOID, &c.TypMod, &c.ElemOID,
		&c.NotNull, &c.Default, &identity, &c.Generated, &c.Collation)
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
