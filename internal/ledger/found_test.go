package ledger

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
)

// TestDroppedMeanwhile holds that tables of ours are found also while one of them is being
// dropped. The server then says neither yes nor no to what the role may do with it. A
// transaction that has its snapshot from before shows that state for as long as one likes.
func TestDroppedMeanwhile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn, other := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
	for _, schema := range []string{"kept", "gone"} {
		pgtest.Exec(t, conn, "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+"."+jobsTable+" (k int)")
	}
	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM pg_class"); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, other, "DROP SCHEMA gone CASCADE")
	all, err := readTables(t.Context(), conn, "true")
	if err != nil {
		t.Fatal(err)
	}
	for _, schema := range []string{"kept", "gone"} {
		i := slices.IndexFunc(all.jobs, func(f *found) bool { return f.schema == schema })
		if i < 0 || !all.jobs[i].readable {
			t.Errorf("%s: not found as one that may be read", schema)
		}
	}
}
