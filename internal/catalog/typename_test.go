package catalog_test

import (
	"strconv"
	"strings"
	"testing"

	"shardload/internal/catalog"
	"shardload/internal/pgtest"
)

// TestTypeSQL holds that TypeSQL names the column's type under a search path in which
// every name of a type is another one's first.
func TestTypeSQL(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	pgtest.Exec(t, conn, `CREATE SCHEMA planted`, `CREATE SCHEMA "a.b"`, `CREATE DOMAIN "a.b"."c""d" AS text`, `CREATE TYPE "enum.x" AS ENUM ('a')`,
		`DO $$ DECLARE t record; BEGIN
			FOR t IN SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r') AND typelem = 0 LOOP
				EXECUTE format('CREATE DOMAIN planted.%I AS int', t.typname);
			END LOOP; END $$`)
	// Each type that a column may have, as an array, too, and those with modifiers.
	types := pgtest.Query(t, conn, `SELECT format_type(oid, NULL) FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
		AND typtype IN ('b', 'r', 'm') AND typname !~ '^pg_|^reg|^_' ORDER BY 1`)
	types = append(types, `"a.b"."c""d"`, `"a.b"."c""d"[]`, `public."enum.x"`, "text[]", `"char"[]`, "uuid[]", "varchar(7)", "varchar(7)[]", "char(3)", "bpchar", "bit(3)",
		"varbit(8)[]", "numeric(5,2)", "numeric(5,2)[]", "time(3)", "timetz(3)", "timestamp(3)[]", "timestamptz(3)", "interval(3)", "interval day to second(3)", "interval year[]", "float4", "float8[]")
	for _, typ := range types {
		pgtest.Exec(t, conn, "RESET search_path", "DROP TABLE IF EXISTS typed", "CREATE TABLE typed (c "+typ+")")
		table, err := catalog.Lookup(t.Context(), conn, "public.typed")
		if err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, conn, "SET search_path = planted, pg_catalog", "DROP TABLE IF EXISTS public.again", "CREATE TABLE public.again (c "+table.Columns[0].TypeSQL()+")")
		const described = `SELECT string_agg(atttypid || '|' || atttypmod, ' ') FROM pg_attribute WHERE attrelid IN ('public.typed'::regclass, 'public.again'::regclass) AND attnum = 1`
		pgtest.Exec(t, conn, "RESET search_path")
		if got := strings.Fields(pgtest.Query(t, conn, described)[0]); len(got) != 2 || got[0] != got[1] {
			t.Errorf("%s: %s is another type or modifier: %v", typ, table.Columns[0].TypeSQL(), got)
		}
		bare := pgtest.Query(t, conn, "SELECT pg_typeof(NULL::"+table.Columns[0].BareType+")::oid")[0]
		if bare != strconv.Itoa(int(table.Columns[0].BaseOID)) {
			t.Errorf("%s: %s is another type: %s", typ, table.Columns[0].BareType, bare)
		}
	}
	if len(types) < 60 {
		t.Errorf("%d types", len(types))
	}
}

// TestValueSQL holds that ValueSQL and BareSQL make of a text what the column's input function
// makes of it, as COPY calls it: a quoted literal in VALUES has its modifier from the column, too.
func TestValueSQL(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	for typ, values := range map[string][]string{
		"interval":               {"5", "1:30", "1 day 2:03:04.567891"},
		"interval year":          {"5", "1-2"},
		"interval day":           {"5", "3 hours"},
		"interval minute":        {"90", "1:30"},
		"interval day to second": {"5 1:02:03.9", "7"},
		"interval(2)":            {"5.678", "P1Y2M3DT4H5M6.789S"},
		"timestamp(0)":           {"2026-01-01 10:11:12.4999999", "2026-01-01 10:11:12.5"},
		"timestamptz(3)":         {"2026-01-01 10:11:12.0004999+02", "epoch"},
		"time(2)":                {"10:11:12.345", "23:59:59.999"},
		"numeric(5,2)":           {"1.005", "12.3449999", "NaN"},
		"numeric(5,2)[]":         {"{1.005,NULL}"},
	} {
		pgtest.Exec(t, conn, "DROP TABLE IF EXISTS valued", "CREATE TABLE valued (c "+typ+")")
		table, err := catalog.Lookup(t.Context(), conn, "valued")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			literal := "'" + v + "'"
			pgtest.Exec(t, conn, "TRUNCATE valued", "COPY valued FROM PROGRAM $$printf '%s' '"+v+"'$$ (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')")
			c := &table.Columns[0]
			for what, sql := range map[string]string{"ValueSQL": c.ValueSQL(literal + "::text"), "BareSQL": c.BareSQL(literal + "::text")} {
				pgtest.Exec(t, conn, "INSERT INTO valued SELECT "+sql)
				if got := pgtest.Query(t, conn, "SELECT c::text FROM valued ORDER BY ctid"); len(got) != 2 || got[0] != got[1] {
					t.Errorf("%s of %s: %s: %q", typ, v, what, got)
				}
				pgtest.Exec(t, conn, "DELETE FROM valued WHERE ctid <> '(0,1)'")
			}
		}
	}
}
