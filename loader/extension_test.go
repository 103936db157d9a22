package loader_test

import (
	"fmt"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestExtensionTypes holds that a table is loaded in pieces, by each route, whose distribution
// column has a type of an extension, wherever that is: its operators are not on our own
// search path. An ordinary role owns the table.
func TestExtensionTypes(t *testing.T) {
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	makeRole(t, dsn, conn, "extended")
	schema := query(t, conn, "SELECT current_schema()")[0]
	exec(t, conn, "GRANT ALL ON SCHEMA "+schema+" TO extended")
	cfg := loader.Config{Conn: parse(t, dsn), Batch: 2 << 10, Memory: 8 << 20, MaxRecord: 1 << 20}
	cfg.Conn.User, cfg.Conn.Password = "extended", "extended"
	for i, kind := range []struct{ extension, schema, typ, value string }{
		{"hstore", "public", "public.hstore", `"""k"" => ""%d"""`},
		{"hstore", "kept", "kept.hstore", `"""k"" => ""%d"""`},
		{"hstore", "public", "of_hstore", `"""k"" => ""%d"""`},
	} {
		exec(t, conn, "DROP EXTENSION IF EXISTS "+kind.extension+" CASCADE; CREATE SCHEMA IF NOT EXISTS "+kind.schema)
		exec(t, conn, "CREATE EXTENSION "+kind.extension+" SCHEMA "+kind.schema)
		exec(t, conn, "GRANT USAGE ON SCHEMA "+kind.schema+" TO PUBLIC")
		if kind.typ == "of_hstore" {
			exec(t, conn, "CREATE DOMAIN of_hstore AS public.hstore")
		}
		for _, path := range []string{schema + ", public", schema}[min(i, 1):] {
			cfg.Conn.RuntimeParams["search_path"] = path
			delete(cfg.Conn.RuntimeParams, "options")
			for _, route := range []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
				cfg.Table, cfg.Route = fmt.Sprintf("ext_%d_%s_%d", i, route, len(path)), route
				exec(t, conn, fmt.Sprintf("CREATE TABLE %s (k %s, n int)", cfg.Table, kind.typ))
				distribute(t, conn, cfg.Table, "k")
				exec(t, conn, "ALTER TABLE "+cfg.Table+" OWNER TO extended")
				var in strings.Builder
				in.WriteString("k,n\n")
				for n := range 600 {
					fmt.Fprintf(&in, kind.value+",%d\n", n, n)
				}
				name := fmt.Sprintf("%s in %s, path %s, route %s", kind.typ, kind.schema, path, route)
				res, err := run(t, cfg, loader.Reader("in.csv", strings.NewReader(in.String())), 0)
				if err != nil || res.Rows != 600 || res.Batches < 2 {
					t.Errorf("%s: %d rows in %d batches, error %v", name, res.Rows, res.Batches, err)
				}
				if got := query(t, conn, "SELECT count(*), sum(n) FROM "+cfg.Table); got[0] != "600|179700" {
					t.Errorf("%s: the table has %v", name, got)
				}
				exec(t, conn, "DROP TABLE "+cfg.Table)
			}
		}
	}
	exec(t, conn, "DROP EXTENSION IF EXISTS hstore CASCADE; DROP SCHEMA kept CASCADE")
}
