package loader_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestDeferIndexesOfRun holds that a process which waits until somebody has built the indexes takes
// no run of a set over before: it would have that run without a fence, and lose it to the next one.
func TestDeferIndexesOfRun(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, indexes := indexed(t, dsn)
		paths, rows := flowFiles(t, 6, 3_000)
		cfg := pieces(t, dsn)
		cfg.DeferIndexes = true
		if _, err := run(t, cfg, files(t, paths), 3); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		const epochs = "SELECT sum(epoch) FROM shardload_runs WHERE closed IS NULL"
		before := query(t, conn, epochs)[0]
		oid, err := strconv.ParseUint(query(t, conn, "SELECT 'flowing'::regclass::oid")[0], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		builder := pgtest.Connect(t, dsn)
		exec(t, builder, "BEGIN")
		exec(t, builder, "SELECT pg_advisory_xact_lock("+strconv.FormatInt(ledger.IndexesLock(uint32(oid)), 10)+")")
		done := make(chan error, 1)
		go func() {
			_, err := loadSet(t.Context(), t, cfg, files(t, paths), loader.SetOptions{NoAnalyze: true})
			done <- err
		}()
		awaitRow(t, conn, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%try_advisory_xact_lock_shared%' AND pid <> pg_backend_pid()")
		if after := query(t, conn, epochs)[0]; after != before {
			t.Errorf("the run was taken over before its rows could be stored: epoch %s, want %s", after, before)
		}
		exec(t, builder, "ROLLBACK")
		if err := receiveIn(t, "the end of the load", done); err != nil {
			t.Fatal(err)
		}
		indexedAgain(t, conn, indexes, rows)
	})
}
