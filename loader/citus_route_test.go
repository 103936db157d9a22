package loader_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/localpg"
	"shardload/internal/pgtest"
	"shardload/loader"
)

const small = "k,v\n1,a\n2,b\n3,c\n4,d\n5,e\n6,f\n7,g\n8,h\n9,i\n10,j\n"

var smallRows = []string{"1|a", "2|b", "3|c", "4|d", "5|e", "6|f", "7|g", "8|h", "9|i", "10|j"}

// holdsSmall loads small into a table with columns k and v, and holds that its
// rows are there and where Citus looks for them, and which route they took.
func holdsSmall(t *testing.T, conn *pgx.Conn, cfg loader.Config, route loader.Route, why string) {
	t.Helper()
	l := open(t, cfg)
	if p := l.Plan(); p.Route != route || !strings.Contains(p.Why, why) {
		t.Errorf("route %s: %s\nwant %s: %s", p.Route, p.Why, route, why)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	res, err := l.Load(ctx, loader.Reader("small", strings.NewReader(small)))
	if err != nil || res.Rows != 10 {
		t.Fatalf("%d rows, %v", res.Rows, err)
	}
	if diff := cmp.Diff(smallRows, query(t, conn, "SELECT k, v FROM "+cfg.Table+" ORDER BY k::int")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for i, row := range smallRows {
		k, _, _ := strings.Cut(row, "|")
		if got := query(t, conn, fmt.Sprintf("SELECT k, v FROM %s WHERE k = '%d'", cfg.Table, i+1)); len(got) != 1 {
			t.Errorf("key %s is found %d times", k, len(got))
		}
	}
}

// TestTables holds that tables of all kinds and names are loaded, and how.
func TestTables(t *testing.T) {
	t.Parallel()
	const public = "citus_route_test_in_public"
	long := strings.Repeat("long", 15)
	for _, tt := range []struct {
		name, table, sql string
		route            loader.Route
		why              string
	}{
		{"hash", "h", "CREATE TABLE h (k int, v text); SELECT create_distributed_table('h', 'k', colocate_with => 'none')", loader.RouteShard, "8 shards"},
		{"text key", "h", "CREATE TABLE h (k text, v text); SELECT create_distributed_table('h', 'k', colocate_with => 'none')", loader.RouteShard, ""},
		{"key that only the server can hash", "h", "CREATE TABLE h (k numeric, v text); SELECT create_distributed_table('h', 'k', colocate_with => 'none')", loader.RouteShard, ""},
		{"columnar", "h", "CREATE EXTENSION IF NOT EXISTS citus_columnar; CREATE TABLE h (k int, v text) USING columnar; SELECT create_distributed_table('h', 'k', colocate_with => 'none')", loader.RouteShard, ""},
		{
			"foreign key", "h", "CREATE TABLE r (v text PRIMARY KEY); SELECT create_reference_table('r'); INSERT INTO r SELECT chr(96 + i) FROM generate_series(1, 10) AS i; CREATE TABLE h (k int, v text REFERENCES r); SELECT create_distributed_table('h', 'k', colocate_with => 'none')",
			loader.RouteShard, "",
		},
		{"reference", "r", "CREATE TABLE r (k int, v text); SELECT create_reference_table('r')", loader.RouteCoordinator, "reference table"},
		{"managed", "m", "CREATE TABLE m (k int, v text); SELECT citus_add_local_table_to_metadata('m')", loader.RouteCoordinator, ""},
		{"local", "m", "CREATE TABLE m (k int, v text)", loader.RouteCoordinator, "not distributed"},
		{
			"replicated", "h", "SET citus.shard_replication_factor = 2; CREATE TABLE h (k int, v text); SELECT create_distributed_table('h', 'k', colocate_with => 'none'); RESET citus.shard_replication_factor",
			loader.RouteCoordinator, "replicated",
		},
		{"single shard", "s", "CREATE TABLE s (k int, v text); SELECT create_distributed_table('s', NULL, colocate_with => 'none')", loader.RouteShard, "a single shard"},
		{"quotes", `"A ""b"".c"`, `CREATE TABLE "A ""b"".c" (k int, v text); SELECT create_distributed_table('"A ""b"".c"', 'k', colocate_with => 'none')`, loader.RouteShard, ""},
		{"long name", long, "CREATE TABLE " + long + " (k int, v text); SELECT create_distributed_table('" + long + "', 'k', colocate_with => 'none')", loader.RouteShard, ""},
		{
			"partitioned", "p", "CREATE TABLE p (k int, v text) PARTITION BY LIST (v); CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('a', 'b', 'c'); CREATE TABLE p2 PARTITION OF p DEFAULT; SELECT create_distributed_table('p', 'k', colocate_with => 'none')",
			loader.RouteShard, "",
		},
		{"public", "public." + public, "DROP TABLE IF EXISTS public." + public + "; CREATE TABLE public." + public + " (k int, v text); SELECT create_distributed_table('public." + public + "', 'k', colocate_with => 'none')", loader.RouteShard, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dsn := pgtest.Citus(t)
			conn := pgtest.Connect(t, dsn)
			if tt.name == "single shard" {
				pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
			}
			for sql := range strings.SplitSeq(tt.sql, "; ") {
				exec(t, conn, sql)
			}
			t.Cleanup(func() { exec(t, pgtestConn(t, dsn), "DROP TABLE IF EXISTS public."+public) })
			holdsSmall(t, conn, loader.Config{Conn: parse(t, dsn), Table: tt.table}, tt.route, tt.why)
			if tt.route == loader.RouteShard {
				exec(t, conn, "TRUNCATE "+tt.table)
				holdsSmall(t, conn, loader.Config{Conn: parse(t, dsn), Table: tt.table, Route: loader.RouteNode}, loader.RouteNode, "")
				return
			}
			_, err := loader.Open(context.Background(), loader.Config{Conn: parse(t, dsn), Table: tt.table, Route: loader.RouteShard})
			if _, ok := errors.AsType[*loader.PreflightError](err); !ok {
				t.Errorf("route shard: error %v", err)
			}
		})
	}
}

// pgtestConn is pgtest.Connect for a cleanup, which runs when the test's context
// has ended.
func pgtestConn(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// smallTable makes the table h, distributed.
func smallTable(t *testing.T) (dsn string, conn *pgx.Conn) {
	t.Helper()
	dsn = pgtest.Citus(t)
	conn = pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE h (k int, v text); SELECT create_distributed_table('h', 'k', colocate_with => 'none')")
	return dsn, conn
}

// fallsBack holds that the table h is loaded through the coordinator for that
// reason, and that the route shard is refused for it.
func fallsBack(t *testing.T, conn *pgx.Conn, cfg loader.Config, why string) {
	t.Helper()
	cfg.Table = "h"
	holdsSmall(t, conn, cfg, loader.RouteCoordinator, why)
	cfg.Route = loader.RouteShard
	l, err := loader.Open(context.Background(), cfg)
	if err == nil {
		l.Close()
	}
	if _, ok := errors.AsType[*loader.PreflightError](err); !ok || !strings.Contains(err.Error(), why) {
		t.Errorf("route shard: error %v, want %s", err, why)
	}
}

func TestNodeIsUnreachable(t *testing.T) {
	t.Parallel()
	dsn, conn := smallTable(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	ws := workers(t, conn)
	first, second := ws[0].name+":"+ws[0].port, ws[1].name+":"+ws[1].port
	for _, tt := range []struct {
		name    string
		nodeMap map[string]string
		why     string
	}{
		{"closed", map[string]string{first: closed.Addr().String()}, "node " + first + " cannot be used from here"},
		{"silent", map[string]string{second: silent.Addr().String()}, "node " + second + " cannot be used from here"},
		{"swapped", map[string]string{first: second, second: first}, "another server answers there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exec(t, conn, "TRUNCATE h")
			cfg := loader.Config{Conn: parse(t, dsn), Table: "h", NodeMap: tt.nodeMap}
			if tt.name == "silent" { // which takes its time
				holdsSmall(t, conn, cfg, loader.RouteCoordinator, tt.why)
				return
			}
			fallsBack(t, conn, cfg, tt.why)
		})
	}
	for name, wrong := range map[string]string{"nosuch:5432": "no node", first: "port"} {
		cfg := loader.Config{Conn: parse(t, dsn), Table: "h", NodeMap: map[string]string{name: "127.0.0.1:x", second: second}}
		l, err := loader.Open(t.Context(), cfg)
		if refused, ok := errors.AsType[*loader.PreflightError](err); !ok || !strings.Contains(refused.Error(), wrong) {
			t.Errorf("a node map of %s: %v", name, err)
		}
		if name == "nosuch:5432" && !strings.Contains(fmt.Sprint(err), first) {
			t.Errorf("it does not say which nodes there are: %v", err)
		}
		if l != nil {
			t.Error("it was opened", l.Close())
		}
	}
}

func TestNodeLacksMetadata(t *testing.T) {
	dsn, conn := smallTable(t)
	w := workers(t, conn)[0]
	t.Cleanup(func() {
		exec(t, pgtestConn(t, dsn), fmt.Sprintf("SELECT start_metadata_sync_to_node('%s', %s)", w.name, w.port))
	})
	exec(t, conn, fmt.Sprintf("SELECT stop_metadata_sync_to_node('%s', %s, false)", w.name, w.port))
	fallsBack(t, conn, loader.Config{Conn: parse(t, dsn)}, "does not have the cluster's metadata")
}

// TestNodeLosesMetadata holds that a load does not report success over rows that
// it stored on a node which was no longer told of moves.
func TestNodeLosesMetadata(t *testing.T) {
	dsn, conn := flowTable(t)
	r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: loader.RouteShard}, newFlow(0))
	w := workers(t, conn)[0]
	t.Cleanup(func() {
		exec(t, pgtestConn(t, dsn), fmt.Sprintf("SELECT start_metadata_sync_to_node('%s', %s)", w.name, w.port))
	})
	exec(t, conn, fmt.Sprintf("SELECT stop_metadata_sync_to_node('%s', %s, false)", w.name, w.port))
	if _, err := r.finish(); !changed(err) {
		t.Errorf("error %v", err)
	}
}

// TestSequence holds that a column which only the coordinator can fill is filled.
func TestSequence(t *testing.T) {
	t.Parallel()
	for _, column := range []string{"s bigserial", "s bigint GENERATED BY DEFAULT AS IDENTITY", "s bigint GENERATED ALWAYS AS IDENTITY"} {
		t.Run(column, func(t *testing.T) {
			dsn := pgtest.Citus(t)
			conn := pgtest.Connect(t, dsn)
			exec(t, conn, "CREATE TABLE h (k int, v text, "+column+"); SELECT create_distributed_table('h', 'k', colocate_with => 'none')")
			if _, err := load(t, dsn, "h", small); err != nil {
				t.Fatal(err)
			}
			if got := query(t, conn, "SELECT count(*), count(DISTINCT s), min(s) FROM h")[0]; got != "10|10|1" {
				t.Errorf("rows, different values, lowest: %s", got)
			}
			for _, route := range direct {
				_, err := load(t, dsn, "h", small, func(c *loader.Config) { c.Route = route })
				if _, ok := errors.AsType[*loader.PreflightError](err); !ok {
					t.Errorf("route %s: error %v", route, err)
				}
			}
		})
	}
}

// TestSchemaBasedSharding loads a table of a schema that is itself a tenant.
func TestSchemaBasedSharding(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
	schema := query(t, conn, "SELECT current_schema()")[0] + "x"
	t.Cleanup(func() { exec(t, pgtestConn(t, dsn), "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
	exec(t, conn, "SET citus.enable_schema_based_sharding = on")
	exec(t, conn, "CREATE SCHEMA "+schema)
	exec(t, conn, "CREATE TABLE "+schema+".h (k int, v text)")
	holdsSmall(t, conn, loader.Config{Conn: parse(t, dsn), Table: schema + ".h"}, loader.RouteShard, "a single shard")
}

// TestCoordinatorHoldsShards loads a table of which some shards are on the
// coordinator, as all are on a cluster of one node.
func TestCoordinatorHoldsShards(t *testing.T) {
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	set := "SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', %t) FROM pg_dist_node WHERE groupid = 0"
	t.Cleanup(func() {
		c := pgtestConn(t, dsn)
		exec(t, c, "DROP TABLE IF EXISTS flowing")
		exec(t, c, fmt.Sprintf(set, false))
	})
	exec(t, conn, fmt.Sprintf(set, true))
	exec(t, conn, flowing)
	distribute(t, conn, "flowing", "tenant")
	local := query(t, conn, "SELECT shardid FROM citus_shards WHERE table_name = 'flowing'::regclass AND nodeport = inet_server_port() ORDER BY 1")
	if len(local) == 0 {
		t.Fatal("no shard is on the coordinator")
	}
	for _, route := range direct {
		exec(t, conn, "TRUNCATE flowing")
		r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route}, newFlow(0))
		if route == loader.RouteShard {
			move(t, conn, dsn, local[0], "block_writes")
			within(t, dsn, "ALTER TABLE flowing ADD COLUMN extra int", 2*time.Minute)
		}
		if _, err := r.finish(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, conn, "flowing", r.flow.rows)
	}
}

// TestOneNode loads into a cluster that has no workers.
func TestOneNode(t *testing.T) {
	t.Parallel()
	if !localpg.HasCitus() {
		t.Skip("the Citus extension is not installed")
	}
	cluster, err := localpg.Start(t.Context(), localpg.Config{Settings: map[string]string{"shared_preload_libraries": "citus", "fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn := pgtest.Connect(t, cluster.DSN())
	exec(t, conn, "CREATE EXTENSION citus")
	exec(t, conn, flowing)
	distribute(t, conn, "flowing", "tenant")
	for _, route := range []loader.Route{loader.RouteAuto, loader.RouteNode, loader.RouteCoordinator} {
		exec(t, conn, "TRUNCATE flowing")
		path, rows := flowFile(t, 2000)
		l := open(t, loader.Config{Conn: parse(t, cluster.DSN()), Table: "flowing", Route: route, Batch: 8 << 10})
		if want := map[bool]loader.Route{true: loader.RouteShard, false: route}[route == loader.RouteAuto]; l.Plan().Route != want {
			t.Errorf("route %s, want %s: %s", l.Plan().Route, want, l.Plan().Why)
		}
		if _, err := l.Load(t.Context(), loader.File(path)); err != nil {
			t.Fatal(err)
		}
		sameRows(t, conn, "flowing", rows)
	}
}
