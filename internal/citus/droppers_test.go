package citus_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"shardload/internal/citus"
	"shardload/internal/pgtest"
)

// TestDroppers holds that only a table's own triggers count, and not those that Citus has on each
// node, nor those of other tables: to ask all nodes anew for every batch takes longer than the batch.
func TestDroppers(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.Exec(t, conn, "CREATE TABLE loaded (k int, v int); SELECT create_distributed_table('loaded', 'k', shard_count => 4)",
		"CREATE FUNCTION drop_some() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "INSERT INTO loaded SELECT i, i FROM generate_series(1, 100) i")
	var oid uint32
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT c.oid, format('%I.%I', relnamespace::regnamespace, relname) FROM pg_class c WHERE c.oid = 'loaded'::regclass").Scan(&oid, &name); err != nil {
		t.Fatal(err)
	}
	none := func(of *citus.Shard) bool {
		t.Helper()
		results, err := conn.PgConn().Exec(t.Context(), "BEGIN; SET LOCAL search_path = pg_catalog; "+citus.PlacesSQL(oid, of)+"; "+citus.DroppersBesideSQL(name, "")+"; ROLLBACK").ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		d := citus.Droppers{}
		for _, row := range results[3].Rows {
			d.Add(row[0])
		}
		return d.None(results[2].Rows)
	}
	if !none(nil) {
		t.Error("triggers of other tables count, such as Citus has on each node")
	}
	list, err := citus.Placements(t.Context(), conn, oid)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d placements, error %v", len(list), err)
	}
	slices.SortFunc(list, func(a, b citus.Placement) int { return int(a.ID - b.ID) })
	one, other := list[1].Shard, list[2].Shard
	schema, _, _ := strings.Cut(name, ".")
	make := fmt.Sprintf(`DO $_$ BEGIN IF '%%1$s' ~ '_%d$' THEN EXECUTE 'CREATE TRIGGER drop_some BEFORE INSERT ON %%1$s FOR EACH ROW EXECUTE FUNCTION %s.drop_some()'; END IF; END $_$`, one.ID, schema)
	if failed := pgtest.Query(t, conn, "SELECT result FROM run_command_on_placements('loaded', $make$"+make+"$make$) WHERE NOT success"); len(failed) > 0 {
		t.Fatal(failed)
	}
	if none(nil) || none(&one) {
		t.Error("a trigger of a shard does not count")
	}
	if !none(&other) {
		t.Error("a trigger of another shard counts")
	}
}
