package loader_test

import (
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
