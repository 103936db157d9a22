package loader_test

import (
	"fmt"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// What a table's checks and indexes call finds on the workers what the role's own search
// path has there, whatever the route, and while it is analyzed and emptied, too.
func TestTablesOwnCodeOnNodes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	schema := query(t, conn, "SELECT current_schema()")[0]
	helper := "helper_" + schema
	everywhere := func(sql string) {
		sql = "SET citus.enable_ddl_propagation = off; " + sql
		onWorkers(t, conn, sql)
		exec(t, conn, sql+"; RESET citus.enable_ddl_propagation")
	}
	t.Cleanup(func() {
		conn = pgtestConn(t, dsn)
		everywhere("DROP FUNCTION public." + helper)
	})
	// The workers' sessions have the default path, the coordinator's the test's schema.
	for _, in := range []string{"public", schema} {
		everywhere(fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS %s; CREATE FUNCTION %s.%s(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'", in, in, helper))
	}
	exec(t, conn, fmt.Sprintf("CREATE FUNCTION calls(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN %s($1); END'", helper))
	exec(t, conn, "CREATE TABLE coded (id int PRIMARY KEY, n int CHECK (calls(n) = 1))")
	exec(t, conn, "CREATE INDEX ON coded (calls(n))")
	distribute(t, conn, "coded", "id")
	for _, route := range []loader.Route{loader.RouteCoordinator, loader.RouteNode, loader.RouteShard} {
		if err := loader.Truncate(t.Context(), parse(t, dsn), "coded"); err != nil {
			t.Fatal(err)
		}
		l := open(t, loader.Config{Conn: parse(t, dsn), Table: "coded", Route: route})
		if _, err := l.Load(t.Context(), loader.Reader("in", strings.NewReader("1,1\n2,2\n3,3\n"))); err != nil {
			t.Errorf("%s: %v", route, err)
		}
		// From PostgreSQL 17 on ANALYZE has a search path without schemas of users, whoever runs it.
		_, refused := conn.Exec(t.Context(), "ANALYZE coded")
		if refused != nil && query(t, conn, "SELECT current_setting('server_version_num')::int >= 170000")[0] != "t" {
			t.Fatal(refused)
		}
		if err := l.Analyze(t.Context()); (err != nil) != (refused != nil) {
			t.Errorf("%s: %v; for psql: %v", route, err, refused)
		}
	}
}
