package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// workWithSet does what processes do with a set, from its beginning to its end.
func workWithSet(t *testing.T, conn *pgx.Conn, target ledger.Target) {
	t.Helper()
	ctx := t.Context()
	set, seen := enterSet(t, conn, target, "the set", someParts(4)...)
	old, j := openRun(t, conn, target, set, 1)
	if got := claim(t, conn, target, old, seen, ledger.Limit{Parts: 3}); !slices.Equal(got, []string{"0:0", "1:1", "2:2"}) {
		t.Errorf("claimed %q", got)
	}
	if _, err := ledger.Beat(ctx, conn, target, old, ledger.Totals{}); err != nil {
		t.Fatal(err)
	}
	seenRun, err := ledger.ReadRun(ctx, conn, target, old.ID)
	if err != nil {
		t.Fatal(err)
	}
	now, _, err := ledger.TakeOver(ctx, conn, target, seenRun, j, ledger.Owner{PID: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Release(ctx, conn, target, now, j, 2); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Fail(ctx, conn, target, now, j, 1, "so"); err != nil {
		t.Fatal(err)
	}
	if err := ledger.RetryFailed(ctx, conn, target, set.ID); err != nil {
		t.Fatal(err)
	}
	seen.Rewind()
	if got := claim(t, conn, target, now, seen, ledger.Limit{}); !slices.Equal(got, []string{"3:1", "4:2", "5:3"}) {
		t.Errorf("claimed %q", got)
	}
	changed := someParts(4)
	changed[0].Tag = "other"
	if seen := addParts(t, conn, target, set, changed...); len(seen.Changed) != 1 {
		t.Errorf("%+v", seen)
	}
	if err := ledger.Retag(ctx, conn, target, set.ID, changed[:1]); err != nil {
		t.Fatal(err)
	}
	rejectOne(t, conn, target, j)
	if err := closeRun(t, conn, target, now, j, 5); err != nil {
		t.Fatal(err)
	}
	takeOne(t, conn, target, set.ID, now.ID)
	if ended, err := ledger.EndSet(ctx, conn, target, set.ID); !ended || err != nil {
		t.Fatalf("ended %t, %v", ended, err)
	}
	if stand, err := ledger.Stand(ctx, conn, target, set.ID); err != nil || !stand.Ended || stand.Loaded != 4 {
		t.Errorf("%+v, %v", stand, err)
	}
}

// A role that owns the table needs no more than CREATE in its schema.
func TestSetOfOrdinaryRole(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		super := pgtest.Connect(t, dsn)
		role := makeRole(t, super, "owner")
		pgtest.Exec(t, super, "GRANT ALL ON SCHEMA "+pgtest.Query(t, super, "SELECT current_schema")[0]+" TO "+role)
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		cfg.User, cfg.Password = role, "x"
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		pgtest.Exec(t, conn, "CREATE TABLE target (k int, v text)")
		distribute(t, conn, "target")
		workWithSet(t, conn, targetOf(t, conn, "target"))
	})
}

// In a schema that Citus distributes as a whole the tables of sets are Citus's, too.
func TestSetInTenantSchema(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
	schema := "tenant_" + strings.ToLower(ledger.NewID())
	pgtest.Exec(t, conn, "SET citus.enable_schema_based_sharding = on", "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".target (k int)")
	t.Cleanup(func() { pgtest.Exec(t, conn, "DROP SCHEMA "+schema+" CASCADE") })
	workWithSet(t, conn, targetOf(t, conn, schema+".target"))
}
