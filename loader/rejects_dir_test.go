package loader_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestRejectsDir holds that a load which cannot keep its rejected records says so at
// once, and that the next one goes on with them in another directory, which it makes.
func TestRejectsDir(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, tested)
	in, bad, good := strewn(20_000, 40)
	path := writeInput(t, in)
	first, other := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "new", "other")
	cfg := pieces(t, dsn)
	cfg.Table, cfg.MaxErrors, cfg.RejectsDir = "tested", loader.ErrorLimit{Percent: 20}, first
	cfg.RetryFor = time.Minute
	began := time.Now()
	cfg.Streams = 1
	res, err := run(t, cfg, loader.File(path), 40)
	if err == nil || res.Rejected == 0 || !strings.HasPrefix(res.Rejects, first) {
		t.Fatalf("%+v, error %v", res, err)
	}
	file := writeInput(t, nil)
	cfg.RejectsDir = file
	res, err = open(t, cfg).Load(context.Background(), loader.File(path))
	if err == nil || !strings.Contains(err.Error(), "Config.RejectsDir names another directory") || time.Since(began) > cfg.RetryFor {
		t.Errorf("into a file: %+v, error %v", res, err)
	}
	cfg.RejectsDir = other
	res, err = open(t, cfg).Load(context.Background(), loader.File(path))
	if err != nil {
		t.Fatal(err)
	}
	checkRejects(t, res.Rejects, bad, in)
	if len(goodKeys(t, conn)) != len(good) || filepath.Dir(res.Rejects) != other {
		t.Errorf("%+v, want %d rows, and the rejected records in %s", res, len(good), other)
	}
	if left, _ := filepath.Glob(filepath.Join(first, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if noted := query(t, conn, "SELECT rejects FROM shardload_jobs"); noted[0] != res.Rejects {
		t.Errorf("noted %v, want %s", noted, res.Rejects)
	}
}
