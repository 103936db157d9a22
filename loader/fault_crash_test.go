package loader_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// crash makes the server crash: all its connections end, what it had in memory is
// lost, and it starts again by itself.
func crash(t *testing.T, dsn string) {
	t.Helper()
	if err := tryWithin(t, dsn, "COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'", time.Minute); err == nil {
		t.Error("the server did not crash")
	}
}

// TestServersCrash holds that a load goes on by itself when a server crashes under
// it, and stores every row once. The servers of the tests acknowledge a COMMIT before it is
// on disk, so that a crash makes them forget some.
func TestServersCrash(t *testing.T) { // alone: all tests share the servers
	eachFlow(t, func(t *testing.T, dsn string, cfg loader.Config) {
		conn := pgtest.Connect(t, dsn)
		servers := map[string]string{"coordinator": dsn}
		if strings.Contains(t.Name(), "/citus/") {
			servers["worker"] = workers(t, conn)[0].at(t, dsn)
		}
		for name, server := range servers {
			t.Run(name, func(t *testing.T) { loadOverCrash(t, dsn, cfg, server) })
		}
	})
}

func loadOverCrash(t *testing.T, dsn string, cfg loader.Config, server string) {
	if err := loader.Truncate(context.Background(), parse(t, dsn), "flowing"); err != nil {
		t.Fatal(err)
	}
	checkpoint(t, dsn)
	path, rows := flowFile(t, 5000)
	var said strings.Builder
	var once sync.Once
	cfg.RetryFor = time.Minute
	cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
	stored := 0
	var mu sync.Mutex
	cfg.Observe = func(loader.StoredBatch) {
		mu.Lock()
		defer mu.Unlock()
		if stored++; stored > 30 {
			once.Do(func() { crash(t, server) })
		}
	}
	l := open(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if _, err := l.Load(ctx, loader.File(path)); err != nil {
		t.Fatalf("%v; the load said:\n%s", err, said.String())
	}
	sameRows(t, pgtest.Connect(t, dsn), "flowing", rows)
}

// checkpoint makes durable on all servers what is there so far.
func checkpoint(t *testing.T, dsn string) {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CHECKPOINT")
	if strings.Contains(t.Name(), "/citus/") {
		onWorkers(t, conn, "CHECKPOINT")
	}
}

// TestUnloggedAfterCrash holds that a crash, which empties unlogged tables, does not
// leave marks of rows that are gone.
func TestUnloggedAfterCrash(t *testing.T) { // alone: all tests share the servers
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, strings.Replace(flowing, "CREATE TABLE", "CREATE UNLOGGED TABLE", 1))
		distribute(t, conn, "flowing", "tenant")
		path, rows := flowFile(t, 3000)
		cfg := pieces(t, dsn)
		if _, err := run(t, cfg, loader.File(path), 10); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		checkpoint(t, dsn)
		crashed := dsn
		if strings.HasSuffix(t.Name(), "/citus") {
			crashed = workers(t, conn)[0].at(t, dsn)
		}
		crashAndRecover(t, crashed)
		conn = pgtest.Connect(t, dsn)
		_, err := run(t, cfg, loader.File(path), 0)
		if _, refused := errors.AsType[*loader.JobError](err); refused && strings.Contains(err.Error(), emptied) {
			if err := loader.Truncate(context.Background(), parse(t, dsn), "flowing"); err != nil {
				t.Fatal(err)
			}
			_, err = run(t, cfg, loader.File(path), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, conn, "flowing", rows)
	})
}

// TestUnloggedCrash holds that a load during which a crash empties an unlogged table begins
// anew by itself where nothing is left, and else says that the table is to be emptied.
func TestUnloggedCrash(t *testing.T) { // alone: all tests share the servers
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, strings.Replace(flowing, "CREATE TABLE", "CREATE UNLOGGED TABLE", 1))
		distribute(t, conn, "flowing", "tenant")
		path, rows := flowFile(t, 3000)
		cfg := pieces(t, dsn)
		crashed, cluster := dsn, strings.HasSuffix(t.Name(), "/citus")
		if cluster {
			crashed = workers(t, conn)[0].at(t, dsn)
		}
		if _, err := run(t, cfg, loader.File(path), 10); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		checkpoint(t, dsn)
		var once sync.Once
		cfg.RetryFor = time.Minute
		cfg.Observe = func(loader.StoredBatch) { once.Do(func() { crash(t, crashed) }) }
		res, err := open(t, cfg).Load(context.Background(), loader.File(path))
		conn = pgtest.Connect(t, dsn)
		if _, refused := errors.AsType[*loader.JobError](err); refused && cluster {
			if !strings.Contains(err.Error(), emptied) || res.Resumable {
				t.Errorf("%v; resumable: %v", err, res.Resumable)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if res.Rows != int64(rows) || res.Before != 0 {
			t.Errorf("%d rows after %d, want %d after none", res.Rows, res.Before, rows)
		}
		sameRows(t, conn, "flowing", rows)
	})
}

// crashAndRecover makes the server crash and waits until it is back.
func crashAndRecover(t *testing.T, dsn string) {
	t.Helper()
	held, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close(context.Background())
	crash(t, dsn)
	deadline := time.Now().Add(time.Minute)
	for held.Ping(context.Background()) == nil || tryConnect(dsn) != nil {
		if time.Sleep(20 * time.Millisecond); time.Now().After(deadline) {
			t.Fatal("the server is not back after a minute")
		}
	}
}

func tryConnect(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
