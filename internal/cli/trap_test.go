package cli_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/cli"
	"shardload/internal/pgtest"
)

// bait is what an ordinary role has put into the schema %[1]s, of its own: a table of
// jobs that shardload does not make. Each would run canary() as whoever works with it.
var bait = []string{
	`CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON %[1]s.shardload_jobs FOR EACH STATEMENT EXECUTE FUNCTION den.canary_trigger()`,
	`CREATE RULE r AS ON DELETE TO %[1]s.shardload_jobs DO ALSO SELECT den.canary()`,
	`ALTER TABLE %[1]s.shardload_jobs ALTER rows SET DEFAULT den.canary()`,
	`ALTER TABLE %[1]s.shardload_jobs ADD CHECK (den.canary() > 0)`,
	`CREATE INDEX ON %[1]s.shardload_jobs ((den.canary_of(rows)))`,
	`ALTER TABLE %[1]s.shardload_jobs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s.shardload_jobs USING (den.canary() > 0)`,
	`ALTER TABLE %[1]s.shardload_jobs ADD extra bigint GENERATED ALWAYS AS (den.canary_of(rows)) STORED`,
	`ALTER TABLE %[1]s.shardload_jobs ADD extra den.canary_domain`,
	`ALTER TABLE %[1]s.shardload_jobs ALTER name TYPE den.canary_text`,
	`CREATE TABLE %[1]s.child () INHERITS (%[1]s.shardload_jobs)`,
	`ALTER TABLE %[1]s.shardload_jobs RENAME TO hidden; CREATE VIEW %[1]s.shardload_jobs AS SELECT h.*, den.canary() FROM %[1]s.hidden h`,
	`DROP TABLE %[1]s.shardload_jobs; CREATE MATERIALIZED VIEW %[1]s.shardload_jobs AS SELECT 1 AS id`,
	`UPDATE %[1]s.shardload_jobs SET progress = 'x; SELECT den.canary()', id = 'aaaaaaaaaaaaaaaa';
	 CREATE TABLE %[1]s.shardload_progress_aaaaaaaaaaaaaaaa (key int, lane int, rows bigint DEFAULT den.canary());
	 CREATE RULE r AS ON INSERT TO %[1]s.shardload_progress_aaaaaaaaaaaaaaaa DO ALSO SELECT den.canary()`,
	`UPDATE %[1]s.shardload_jobs SET id = 'x''); SELECT den.canary(); --', progress = ';', target = 'x"; SELECT den.canary(); --'`,
	`DELETE FROM %[1]s.shardload_jobs; CREATE VIEW %[1]s.shardload_progress_bbbbbbbbbbbbbbbb AS SELECT den.canary() AS key`,
	`DELETE FROM %[1]s.shardload_jobs; CREATE VIEW %[1]s.shardload_marks_bbbbbbbbbbbbbbbb AS SELECT den.canary() AS key`,
	`DROP TABLE %[1]s.shardload_jobs; CREATE TABLE %[1]s.shardload_marks_cccccccccccccccc (key int CHECK (den.canary() > 0), run den.canary_text)`,
	`DROP TABLE %[1]s.shardload_jobs; CREATE TABLE %[1]s.shardload_progress_cccccccccccccccc (key int CHECK (den.canary() > 0), lane den.canary_domain)`,
	`CREATE TABLE %[1]s.items_tune_aaaaaaaa (id den.canary_domain);
	 COMMENT ON TABLE %[1]s.items_tune_aaaaaaaa IS E'temporary, made by shardload, which drops it again {"tool":"tune","id":"aaaaaaaa"}'`,
}

// canaries is what bait calls. Nobody may.
var canaries = []string{
	`CREATE FUNCTION den.canary() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$`,
	`CREATE FUNCTION den.canary_of(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN den.canary(); END $$`,
	`CREATE FUNCTION den.canary_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM den.canary(); RETURN NULL; END $$`,
	`CREATE DOMAIN den.canary_domain AS int CHECK (den.canary() > 0)`,
	`CREATE DOMAIN den.canary_text AS text CHECK (den.canary() > 0)`,
}

// trapsSQL makes functions and operators in a schema of the search path that fit calls
// with arguments of the commonest types better than those of pg_catalog do: of every
// name in $1, which a function has, and of every operator.
const trapsSQL = `DO $do$
DECLARE
	types text[] := '{name,text,oid,int4,int8}';
	f record; a text; b text;
BEGIN
	FOR f IN SELECT DISTINCT p.proname AS name, n.n FROM pg_proc p, generate_series(1, 2) n
		WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (%s::text[])
		AND (p.pronargs = n.n OR p.provariadic <> 0 OR p.pronargs > n.n AND p.pronargs - p.pronargdefaults <= n.n)
	LOOP
		FOREACH a IN ARRAY types LOOP
			FOREACH b IN ARRAY CASE f.n WHEN 1 THEN '{""}' ELSE types END LOOP
				EXECUTE format('CREATE FUNCTION public.%%I(%%s) RETURNS text LANGUAGE plpgsql AS %%L', f.name, concat_ws(',', a, nullif(b, '')), 'BEGIN RETURN ''trap''; END');
			END LOOP;
		END LOOP;
	END LOOP;
	FOREACH a IN ARRAY types LOOP
		FOREACH b IN ARRAY types LOOP
			EXECUTE format('CREATE FUNCTION public.trap(%%s, %%s) RETURNS bool LANGUAGE plpgsql AS %%L', a, b, 'BEGIN RETURN true; END');
			FOR f IN SELECT DISTINCT oprname AS name FROM pg_operator WHERE oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '~', '!~', '~~', '+', '-', '*', '<<', '|', '->>') LOOP
				EXECUTE format('CREATE OPERATOR public.%%s (LEFTARG = %%s, RIGHTARG = %%s, FUNCTION = public.trap)', f.name, a, b);
			END LOOP;
		END LOOP;
	END LOOP;
END $do$`

// An ordinary role has put what it likes into its own schemas and into one that all may
// write to: whatever verb a superuser runs, nothing of it runs.
func TestTraps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mallory := "mallory_" + strings.ToLower(filepath.Base(filepath.Dir(dir)))
	dsn := ""
	t.Cleanup(func() { // when the database is gone, and all that it owns
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Database = "postgres"
		conn, err := pgx.ConnectConfig(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, conn, "DROP ROLE IF EXISTS "+pgx.Identifier{mallory}.Sanitize())
		_ = conn.Close(context.Background()) // nothing is left to do
	})
	dsn = pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	v := &victim{dsn: dsn, conn: conn}
	items, more := filepath.Join(dir, "items.csv"), filepath.Join(dir, "more.csv")
	for path, text := range map[string]string{items: "1,one\n2,two\n", more: "2,zwei\n3,drei\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pipe := filepath.Join(dir, "more.csv.gz") // is stored in pieces, with marks
	writeGzip(t, pipe, "4,vier\n5,fünf\n")
	data := filepath.Join(dir, "data")
	pgtest.Exec(t, conn, "CREATE TABLE items (id integer PRIMARY KEY, name text)", "CREATE TABLE plain (id integer, name text)",
		"CREATE ROLE "+pgx.Identifier{mallory}.Sanitize(), "GRANT CREATE ON SCHEMA public TO PUBLIC",
		"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_functions = %L', current_database(), 'all'); END $$")
	t.Cleanup(func() { pgtest.Exec(t, conn, "RESET ROLE") })
	v.run(t, 0, "load", "--table", "items", items)
	v.run(t, 0, "generate", "--companies", "2", "--ads", "40", "--out", data)

	name := pgx.Identifier{mallory}.Sanitize()
	pgtest.Exec(t, conn, "CREATE SCHEMA den AUTHORIZATION "+name)
	for i := range bait {
		pgtest.Exec(t, conn, fmt.Sprintf("CREATE SCHEMA bait%d AUTHORIZATION %s", i, name),
			fmt.Sprintf("CREATE TABLE bait%d.shardload_jobs (LIKE shardload_jobs INCLUDING ALL)", i),
			fmt.Sprintf("INSERT INTO bait%d.shardload_jobs SELECT * FROM shardload_jobs", i),
			fmt.Sprintf("ALTER TABLE bait%d.shardload_jobs OWNER TO %s", i, name))
	}
	pgtest.Exec(t, conn, "SET ROLE "+name)
	pgtest.Exec(t, conn, canaries...)
	pgtest.Exec(t, conn, fmt.Sprintf(trapsSQL, "'{"+strings.Join(callsInSource(t), ",")+"}'"))
	pgtest.Exec(t, conn, "RESET ROLE", "SET search_path = pg_catalog", "SET ROLE "+name)
	for i, sql := range bait {
		pgtest.Exec(t, conn, fmt.Sprintf(sql, fmt.Sprintf("bait%d", i)))
	}
	pgtest.Exec(t, conn, "RESET ROLE")
	v.forgetCalls(t)
	// Whoever says less than we do is caught.
	careless := pgtest.Connect(t, dsn)
	pgtest.Exec(t, careless, "SELECT relname || 'x'::text, oid = 1::int8 FROM pg_class LIMIT 1", "SELECT pg_stat_force_next_flush()")
	if err := careless.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.alone(t)
	if called := v.called(t); len(called) < 2 {
		t.Fatalf("the traps catch nothing but %q", called)
	}
	v.forgetCalls(t)

	load := func(args ...string) []string { return append([]string{"load", "--rejects", dir}, args...) }
	for _, c := range []struct {
		want int
		args []string
	}{
		{0, []string{"status"}},
		{0, []string{"status", "--json"}},
		{1, []string{"forget", "aaaaaaaaaaaaaaaa"}},
		{0, []string{"clean"}},
		{0, []string{"clean", "--yes"}},
		{0, load("--table", "items", "--explain", more)},
		{0, load("--table", "items", "--replace", items)},
		{0, load("--table", "items", "--on-conflict", "update", more)},
		{3, load("--table", "items", "--header", "no", "--max-errors", "9", "--job", "again", more)},
		{0, load("--table", "plain", "--streams", "2", "--job", "pieces", pipe)},
		{0, load("--table", "plain", "--no-resume", more)},
		{0, []string{"forget", "pieces"}},
		{4, []string{"verify", "--table", "items", items}},
		{4, []string{"verify", "--deep", "--table", "items", items}},
		{0, []string{"tune", "--table", "items", "--rounds", "1", "--sample", "1", items}},
		{0, []string{"schema", "create"}},
		{0, []string{"schema", "distribute"}},
		{0, load(data)},
		{0, load("--replace", data)},
		{0, []string{"verify", data}},
		{0, []string{"verify", "--deep", data}},
		{0, []string{"schema", "status"}},
		{0, []string{"status"}},
		{0, []string{"schema", "drop", "--yes"}},
	} {
		v.run(t, c.want, c.args...)
		v.unharmed(t, c.args)
	}

	// A table of jobs that stands where ours would is named, and not used.
	pgtest.Exec(t, conn, "DROP TABLE public.shardload_jobs", "SET ROLE "+name, "CREATE TABLE public.shardload_jobs (LIKE bait13.shardload_jobs INCLUDING ALL)",
		fmt.Sprintf(bait[0], "public"), "RESET ROLE")
	v.forgetCalls(t)
	for _, args := range [][]string{load("--table", "items", items), load("--table", "items", "--replace", items), load("--table", "plain", pipe)} {
		if said := v.run(t, 1, args...); !strings.Contains(said, "left alone because it belongs to "+mallory) {
			t.Errorf("%q: said %s", args, said)
		}
		v.unharmed(t, args)
	}
	v.run(t, 0, "status")
	v.unharmed(t, []string{"status"})
}

// callsInSource returns the names of functions that the program's statements may call.
func callsInSource(t *testing.T) (names []string) {
	t.Helper()
	call, seen := regexp.MustCompile(`\b([a-z][a-z0-9_]{2,})\(`), map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".sql") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(text, -1) {
			if name := string(m[1]); !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		return err
	})
	if err != nil || len(names) < 100 {
		t.Fatalf("%d names, %v", len(names), err)
	}
	return names
}

// A victim runs verbs as a superuser.
type victim struct {
	dsn  string
	conn *pgx.Conn
}

// run runs a verb, and returns what it says.
func (v *victim) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	var said bytes.Buffer
	status := cli.Main(t.Context(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &said, Stderr: &said,
		Getenv: func(name string) string {
			if name == "DATABASE_URL" {
				return v.dsn
			}
			return ""
		},
	})
	if status != want {
		t.Errorf("%q: exit status %d, want %d\n%s", args, status, want, said.String())
	}
	return said.String()
}

// forgetCalls makes the server forget which functions were called.
func (v *victim) forgetCalls(t *testing.T) {
	t.Helper()
	v.alone(t)
	pgtest.Exec(t, v.conn, "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset()")
}

// unharmed makes sure that no function outside of pg_catalog was called: the server counts
// calls, also of what is undone or may only read.
func (v *victim) unharmed(t *testing.T, args []string) {
	t.Helper()
	v.alone(t)
	if called := v.called(t); len(called) > 0 {
		t.Errorf("%q: ran %q", args, called)
		v.forgetCalls(t)
	}
}

// called returns the functions that were called.
func (v *victim) called(t *testing.T) []string {
	t.Helper()
	return pgtest.Query(t, v.conn, `SELECT DISTINCT s.schemaname OPERATOR(pg_catalog.||) '.'::pg_catalog.text OPERATOR(pg_catalog.||) s.funcid::pg_catalog.regprocedure::pg_catalog.text
		FROM pg_catalog.pg_stat_user_functions s WHERE s.calls OPERATOR(pg_catalog.>) 0`)
}

// alone waits until the sessions of verbs have ended, and have told the server what they
// called.
func (v *victim) alone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var others int
		err := v.conn.QueryRow(t.Context(), `SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
			AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() AND a.backend_type OPERATOR(pg_catalog.=) 'client backend'`).Scan(&others)
		if err != nil {
			t.Fatal(err)
		}
		if others == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("sessions stay")
		}
	}
}

func writeGzip(t *testing.T, path, text string) {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err = errors.Join(err, w.Close(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}
