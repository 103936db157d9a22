package loader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// onWorkers runs sql on all workers.
func onWorkers(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	for _, row := range query(t, conn, "SELECT success, result FROM run_command_on_workers($x$"+sql+"$x$)") {
		if !strings.HasPrefix(row, "t|") {
			t.Fatalf("%s: %s", sql, row)
		}
	}
}

// TestWorkersSettings holds that a worker's own settings mean nothing: neither its
// time zone for the values, nor its isolation level for the guard.
func TestWorkersSettings(t *testing.T) {
	for _, route := range direct {
		t.Run(string(route), func(t *testing.T) {
			dsn, conn := flowTable(t)
			t.Cleanup(func() {
				c := pgtestConn(t, dsn)
				for _, name := range []string{"timezone", "default_transaction_isolation", "datestyle"} {
					onWorkers(t, c, "ALTER SYSTEM RESET "+name)
				}
				onWorkers(t, c, "SELECT pg_reload_conf()")
			})
			onWorkers(t, conn, "ALTER SYSTEM SET timezone = 'Asia/Tokyo'")
			onWorkers(t, conn, "ALTER SYSTEM SET datestyle = 'SQL, DMY'")
			onWorkers(t, conn, "ALTER SYSTEM SET default_transaction_isolation = 'repeatable read'")
			onWorkers(t, conn, "SELECT pg_reload_conf()")
			awaitSetting(t, workers(t, conn)[1].at(t, dsn), "timezone", "Asia/Tokyo")
			r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route}, newFlow(0))
			for range 2 {
				move(t, conn, dsn, shards(t, conn, "flowing")[0], "block_writes")
			}
			if _, err := r.finish(); err != nil {
				t.Fatal(err)
			}
			sameRows(t, conn, "flowing", r.flow.rows)
		})
	}
}

// awaitSetting waits until new sessions of the server have that setting.
func awaitSetting(t *testing.T, dsn, name, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if query(t, pgtest.Connect(t, dsn), "SHOW "+name)[0] == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not %s yet", name, want)
		}
	}
}

// TestRoles holds which route roles take that do not own the table or that the
// workers do not let in.
func TestRoles(t *testing.T) {
	t.Parallel()
	dsn, conn := smallTable(t)
	makeRole(t, dsn, conn, "writer")
	exec(t, conn, "GRANT INSERT ON h TO writer")
	cfg := loader.Config{Conn: parse(t, dsn), Table: "h", NoResume: true}
	cfg.Conn.User, cfg.Conn.Password = "writer", "writer"

	holdsSmall(t, conn, cfg, loader.RouteNode, "role writer does not own the table")

	exec(t, conn, "TRUNCATE h")
	exec(t, conn, "ALTER TABLE h OWNER TO writer")
	holdsSmall(t, conn, cfg, loader.RouteShard, "")

	exec(t, conn, "TRUNCATE h")
	onWorkers(t, conn, "SET citus.enable_ddl_propagation = off; ALTER ROLE writer PASSWORD 'another'")
	exec(t, conn, "UPDATE pg_dist_authinfo SET authinfo = 'password=another' WHERE rolename = 'writer'")
	fallsBack(t, conn, cfg, "cannot be used from here")
}

// makeRole makes a role that may use the current schema and log in everywhere, with its
// name for its password, until the test ends.
func makeRole(t *testing.T, dsn string, conn *pgx.Conn, name string) {
	t.Helper()
	t.Cleanup(func() {
		c := pgtestConn(t, dsn)
		exec(t, c, fmt.Sprintf("DELETE FROM pg_dist_authinfo WHERE rolename = '%s'", name))
		exec(t, c, fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", name))
	})
	exec(t, conn, fmt.Sprintf("CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s'", name))
	exec(t, conn, fmt.Sprintf("INSERT INTO pg_dist_authinfo VALUES (0, '%[1]s', 'password=%[1]s')", name))
	exec(t, conn, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", query(t, conn, "SELECT current_schema()")[0], name))
}

// dated makes a table that is distributed by a column which only the server can read,
// and returns n records of it, one in every of which has a date in another style.
func dated(t *testing.T, conn *pgx.Conn, n, every int) string {
	t.Helper()
	exec(t, conn, "CREATE TABLE dated (id int, at timestamptz, what text)")
	distribute(t, conn, "dated", "at")
	var in strings.Builder
	in.WriteString("id,at,what\n")
	for i := range n {
		at := fmt.Sprintf("2025-%02d-%02d %02d:00", 1+i%12, 1+i%28, i%24)
		if every > 0 && i%every == 0 {
			at = "25/01/2025"
		}
		fmt.Fprintf(&in, "%d,%s,%s\n", i, at, strings.Repeat("x", 100))
	}
	return in.String()
}

// TestDefaultsChangeMeanwhile holds that a server's defaults which change behind Open
// do not make it hash other values than it stores.
func TestDefaultsChangeMeanwhile(t *testing.T) {
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	in := dated(t, conn, 1000, 0)
	l := open(t, loader.Config{Conn: parse(t, dsn), Table: "dated", Route: loader.RouteShard})
	database := pgx.Identifier{query(t, conn, "SELECT current_database()")[0]}.Sanitize()
	exec(t, conn, "ALTER DATABASE "+database+" SET timezone = 'Asia/Tokyo'")
	t.Cleanup(func() { exec(t, pgtestConn(t, dsn), "ALTER DATABASE "+database+" RESET timezone") })
	if _, err := l.Load(context.Background(), loader.Reader("-", strings.NewReader(in))); err != nil {
		t.Fatal(err)
	}
	for _, shard := range query(t, conn, "SELECT shardid, shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE logicalrelid = 'dated'::regclass") {
		s := strings.Split(shard, "|")
		astray := query(t, conn, "SELECT result FROM run_command_on_shards('dated', $$SELECT count(*) FROM %s WHERE worker_hash(at) NOT BETWEEN "+s[1]+" AND "+s[2]+"$$) WHERE shardid = "+s[0])[0]
		if astray != "0" {
			t.Errorf("%s rows are in shard %s, and belong elsewhere", astray, s[0])
		}
	}
}

// TestOtherSettings holds that a load does not go on under settings by which the server
// would find other shards for the records than before.
func TestOtherSettings(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	path := writeInput(t, []byte(dated(t, conn, 6000, 20)))
	cfg := pieces(t, dsn)
	cfg.Table, cfg.MaxErrors, cfg.RejectsDir = "dated", loader.ErrorLimit{Percent: 10}, t.TempDir()
	if _, err := run(t, cfg, loader.File(path), 10); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	other := cfg
	other.Conn = parse(t, dsn)
	other.Conn.RuntimeParams["datestyle"] = "ISO, DMY"
	_, err := run(t, other, loader.File(path), 0)
	if _, ok := errors.AsType[*loader.JobError](err); !ok || !strings.Contains(err.Error(), "DateStyle ISO, DMY") {
		t.Errorf("error %v, want a JobError that tells of the DateStyle", err)
	}
	res, err := run(t, cfg, loader.File(path), 0)
	if err != nil || res.Before+res.Rows != 5700 || res.Rejected != 300 {
		t.Errorf("%d rows, %d rejected, %v; want 5700 and 300", res.Before+res.Rows, res.Rejected, err)
	}
}

// TestNoPlace holds that a load which keeps no progress does not begin anew when the
// coordinator says for long that a shard is not there: it would store rows again.
func TestNoPlace(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE homeless (id int); CREATE SEQUENCE refusals;
		CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.id = 19999 AND nextval('refusals') <= 90 THEN RAISE EXCEPTION 'could not find valid entry for shard 102008' USING ERRCODE = 'XX000'; END IF;
			RETURN NEW; END $$;
		CREATE TRIGGER gone BEFORE INSERT ON homeless FOR EACH ROW EXECUTE FUNCTION gone()`)
	var in strings.Builder
	for i := range 20_000 {
		fmt.Fprintln(&in, i)
	}
	cfg := loader.Config{Conn: parse(t, dsn), Table: "homeless", NoResume: true, Batch: 16 << 10, Memory: 8 << 20, MaxRecord: 1 << 20}
	res, err := open(t, cfg.WithRemapDelay(time.Millisecond)).Load(context.Background(), loader.File(writeInput(t, []byte(in.String()))))
	if err == nil || !strings.Contains(err.Error(), "finds no place") {
		t.Errorf("error %v", err)
	}
	if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM homeless")[0]; got != fmt.Sprintf("%d|%d", res.Rows, res.Rows) || res.Rows == 20_000 {
		t.Errorf("%s rows and ids, the load says %d rows", got, res.Rows)
	}
}
