package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/cli"
	"shardload/internal/pgtest"
)

// plantSQL makes, in a schema, functions and operators that fit better than the server's
// own: of each function that our sources name, with each argument of another common
// type, and of each operator on pairs of them; and of what Citus's own statements to its
// nodes call. Where "exact" holds, also those that the
// server has itself, which come first in a search path that begins with the schema. Each
// writes to a file in the server's directory, which no ROLLBACK undoes and which a
// transaction that only reads may do, too, and raises an error.
const plantSQL = `DO $do$
DECLARE
	place text := %[1]s;
	names text[] := %[2]s;
	exact boolean := %[3]t;
	common regtype[] := %[5]s;
	body text := $b$LANGUAGE plpgsql SET search_path = pg_catalog AS $f$
		BEGIN COPY (SELECT %%1$L) TO PROGRAM 'cat >> shardload_%[4]s'; RAISE EXCEPTION 'trap: %%1$s'; END $f$ $b$;
	p record; o record; l regtype; r regtype; args text[]; k int; n int := 0; result text; sign text;
BEGIN
	SET LOCAL check_function_bodies = off;
	names := names || ARRAY(SELECT f.proname::text FROM pg_proc f WHERE f.proname ~ '^(assign_|worker_|lock_|citus_internal|pg_.*_size)');
	FOR p IN SELECT DISTINCT proname, proargtypes::oid[] AS types FROM pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY(names)
		AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY(proargtypes) AND NOT has_schema_privilege(t.typnamespace, 'USAGE')) LOOP
		FOR k IN 0 .. coalesce(array_length(p.types, 1), 0) LOOP
			FOREACH l IN ARRAY common LOOP
				SELECT coalesce(array_agg(CASE WHEN i = k THEN l::text ELSE t::regtype::text END ORDER BY i), '{}') INTO args
					FROM unnest(p.types) WITH ORDINALITY AS u (t, i);
				CONTINUE WHEN NOT exact AND EXISTS (SELECT FROM pg_proc WHERE proname = p.proname AND pronamespace = 'pg_catalog'::regnamespace
					AND proargtypes = array_to_string(args::regtype[]::oid[], ' ')::oidvector);
				sign := format('%%I.%%I(%%s)', place, p.proname, array_to_string(args, ', '));
				CONTINUE WHEN to_regprocedure(sign) IS NOT NULL;
				BEGIN
					EXECUTE format('CREATE FUNCTION %%s RETURNS text ', sign) || format(body, sign);
					n := n + 1;
				EXCEPTION WHEN invalid_function_definition OR feature_not_supported OR undefined_object THEN NULL;
				END;
				EXIT WHEN k = 0;
			END LOOP;
		END LOOP;
	END LOOP;
	FOREACH l IN ARRAY common LOOP
		FOREACH r IN ARRAY common LOOP
			FOREACH result IN ARRAY '{bool,text,int8}'::text[] LOOP
				sign := format('%%I.%%I(%%s, %%s)', place, 'operator_' || result, l, r);
				EXECUTE format('CREATE FUNCTION %%s RETURNS %%s ', sign, result) || format(body, sign);
			END LOOP;
			FOR o IN SELECT name, CASE WHEN name = '||' THEN 'text' WHEN name ~ '^[-+*/%%&|#]' THEN 'int8' ELSE 'bool' END AS result
				FROM unnest('{=,<>,<,>,<=,>=,||,+,-,*,/,%%,&,|,#,~,!~,~~,!~~,~~*,<<,>>,@>,<@,&&}'::text[]) AS name LOOP
				CONTINUE WHEN NOT exact AND EXISTS (SELECT FROM pg_operator WHERE oprname = o.name AND oprleft = l AND oprright = r
					AND oprnamespace = 'pg_catalog'::regnamespace);
				EXECUTE format('CREATE OPERATOR %%I.%%s (LEFTARG = %%s, RIGHTARG = %%s, FUNCTION = %%I.%%I)', place, o.name, l, r, place,
					'operator_' || CASE WHEN o.name IN ('~', '!~') THEN 'bool' ELSE o.result END);
				n := n + 1;
			END LOOP;
		END LOOP;
	END LOOP;
	ASSERT n > 1000, n;
END $do$`

// calledNames returns what our sources write before a parenthesis: the functions of the
// server that they call are among them.
func calledNames(t *testing.T) []string {
	t.Helper()
	call := regexp.MustCompile(`\b[a-z][a-z0-9_]*\(`)
	var names []string
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range call.FindAllString(string(text), -1) {
			names = append(names, strings.TrimSuffix(name, "("))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A trapped is a place in whose search path the first schema is full of traps, for a
// superuser.
type trapped struct {
	name, dsn string
	nodes     []*pgx.Conn // the coordinator's first
}

// connectNodes connects to all nodes of dsn's, the coordinator first, with no search path
// of the test's.
func connectNodes(t *testing.T, dsn string) []*pgx.Conn {
	t.Helper()
	at := func(change func(*url.URL)) *pgx.Conn {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.RawQuery = strings.Split(u.RawQuery, "&options=")[0]
		if change(u); u.RawQuery == "" {
			u.RawQuery = "application_name=test"
		}
		return pgtest.Connect(t, u.String())
	}
	nodes := []*pgx.Conn{at(func(*url.URL) {})}
	if len(pgtest.Query(t, nodes[0], "SELECT 1 FROM pg_extension WHERE extname = 'citus'")) > 0 {
		for _, node := range pgtest.Query(t, nodes[0], "SELECT nodename || ':' || nodeport FROM pg_dist_node WHERE groupid > 0") {
			nodes = append(nodes, at(func(u *url.URL) { u.Host = node }))
		}
	}
	return nodes
}

// newTrapped plants traps on all nodes of dsn's.
func newTrapped(t *testing.T, dsn string, exact bool) *trapped {
	t.Helper()
	name := fmt.Sprintf("traps_%d", os.Getpid())
	tr := &trapped{name: name, nodes: connectNodes(t, dsn)}
	main, hasCitus := tr.nodes[0], len(tr.nodes) > 1
	t.Cleanup(func() { tr.remove(t) })
	pgtest.Exec(t, main, "CREATE ROLE "+name+" SUPERUSER LOGIN PASSWORD 'x'", "CREATE SCHEMA "+name,
		"ALTER ROLE "+name+" SET search_path = "+name+", pg_catalog")
	if hasCitus {
		pgtest.Exec(t, main, "INSERT INTO pg_dist_authinfo VALUES (0, '"+name+"', 'password=x')")
	}
	names := "ARRAY['" + strings.Join(calledNames(t), "','") + "']"
	types := "'{text,varchar,name,oid,regclass,int4,int8,text[]}'"
	if hasCitus { // the other half has looked at our own statements
		types = "'{text,varchar,int4,int8}'"
	}
	for _, node := range tr.nodes {
		if hasCitus {
			pgtest.Exec(t, node, "SET citus.enable_ddl_propagation = off", "CREATE SCHEMA IF NOT EXISTS "+name)
		}
		pgtest.Exec(t, node, fmt.Sprintf(plantSQL, "'"+name+"'", names, exact, name, types), "RESET ALL")
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "x")
	query := u.Query()
	query.Del("options")
	query.Del("user")
	query.Del("password")
	u.RawQuery = query.Encode()
	tr.dsn = u.String()
	return tr
}

// plantTypes makes on all nodes domains that have the names of the server's types.
func (tr *trapped) plantTypes(t *testing.T) {
	t.Helper()
	for _, node := range tr.nodes {
		statements := []string{"SELECT 1"}
		if len(tr.nodes) > 1 {
			statements = []string{"SET citus.enable_ddl_propagation = off"}
		}
		for _, typ := range []string{"text", "name", "oid", "uuid", "date", "json", "jsonb", "bytea", "inet", "money", "regclass"} {
			statements = append(statements, fmt.Sprintf("CREATE DOMAIN %[1]s.%[2]s AS pg_catalog.%[2]s CHECK (%[1]s.operator_bool('domain'::text, '%[2]s'::text))", tr.name, typ))
		}
		pgtest.Exec(t, node, append(statements, "RESET ALL")...)
	}
}

// remove takes the traps away on a cluster, whose database other tests share: in
// pieces, since they are too many for the locks of one transaction. Where the database is
// the test's own it goes, and the role stays without a place.
func (tr *trapped) remove(t *testing.T) {
	ctx := context.Background()
	run := func(conn *pgx.Conn, statements ...string) {
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	}
	for _, node := range slices.Backward(tr.nodes) {
		conn, err := pgx.ConnectConfig(ctx, node.Config())
		if err != nil {
			t.Error(err)
			continue
		}
		if node == tr.nodes[0] {
			run(conn, "DROP TABLE IF EXISTS "+tr.name+".events, "+tr.name+".shardload_jobs CASCADE")
		}
		if len(tr.nodes) > 1 {
			run(conn, "SET citus.enable_ddl_propagation = off")
		}
		run(conn, fmt.Sprintf(removeSQL, tr.name), "DROP SCHEMA "+tr.name+" CASCADE")
		if node == tr.nodes[0] && len(tr.nodes) > 1 {
			run(conn, "DELETE FROM pg_dist_authinfo WHERE rolename = '"+tr.name+"'", "SET citus.enable_ddl_propagation = on")
		}
		if node == tr.nodes[0] {
			run(conn, "DROP ROLE "+tr.name)
		}
		_ = conn.Close(ctx)
	}
}

// removeSQL drops the functions, and with them the operators, a part at a time.
const removeSQL = `DO $do$ DECLARE f record; n int := 0; BEGIN
	FOR f IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = '%s'::regnamespace LOOP
		EXECUTE 'DROP FUNCTION ' || f.name || ' CASCADE';
		n := n + 1;
		IF n %% 100 = 0 THEN COMMIT; END IF;
	END LOOP; END $do$`

// sprung returns which traps have been called, and forgets them.
func (tr *trapped) sprung(t *testing.T) (which string) {
	t.Helper()
	for _, node := range tr.nodes {
		if calls := pgtest.Query(t, node, "SELECT coalesce(pg_catalog.pg_read_file('shardload_"+tr.name+"', 0, 100000, true), '')")[0]; calls != "" {
			which += calls
			pgtest.Exec(t, node, "COPY (SELECT) TO PROGRAM 'cat > /dev/null; rm -f shardload_"+tr.name+"'")
		}
	}
	return which
}

// run runs a verb, which springs no trap, and returns what it says.
func (tr *trapped) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	status := cli.Main(t.Context(), cli.Env{Args: append(args, "--dsn", tr.dsn), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }})
	if which := tr.sprung(t); which != "" || status != want {
		t.Errorf("%v: exit status %d, want %d; sprung: %s\n%s", args, status, want, which, out.String())
	}
	return out.String()
}

// TestSearchPath holds that a superuser calls nothing that another role has made: the
// search path begins with a schema in which it may.
func TestSearchPath(t *testing.T) {
	t.Run("postgres", func(t *testing.T) { testSearchPath(t, newTrapped(t, pgtest.Plain(t), true)) })
	t.Run("citus", func(t *testing.T) {
		if testing.Short() {
			t.Skip("TestTrapsOnNodes plants these traps on a cluster, too")
		}
		testSearchPath(t, newTrapped(t, pgtest.Citus(t), false))
	})
}

func testSearchPath(t *testing.T, tr *trapped) {
	dir := t.TempDir()
	user := pgtest.Connect(t, tr.dsn)
	if _, err := user.Exec(t.Context(), "SELECT pg_catalog.int8('1') = pg_catalog.varchar('1')", pgx.QueryExecModeSimpleProtocol); err == nil || tr.sprung(t) == "" {
		t.Fatalf("no trap is sprung: %v", err)
	}
	data := filepath.Join(dir, "data")
	onCitus, long := len(tr.nodes) > 1, os.Getenv("SHARDLOAD_TEST_CHAOS") != ""
	tr.run(t, 0, "generate", "--ads", "100", "--out", data)
	tr.run(t, 0, "schema", "create")
	tr.run(t, 0, "schema", "distribute")
	tr.run(t, 0, "load", "--streams", "1", data)
	tr.run(t, 0, "verify", data)
	tr.run(t, 0, "verify", "--deep", data)
	tr.run(t, 0, "schema", "status")
	if onCitus { // the tutorial's statements are its own, and call functions without a schema
		tr.run(t, 0, "tutorial")
	}

	tr.plantTypes(t)
	table := tr.name + ".events"
	pgtest.Exec(t, tr.nodes[0], "CREATE TABLE "+table+" (id bigint, name varchar(9), small smallint, PRIMARY KEY (id, name), at timestamptz DEFAULT now(), uid uuid, day date, code text COLLATE \"C\" CHECK (code ~ '^x'))")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	routes := []string{"auto"}
	if onCitus {
		routes = []string{"shard", "node", "coordinator"}
		pgtest.Exec(t, tr.nodes[0], "SELECT create_distributed_table('"+table+"', 'name', colocate_with => 'none', shard_count => 4)")
	}
	for i, route := range routes {
		first := (i + 1) * 10000
		var good strings.Builder
		good.WriteString("id,name,uid,day,code,small\n")
		for k := range 300 {
			fmt.Fprintf(&good, "%d,n%d,{00000000-0000-0000-0000-%012d},1 Jan 2025,x,%d\n", first+k, k, k, k)
		}
		load := func(args ...string) []string {
			return append([]string{"load", "--table", table, "--route", route, "--rejects", filepath.Join(dir, route)}, args...)
		}
		file := write(route+".csv", good.String())
		if i == 0 {
			tr.run(t, 0, load("--explain", file)...)
		}
		tr.run(t, 0, load("--batch", "2000", "--replace", file)...)
		if i == 0 {
			tr.run(t, 0, "verify", "--deep", "--table", table, file)
		}
		stops := write(route+"stops.csv", strings.ReplaceAll(strings.ReplaceAll(good.String(), fmt.Sprintf("\n%d", first/10000), fmt.Sprintf("\n%d", first/10000+5)), ",250\n", ",bad\n"))
		if i == 0 || long {
			tr.run(t, 0, load("--on-conflict", "update", "--job", "update"+route, file)...)
			tr.run(t, 1, load("--batch", "2000", stops)...)
			tr.run(t, 0, "status")
		}
		tr.run(t, 3, load("--batch", "2000", "--max-errors", "5", stops)...)
		if i == 0 || long {
			tr.run(t, 0, "forget", stops)
		}
	}
	if !onCitus { // whose tables have no triggers
		pgtest.Exec(t, tr.nodes[0], "CREATE FUNCTION "+tr.name+".keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
			"CREATE TRIGGER keep BEFORE INSERT ON "+table+" FOR EACH ROW EXECUTE FUNCTION "+tr.name+".keep()")
		tr.run(t, 0, "load", "--table", table, "--on-conflict", "skip", "--job", "skip", write("skip.csv", "id,name,small\n1,new,2\n1,new,3\n"))
		pgtest.Exec(t, tr.nodes[0], "DROP TRIGGER keep ON "+table)
	}
	if onCitus { // TestTraps tunes without
		tr.run(t, 0, "tune", "--table", table, "--rounds", "1", "--sample", "1", "--max-streams", "1", write("tune.csv", "id,name,small\n1,x,2\n"))
		bench := []string{"bench", "--yes", "--rows", "100", "--repeat", "1", "--warmup", "0", "--streams", "1", "--batch", "1MiB", "--shards", "4", "--out", filepath.Join(dir, "report")}
		if long {
			bench = append(bench, "--arms", "shardload,wire-limit")
		} else {
			bench = append(bench, "--arms", "shardload", "--routes", "shard", "--format", "binary")
		}
		tr.run(t, 0, bench...)
	}
	tr.run(t, 0, "status", "--json")
	tr.run(t, 4, "verify", "--table", table, write("none.csv", "id,name,small\n"))
	tr.run(t, 0, "clean")
	tr.run(t, 0, "schema", "drop", "--yes")
}
