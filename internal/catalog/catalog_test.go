package catalog_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// exec runs statements one by one.
func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// oidOf returns the OID that expr, a regtype or regclass, has on the server.
// neverAnalyzed is the estimate of a table's rows that nobody has made yet.
func neverAnalyzed(t *testing.T, conn *pgx.Conn) int64 {
	if pgtest.Version(t, conn) < 14 {
		return 0
	}
	return -1
}

func oidOf(t *testing.T, conn *pgx.Conn, expr string) uint32 {
	t.Helper()
	var oid uint32
	if err := conn.QueryRow(context.Background(), "SELECT "+expr+"::oid").Scan(&oid); err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return oid
}

func lookup(t *testing.T, conn *pgx.Conn, name string) *catalog.Table {
	t.Helper()
	table, err := catalog.Lookup(context.Background(), conn, name)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLookupColumns(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn,
		`CREATE SCHEMA "Odd ""one"""`,
		`CREATE SEQUENCE ticket`,
		`CREATE DOMAIN price AS numeric(10,2)`,
		`CREATE DOMAIN ticket_no AS bigint DEFAULT nextval('ticket')`,
		`CREATE DOMAIN fee AS price NOT NULL DEFAULT 7`,
		`CREATE TABLE "Odd ""one"""."Ta.ble" (
			gone integer,
			"Id" integer GENERATED ALWAYS AS IDENTITY,
			"a ""b""" character varying(20) NOT NULL,
			serial bigserial,
			tags character varying(8)[][],
			fees fee[],
			cost fee,
			no ticket_no,
			twice integer GENERATED ALWAYS AS (1 + 1) STORED,
			code text COLLATE "C" DEFAULT 'x',
			vec int2vector,
			at timestamp(3) with time zone DEFAULT now())`,
		`ALTER TABLE "Odd ""one"""."Ta.ble" DROP COLUMN gone`,
		`ALTER TABLE "Odd ""one"""."Ta.ble" ADD PRIMARY KEY (code, "Id") INCLUDE (cost)`,
		`ALTER TABLE "Odd ""one"""."Ta.ble" ADD CONSTRAINT "is ""odd""" CHECK (serial % 2 = 1 OR "a ""b""" = ' ') NOT VALID`,
		`ALTER TABLE "Odd ""one"""."Ta.ble" ADD CONSTRAINT "of the row" CHECK ("Ta.ble" IS DISTINCT FROM NULL)`,
		`CREATE UNIQUE INDEX ON "Odd ""one"""."Ta.ble" (at, serial) INCLUDE (cost)`,
		`CREATE UNIQUE INDEX ON "Odd ""one"""."Ta.ble" (at) WHERE serial > 5`,
		`CREATE UNIQUE INDEX ON "Odd ""one"""."Ta.ble" (lower(code))`,
		`ALTER TABLE "Odd ""one"""."Ta.ble" ADD UNIQUE (serial) DEFERRABLE`)

	got := lookup(t, conn, `"Odd ""one"""."Ta.ble"`)
	const equal = "OPERATOR(pg_catalog.=)"
	feeOID := oidOf(t, conn, `'fee'::regtype`)
	want := &catalog.Table{
		OID:         oidOf(t, conn, `'"Odd ""one"""."Ta.ble"'::regclass`),
		Schema:      `Odd "one"`,
		Name:        "Ta.ble",
		Kind:        'r',
		Persistence: 'p',
		PrimaryKey:  []string{"code", "Id"},
		Keys: []catalog.Key{
			{Columns: []string{"code", "Id"}, Primary: true, NullsDistinct: true, Equal: []string{equal, equal}},
			{Columns: []string{"at", "serial"}, NullsDistinct: true, Equal: []string{equal, equal}},
		},
		Checks:        []catalog.Check{{Name: `is "odd"`, Columns: []string{`a "b"`, "serial"}, SQL: `CHECK ((((serial % (2)::bigint) = 1) OR (("a ""b""")::text = ' '::text))) NOT VALID`}},
		EstimatedRows: neverAnalyzed(t, conn),
		Columns: []catalog.Column{
			{Name: "Id", Num: 2, Type: "integer", TypeOID: pgtype.Int4OID, BaseOID: pgtype.Int4OID, TypMod: -1, NotNull: true, Identity: 'a', UsesSequence: true},
			{Name: `a "b"`, Num: 3, Type: "character varying(20)", TypeOID: pgtype.VarcharOID, BaseOID: pgtype.VarcharOID, TypMod: 24, NotNull: true},
			{
				Name: "serial", Num: 4, Type: "bigint", TypeOID: pgtype.Int8OID, BaseOID: pgtype.Int8OID, TypMod: -1, NotNull: true,
				Default: `nextval('"Odd ""one"""."Ta.ble_serial_seq"'::regclass)`, UsesSequence: true,
			},
			{Name: "tags", Num: 5, Type: "character varying(8)[]", TypeOID: pgtype.VarcharArrayOID, BaseOID: pgtype.VarcharArrayOID, ElemOID: pgtype.VarcharOID, TypMod: 12},
			{Name: "fees", Num: 6, Type: "public.fee[]", TypeOID: oidOf(t, conn, `'fee[]'::regtype`), BaseOID: oidOf(t, conn, `'fee[]'::regtype`), ElemOID: feeOID, TypMod: -1},
			{Name: "cost", Num: 7, Type: "public.fee", TypeOID: feeOID, BaseOID: pgtype.NumericOID, TypMod: 10<<16 + 2 + 4, Default: "7"},
			{
				Name: "no", Num: 8, Type: "public.ticket_no", TypeOID: oidOf(t, conn, `'ticket_no'::regtype`), BaseOID: pgtype.Int8OID, TypMod: -1,
				Default: "nextval('ticket'::regclass)", UsesSequence: true,
			},
			{Name: "twice", Num: 9, Type: "integer", TypeOID: pgtype.Int4OID, BaseOID: pgtype.Int4OID, TypMod: -1, Generated: true},
			{Name: "code", Num: 10, Type: "text", TypeOID: pgtype.TextOID, BaseOID: pgtype.TextOID, TypMod: -1, NotNull: true, Default: "'x'::text", Collation: `pg_catalog."C"`},
			{Name: "vec", Num: 11, Type: "int2vector", TypeOID: 22, BaseOID: 22, TypMod: -1},
			{Name: "at", Num: 12, Type: "timestamp(3) with time zone", TypeOID: pgtype.TimestamptzOID, BaseOID: pgtype.TimestamptzOID, TypMod: 3, Default: "now()"},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(catalog.Table{}, "RelFileNode", "Files"), cmpopts.IgnoreFields(catalog.Column{}, "BareType")); diff != "" {
		t.Errorf("Lookup (-want +got):\n%s", diff)
	}
	if got.RelFileNode == 0 {
		t.Error("RelFileNode is 0")
	}
	if want := `"Odd ""one"""."Ta.ble"`; got.SQL() != want {
		t.Errorf("SQL() = %s, want %s", got.SQL(), want)
	}
	if plain := (&catalog.Table{Schema: "public", Name: "ads"}); got.String() != got.SQL() || plain.String() != "public.ads" {
		t.Errorf("String() = %s and %s", got, plain)
	}
	if err := got.Loadable(); err != nil {
		t.Errorf("Loadable() = %v", err)
	}
}

// connectMode connects with another query mode than the driver's default.
func connectMode(t *testing.T, dsn string, mode pgx.QueryExecMode) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	conn, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// The loader's connections may stand behind a pooler, where only some of the
// driver's modes work.
func TestLookupInEveryQueryMode(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		exec(t, pgtest.Connect(t, dsn), `CREATE TABLE t (id integer PRIMARY KEY, v text DEFAULT 'x')`)
		modes := []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
			pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
		}
		for _, mode := range modes {
			t.Run(mode.String(), func(t *testing.T) {
				conn := connectMode(t, dsn, mode)
				table := lookup(t, conn, "t")
				if diff := cmp.Diff([]string{"id", "v"}, table.ColumnNames()); diff != "" {
					t.Errorf("columns (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]string{"id"}, table.PrimaryKey); diff != "" {
					t.Errorf("primary key (-want +got):\n%s", diff)
				}
				if rights, err := catalog.Privileges(context.Background(), conn, table); err != nil || !rights.Insert {
					t.Errorf("Privileges() = %+v, %v", rights, err)
				}
				if server, err := catalog.Server(context.Background(), conn); err != nil || server.Version < 130000 {
					t.Errorf("Server() = %+v, %v", server, err)
				}
				for _, name := range []string{"missing", "a b"} {
					if _, err := catalog.Lookup(context.Background(), conn, name); err == nil {
						t.Errorf("Lookup(%q) found something", name)
					}
				}
				exec(t, conn, "SELECT 1") // the connection is still usable
			})
		}
	})
}

func TestLookupFollowsSearchPath(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn,
		`CREATE SCHEMA one`, `CREATE SCHEMA "Two"`,
		`CREATE TABLE one.t (a integer)`, `CREATE TABLE "Two".t (b integer)`, `CREATE TABLE "Two"."T" (c integer)`,
		`SET search_path = one, "Two", nowhere`)
	for name, want := range map[string]string{
		"t": `"one"."t"`, "T": `"one"."t"`, `"T"`: `"Two"."T"`, `"Two".t`: `"Two"."t"`, "ONE.T": `"one"."t"`,
	} {
		if got := lookup(t, conn, name).SQL(); got != want {
			t.Errorf("Lookup(%s) found %s, want %s", name, got, want)
		}
	}

	_, err := catalog.Lookup(context.Background(), conn, "u")
	notFound, ok := errors.AsType[*catalog.NotFoundError](err)
	if !ok {
		t.Fatalf("Lookup(u) = %v, want a *NotFoundError", err)
	}
	want := &catalog.NotFoundError{Name: "u", SearchPath: []string{"one", "Two"}}
	if diff := cmp.Diff(want, notFound); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if want := "table u does not exist (search path: one, Two)"; err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
	exec(t, conn, `SET search_path = nowhere`)
	if _, err := catalog.Lookup(context.Background(), conn, "t"); err == nil || !strings.Contains(err.Error(), "SCHEMA.TABLE") {
		t.Errorf("with an empty search path: %v", err)
	}
}

func TestLookupRefusesMalformedNames(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	for _, name := range []string{"", "my table", `"open`, "a.b.c.d", "elsewhere.public.t", "t; DROP TABLE t"} {
		table, err := catalog.Lookup(context.Background(), conn, name)
		if _, notFound := errors.AsType[*catalog.NotFoundError](err); err == nil || notFound {
			t.Errorf("Lookup(%q) = %v, %v; want an error about the name", name, table, err)
		}
	}
}

func TestLoadable(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn,
		`CREATE TABLE plain (id integer PRIMARY KEY)`,
		`CREATE UNLOGGED TABLE unlogged (id integer)`,
		`CREATE TABLE parts (id integer, v text) PARTITION BY RANGE (id)`,
		`CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9)`,
		`CREATE TABLE heir (extra text) INHERITS (plain)`,
		`CREATE VIEW seen AS SELECT * FROM plain`,
		`CREATE MATERIALIZED VIEW kept AS SELECT * FROM plain`,
		`CREATE SEQUENCE counter`,
		`CREATE TYPE pair AS (a integer, b integer)`,
		`CREATE FOREIGN DATA WRAPPER w`, `CREATE SERVER s FOREIGN DATA WRAPPER w`,
		`CREATE FOREIGN TABLE far (id integer) SERVER s`,
		`CREATE TEMP TABLE brief (id integer)`,
		`CREATE TABLE bare ()`)
	tests := []struct {
		name string
		kind byte
		want string // part of the error, "" for none
	}{
		{"plain", 'r', ""},
		{"unlogged", 'r', ""},
		{"parts", 'p', ""},
		{"part", 'r', ""},
		{"heir", 'r', ""},
		{"seen", 'v', "of kind view"},
		{"kept", 'm', "of kind materialized view"},
		{"counter", 'S', "of kind sequence"},
		{"pair", 'c', "of kind composite type"},
		{"far", 'f', "of kind foreign table"},
		{"plain_pkey", 'i', "of kind index"},
		{"brief", 'r', "temporary"},
		{"bare", 'r', "no columns"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := lookup(t, conn, tt.name)
			if table.Kind != tt.kind {
				t.Errorf("kind %c, want %c", table.Kind, tt.kind)
			}
			err := table.Loadable()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Loadable() = %v, want %q", err, tt.want)
			}
		})
	}
	if got := lookup(t, conn, "heir").ColumnNames(); !cmp.Equal(got, []string{"id", "extra"}) {
		t.Errorf("columns of the inheriting table: %v", got)
	}
	if got := lookup(t, conn, "unlogged").Persistence; got != 'u' {
		t.Errorf("persistence %c, want u", got)
	}
}

func TestRelFileNodeTellsTruncation(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, `CREATE TABLE t (id integer PRIMARY KEY)`)
		before := lookup(t, conn, "t").RelFileNode
		exec(t, conn, `ALTER TABLE t ADD COLUMN v text`)
		if got := lookup(t, conn, "t").RelFileNode; got != before {
			t.Errorf("RelFileNode changed from %d to %d by ADD COLUMN", before, got)
		}
		exec(t, conn, `TRUNCATE t`)
		if got := lookup(t, conn, "t").RelFileNode; got == before {
			t.Errorf("RelFileNode is %d before and after TRUNCATE", got)
		}
	})
}
