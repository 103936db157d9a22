package loader_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestWaiterAtBeginning holds that whoever wants to lock the table between the beginning of a
// load and its first row is let in. What the load asks of the table meanwhile would wait
// behind them, and they for the load, which no server sees.
func TestWaiterAtBeginning(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		for _, tt := range []struct {
			name    string
			batches int64 // after which the earlier run was stopped
			change  func(*loader.Config)
		}{
			{name: "complete", change: func(*loader.Config) {}},
			{name: "unfinished", batches: 5, change: func(*loader.Config) {}},
			{name: "keeping", batches: 5, change: func(c *loader.Config) { c.MaxErrors.Records, c.RejectsDir = 1, t.TempDir() }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				conn := makeFlowing(t, dsn)
				t.Cleanup(func() { exec(t, conn, "DROP TABLE flowing, shardload_jobs") })
				path, rows := flowFile(t, pgtest.Sized(2500, 4000))
				cfg := pieces(t, dsn)
				tt.change(&cfg)
				_, _ = run(t, cfg, loader.File(path), tt.batches)
				l := open(t, cfg)
				jobs := pgtestConn(t, dsn)
				exec(t, jobs, "BEGIN; LOCK TABLE shardload_jobs IN ACCESS EXCLUSIVE MODE")
				done := make(chan error, 1)
				go func() {
					_, err := l.Load(t.Context(), loader.File(path))
					done <- err
				}()
				awaitRow(t, conn, "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'shardload_jobs'::regclass")
				waiter, locked := pgtestConn(t, dsn), make(chan error, 1)
				waits := fmt.Sprintf("SELECT 1 FROM pg_locks WHERE pid = %d AND relation = 'flowing'::regclass", waiter.PgConn().PID())
				go func() {
					_, err := waiter.Exec(t.Context(), "BEGIN; LOCK TABLE flowing IN ACCESS EXCLUSIVE MODE")
					locked <- err
				}()
				awaitRow(t, conn, waits)
				exec(t, jobs, "COMMIT")
				if err := receiveIn(t, "the lock of flowing", locked); err != nil {
					t.Error(err)
				}
				exec(t, waiter, "COMMIT")
				if err := receiveIn(t, "the end of the load", done); err != nil && !isComplete(err) {
					t.Error(err)
				}
				sameRows(t, conn, "flowing", rows)
			})
		}
	})
}

// receiveIn returns what comes from c, which must not take for ever.
func receiveIn(t *testing.T, what string, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("%s: waited for a minute", what)
		return nil
	}
}

// TestCutAtProgress holds that a load goes on whichever statement about its progress table
// loses its connection.
func TestCutAtProgress(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path, rows := flowFile(t, pgtest.Sized(2500, 4000))
		for n := int64(1); n <= 6; n++ {
			cfg := pieces(t, dsn)
			cfg.Job = fmt.Sprint("cut ", n)
			cut := &cutter{n: n}
			cfg.Conn.DialFunc = cut.dial
			if _, err := run(t, cfg, loader.File(path), 0); err != nil {
				t.Errorf("cut at statement %d: %v", n, err)
			}
			if cut.seen.Load() < n {
				t.Errorf("%d statements, and not %d", cut.seen.Load(), n)
			}
			sameRows(t, conn, "flowing", rows)
			exec(t, conn, "TRUNCATE flowing")
		}
	})
}

// A cutter closes a connection instead of sending the n-th message that has a statement about
// a progress table.
type cutter struct {
	n    int64
	seen atomic.Int64
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &cutConn{conn, c}, err
}

type cutConn struct {
	net.Conn
	by *cutter
}

func (c *cutConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("shardload_progress_")) && c.by.seen.Add(1) == c.by.n {
		_ = c.Close()
	}
	return c.Conn.Write(b)
}
