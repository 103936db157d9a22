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
