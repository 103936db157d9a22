package loader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// endless returns a reader that gives n rows of (id, tenant, name), and then
// nothing until the test is over.
func endless(t *testing.T, n int) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	go func() {
		_, _ = io.WriteString(w, "id,tenant,name\n") // fails when nobody reads any more
		for i := range n {
			if _, err := fmt.Fprintf(w, "%d,%d,%s\n", i, i%100, strings.Repeat("x", 100)); err != nil {
				return
			}
		}
	}()
	return r
}

// await polls until the loader has stored rows.
func await(t *testing.T, l *loader.Loader) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); l.Progress().Rows == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no row was stored in a minute")
		}
	}
}

// TestInterrupt holds that a load whose input waits for more ends with its
// context, and tells how many rows are stored.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, things)
		distribute(t, conn, "things", "tenant")
		l := open(t, loader.Config{Conn: parse(t, dsn), Table: "things", Batch: 20 << 10})
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			await(t, l)
			cancel()
		}()
		res, err := l.Load(ctx, loader.Reader("endless", endless(t, 50_000)))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if res.Rows == 0 {
			t.Error("no rows stored")
		}
		// A slow machine may not answer a COMMIT in time.
		if got := query(t, conn, "SELECT count(*) FROM things")[0]; res.InDoubt == 0 && got != fmt.Sprint(res.Rows) {
			t.Errorf("%s rows are there, Result says %d", got, res.Rows)
		}
	})
}

// TestServerEndsConnections holds that a load the connections of which are ended again
// and again completes by itself, and stores every row once.
func TestServerEndsConnections(t *testing.T) {
	t.Parallel()
	eachFlow(t, func(t *testing.T, dsn string, cfg loader.Config) {
		conn := pgtest.Connect(t, dsn)
		kill := "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'victim'"
		cfg.Conn.RuntimeParams["application_name"] = "victim"
		r := start(t, cfg, newFlow(0))
		for range 5 {
			exec(t, conn, kill)
			if strings.Contains(t.Name(), "/citus/") {
				exec(t, conn, "SELECT run_command_on_workers($$"+kill+"$$)")
			}
			await := r.progress() + 1
			for deadline := time.Now().Add(time.Minute); r.progress() < await; time.Sleep(time.Millisecond) {
				select {
				case <-r.done:
					t.Fatal(r.err)
				default:
				}
				if time.Now().After(deadline) {
					t.Fatal("no row was stored in a minute")
				}
			}
		}
		if _, err := r.finish(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, conn, "flowing", r.flow.rows)
	})
}

// TestFenceIsMended holds that a load goes on when the connection of its fence is
// lost.
func TestFenceIsMended(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, things)
		distribute(t, conn, "things", "tenant")
		l := open(t, loader.Config{Conn: parse(t, dsn), Table: "things", Batch: 20 << 10})
		r, w := io.Pipe()
		go func() {
			_, _ = io.Copy(w, io.LimitReader(endless(t, 50_000), 2<<20))
			await(t, l)
			// The fence is the only one who asks who waits.
			holder := "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%AND NOT granted%' AND pid <> pg_backend_pid()"
			for len(query(t, conn, strings.Replace(holder, "pg_terminate_backend(pid)", "pid", 1))) == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			old := query(t, conn, strings.Replace(holder, "pg_terminate_backend(pid)", "pid", 1))
			exec(t, conn, holder)
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				now := query(t, conn, strings.Replace(holder, "pg_terminate_backend(pid)", "pid", 1))
				if len(now) > 0 && now[0] != old[0] {
					break
				}
				if time.Now().After(deadline) {
					t.Error("the fence was not mended in a minute")
					break
				}
			}
			_, _ = io.WriteString(w, "\n1000001,1,last\n")
			w.Close()
		}()
		res, err := l.Load(context.Background(), loader.Reader("in", r))
		if err != nil {
			t.Fatal(err)
		}
		if got := query(t, conn, "SELECT count(*) FROM things")[0]; got != fmt.Sprint(res.Rows) {
			t.Errorf("%s rows are there, Result says %d", got, res.Rows)
		}
	})
}
