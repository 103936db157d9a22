package cli_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/server"
	"shardload/loader"
)

// odd is a role to which everything brings unusual settings.
type odd struct {
	victim
	name     string
	citus    bool
	settings []pgtest.Setting
}

// TestSettings holds that what a role, a database or a worker brings neither changes what
// is stored and seen, nor ends what takes long: psql, under the same settings but for
// those that would stop it, is the judge.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"role", "workers"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			newOdd(t, pgtest.Citus(t)).try(t, where == "workers", "shard", "node", "coordinator")
		})
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		newOdd(t, pgtest.Plain(t)).try(t, false, "coordinator")
	})
}

func newOdd(t *testing.T, dsn string) *odd {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	o := &odd{victim: victim{conn: conn}, name: "odd_" + strings.ToLower(strings.ReplaceAll(url.QueryEscape(t.Name()), "%2F", "_"))}
	o.citus = len(pgtest.Query(t, conn, "SELECT FROM pg_extension WHERE extname = 'citus'")) > 0
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("dsn: not a URL")
	}
	u.User = url.UserPassword(o.name, o.name)
	query := u.Query()
	query.Del("passfile")
	query.Del("password")
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	o.dsn = u.String()
	pgtest.Exec(t, conn, fmt.Sprintf("CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s'", o.name))
	t.Cleanup(func() { o.remove(t) })
	if o.citus {
		pgtest.Exec(t, conn, fmt.Sprintf("INSERT INTO pg_dist_authinfo VALUES (0, '%[1]s', 'password=%[1]s')", o.name))
	}
	o.settings = pgtest.Settings(t, "../server/testdata/settings.txt")
	return o
}

func (o *odd) remove(t *testing.T) {
	if o.citus {
		pgtest.Exec(t, o.conn, fmt.Sprintf("DELETE FROM pg_dist_authinfo WHERE rolename = '%s'", o.name))
	}
	pgtest.Exec(t, o.conn, fmt.Sprintf("DROP OWNED BY %[1]s CASCADE; DROP ROLE %[1]s", o.name))
}

// bring gives the role these classes of settings on the first node or on the workers.
func (o *odd) bring(t *testing.T, workers bool, classes ...pgtest.Class) {
	t.Helper()
	known := pgtest.Query(t, o.conn, "SELECT lower(name) FROM pg_settings")
	var sql strings.Builder
	for _, s := range o.settings {
		if s.Value == "" || !slices.Contains(classes, s.Class) || !slices.Contains(known, strings.ToLower(s.Name)) {
			continue
		}
		if workers && s.Name == "idle_session_timeout" {
			continue // it ends sessions of Citus's own, under psql, too
		}
		value := strings.TrimSpace(server.Literal(s.Value))
		if strings.EqualFold(s.Name, "DateStyle") {
			value = s.Value // a list
		}
		fmt.Fprintf(&sql, "ALTER ROLE %s SET %s = %s; ", o.name, s.Name, value)
	}
	if !workers {
		sql := sql.String()
		if o.citus {
			sql = "SET citus.enable_ddl_propagation = off; " + sql + "RESET citus.enable_ddl_propagation"
		}
		if _, err := o.conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, row := range pgtest.Query(t, o.conn, "SELECT success, result FROM run_command_on_workers($x$SET citus.enable_ddl_propagation = off; "+sql.String()+"$x$)") {
		if !strings.HasPrefix(row, "t|") {
			t.Fatal(row)
		}
	}
}

const oddTable = `(id int PRIMARY KEY CHECK (%s.slow(id)), stamp timestamp, moment timestamptz, span interval, bytes bytea, f float8, cash money, doc xml,
	list text[], doubled text, j jsonb, words tsvector DEFAULT to_tsvector('running houses'), third text DEFAULT (1::float8 / 3)::text,
	hexed text DEFAULT xmlelement(NAME a, '\x41'::bytea)::text, dated text DEFAULT (timestamp '2025-03-04 05:06')::text)`

// make makes tables.
func (o *odd) make(t *testing.T, tables ...string) {
	t.Helper()
	schema := pgtest.Query(t, o.conn, "SELECT current_schema()")[0]
	pgtest.Exec(t, o.conn, fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s", schema, o.name),
		"CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF $1 % 100 = 50 THEN PERFORM pg_sleep(0.3); END IF; RETURN true; END $$")
	for _, table := range tables {
		pgtest.Exec(t, o.conn, "CREATE TABLE "+table+fmt.Sprintf(oddTable, schema))
		if o.citus {
			pgtest.Exec(t, o.conn, "SELECT create_distributed_table('"+table+"', 'id')")
		}
		pgtest.Exec(t, o.conn, "ALTER TABLE "+table+" OWNER TO "+o.name)
	}
}

// oddRecords returns a file of records, each of which depends on settings.
func oddRecords() string {
	var b strings.Builder
	b.WriteString("id,stamp,moment,span,bytes,f,cash,doc,list,doubled,j\n")
	for i := range 120 {
		fmt.Fprintf(&b, `%d,03/04/2025 10:00,2025-01-02 03:04:05 EST,-1 2:03:04,\x4142,0.1234567890123456,12.5,<a>%d</a>,"{a,NULL,b}",a\b'c,"{""a"": 1.10}"`+"\n", i, i)
	}
	return b.String()
}

// stop begins to load a file, and stops after a batch.
func (o *odd) stop(t *testing.T, table, path string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := loader.Open(ctx, loader.Config{Conn: parse(t, o.dsn), Table: table, Route: loader.Route(table), Batch: oddBatch, Observe: func(loader.StoredBatch) { cancel() }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if res, err := l.Load(ctx, loader.File(path)); !errors.Is(err, context.Canceled) {
		t.Fatalf("%d rows, %v; want an interrupt", res.Rows, err)
	}
}

func parse(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := server.Parse(dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const oddBatch = 2000

// try loads a file by each of the routes, into a table of its name.
func (o *odd) try(t *testing.T, workers bool, routes ...string) {
	o.make(t, append(routes, "expected")...)
	path := filepath.Join(t.TempDir(), "events.csv")
	if err := os.WriteFile(path, []byte(oddRecords()), 0o600); err != nil {
		t.Fatal(err)
	}
	o.bring(t, workers, pgtest.Carried, pgtest.Harmless)
	copied := "\\copy expected (id,stamp,moment,span,bytes,f,cash,doc,list,doubled,j) FROM '" + path + "' (FORMAT csv, HEADER)"
	if said, err := exec.Command("psql", "-Xq", "-v", "ON_ERROR_STOP=1", o.dsn, "-c", copied).CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s", err, said)
	}
	o.bring(t, workers, pgtest.SetByUs)
	for _, route := range routes {
		o.stop(t, route, path)
		if said := o.run(t, 0, "status"); !strings.Contains(said, route) {
			t.Errorf("status: %s", said)
		}
		o.run(t, 0, "load", "--table", route, "--route", route, "--batch", fmt.Sprint(oddBatch), "--retry-for", "5s", path)
		o.run(t, 0, "verify", "--deep", "--table", route, path)
		o.same(t, route)
	}
	o.run(t, 0, "status")
	o.run(t, 0, "verify", "--table", routes[0], path)
}

// same makes sure that the table holds what psql has stored.
func (o *odd) same(t *testing.T, table string) {
	t.Helper()
	plain := pgtest.Connect(t, withoutRole(o.conn))
	want := pgtest.Query(t, plain, "SELECT * FROM expected ORDER BY id")
	got := pgtest.Query(t, plain, "SELECT * FROM "+table+" ORDER BY id")
	if len(want) != len(got) {
		t.Errorf("%s: %d rows, want %d", table, len(got), len(want))
	}
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			t.Fatalf("%s: a row is\n%s\nand psql stores\n%s", table, got[i], want[i])
		}
	}
}

func withoutRole(conn *pgx.Conn) string { return conn.Config().ConnString() }
