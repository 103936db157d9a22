package indexes_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/indexes"
	"shardload/internal/pgtest"
)

// TestTenantSchema holds that indexes wait in a schema that Citus distributes as a whole, where it
// makes each table one of its own.
func TestTenantSchema(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "SELECT citus_schema_distribute(current_schema()::regnamespace)")
	exec(t, conn, "CREATE TABLE tenant (id int PRIMARY KEY, a int, b text)", "CREATE INDEX tenant_a ON tenant (a)", "CREATE INDEX tenant_b ON tenant (lower(b)) WHERE a > 1")
	before := describe(t, conn, true)
	of := target(t, conn, "tenant")
	if s, err := indexes.Drop(t.Context(), conn, of); err != nil || len(s.May) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if n, err := builder(t, dsn, of).Build(t.Context()); err != nil || n != 2 {
		t.Fatalf("%d built, %v", n, err)
	}
	if diff := cmp.Diff(before, describe(t, conn, true)); diff != "" {
		t.Errorf("indexes (-before +after):\n%s", diff)
	}
}
