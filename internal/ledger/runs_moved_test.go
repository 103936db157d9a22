package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// A set moves after its table with what is known of its parts, as soon as no run is open; and goes with an
// emptied one.
func TestSetIsMoved(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	pgtest.Exec(t, conn, "CREATE SCHEMA old", "CREATE SCHEMA new", "CREATE TABLE old.target (k int)")
	before := targetOf(t, conn, "old.target")
	set, seen := enterSet(t, conn, before, "the set", someParts(3)...)
	r, j := openRun(t, conn, before, set, 1)
	claim(t, conn, before, r, seen, ledger.Limit{Parts: 2})
	pgtest.Exec(t, conn, "ALTER TABLE old.target SET SCHEMA new")
	after := targetOf(t, conn, "new.target")
	follow := func() error {
		_, elsewhere, err := ledger.FindAlike(ctx, conn, after, []string{"the set"}, ledger.Fingerprint{})
		if err != nil {
			t.Fatal(err)
		}
		list, err := elsewhere.Jobs(ctx, conn, after)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(e *ledger.Entry) bool { return e.ID == set.ID })
		return ledger.Follow(ctx, conn, after, list[i], nil)
	}
	if err := follow(); err == nil || !strings.Contains(err.Error(), "1 of its runs are open") {
		t.Errorf("error %v", err)
	}
	if err := closeRun(t, conn, before, r, j, 1); err != nil {
		t.Fatal(err)
	}
	if err := follow(); err != nil {
		t.Fatal(err)
	}
	if seen := addParts(t, conn, after, set, someParts(4)...); seen.PartCounts != (ledger.PartCounts{Loaded: 2, Waiting: 1, New: 1}) {
		t.Errorf("%+v", seen.PartCounts)
	}
	if left := pgtest.Query(t, conn, "SELECT of FROM old.shardload_parts UNION ALL SELECT id FROM old.shardload_runs UNION ALL SELECT id FROM old.shardload_jobs"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	openRun(t, conn, after, set, 2)
	pgtest.Exec(t, conn, "ALTER TABLE new.target SET SCHEMA old")
	if err := ledger.ForgetElsewhere(ctx, conn, targetOf(t, conn, "old.target")); err != nil {
		t.Fatal(err)
	}
	if left := pgtest.Query(t, conn, "SELECT of FROM new.shardload_parts UNION ALL SELECT id FROM new.shardload_runs UNION ALL SELECT id FROM new.shardload_jobs"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
