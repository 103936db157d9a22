package loader_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/loader"
)

// TestRejectsOfLateCommit holds that the rejected records of a batch are kept once,
// and not dropped, when its COMMIT takes effect after the next run has begun.
func TestRejectsOfLateCommit(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		if route == loader.RouteNode && !long() {
			return // it commits as the route shard does
		}
		exec(t, conn, "DROP TABLE IF EXISTS tested; "+tested)
		distribute(t, conn, "tested", "tenant")
		if route == loader.RouteCoordinator {
			t.Run("whole", func(t *testing.T) { commitLate(t, dsn, conn, route, 1000) })
		}
		t.Run("pieces", func(t *testing.T) { commitLate(t, dsn, conn, route, 20_000) })
	})
}

// commitLate stops a load of so many records at a COMMIT that the server gets later,
// and loads them once more.
func commitLate(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route, records int) {
	in, bad, good := strewn(records, 100)
	exec(t, conn, "TRUNCATE tested")
	path := writeInput(t, in)
	cfg := pieces(t, dsn)
	cfg.Table, cfg.Job, cfg.Route, cfg.Streams = "tested", t.Name(), route, 1
	cfg.MaxErrors, cfg.RejectsDir = loader.ErrorLimit{Percent: 20}, t.TempDir()

	ctx, cancel := context.WithCancel(context.Background())
	late := &faultyNet{holds: 1200 * time.Millisecond, held: cancel}
	stopped := cfg
	stopped.Conn = parse(t, dsn)
	stopped.Conn.DialFunc = late.dial
	stopped.Observe = func(loader.StoredBatch) { late.broken.Store(true) }
	late.broken.Store(records == 1000) // there is but one
	res, err := open(t, stopped).Load(ctx, loader.File(path))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v, error %v: want it to be stopped at a COMMIT", res, err)
	}

	res, err = open(t, cfg).Load(context.Background(), loader.File(path))
	if done, ok := errors.AsType[*loader.CompleteError](err); ok && records == 1000 {
		res.Rejects, err = done.Rejects, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	checkRejects(t, res.Rejects, bad, in)
	if diff := gocmp.Diff(good, goodKeys(t, conn)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if files, _ := filepath.Glob(filepath.Join(cfg.RejectsDir, "*")); len(files) != 2 {
		t.Errorf("files %v, want one of each kind", files)
	}
}
