package loader_test

import (
	"errors"
	"slices"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// To empty a table is not to empty those that inherit from it. Partitions are its
// own, and a distributed table is emptied in all shards.
func TestTruncateSparesChildren(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		run := func(sql string) {
			t.Helper()
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		rows := func(table string) (n int) {
			t.Helper()
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		run("CREATE TABLE parent (id int PRIMARY KEY)")
		run("CREATE TABLE child () INHERITS (parent)")
		run("CREATE TABLE parted (id int) PARTITION BY RANGE (id)")
		run("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100)")
		run("CREATE TABLE plain (id int PRIMARY KEY)")
		var citus bool
		if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus')").Scan(&citus); err != nil {
			t.Fatal(err)
		}
		if citus {
			run("SELECT create_distributed_table('plain', 'id', colocate_with => 'none')")
			run("SELECT create_distributed_table('parted', 'id', colocate_with => 'none')")
		}
		for _, table := range []string{"parent", "child", "parted", "plain"} {
			run("INSERT INTO " + table + " SELECT generate_series(1, 10)")
		}
		cfg := parse(t, dsn)
		err := loader.Truncate(t.Context(), cfg, "plain", "parent")
		inherited, ok := errors.AsType[*loader.InheritedError](err)
		if !ok || len(inherited.Children) != 1 || rows("parent") != 20 || rows("child") != 10 || rows("plain") != 10 {
			t.Errorf("%v; %d and %d rows", err, rows("parent"), rows("plain"))
		}
		if err := loader.Truncate(t.Context(), cfg, "plain", "parted", "child"); err != nil {
			t.Fatal(err)
		}
		if got := []int{rows("plain"), rows("parted"), rows("child")}; !slices.Equal(got, []int{0, 0, 0}) {
			t.Errorf("%v rows are left", got)
		}
	})
}
