package loader_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// A faultyNet makes connections that break, once it is broken.
type faultyNet struct {
	broken  atomic.Bool
	refuses atomic.Bool // connections altogether
	cuts    atomic.Int64
	commits atomic.Int64 // cuts at a COMMIT
	// If holds is not zero the next COMMIT gets through that much later, whatever the
	// client does, and nothing else fails. held is called then.
	holds time.Duration
	held  func()
}

func (f *faultyNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if f.refuses.Load() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: c, net: f, left: 1 + rand.Int64N(100<<10)}, nil
}

// A faultyConn breaks after some bytes, or at a COMMIT.
type faultyConn struct {
	net.Conn
	net  *faultyNet
	left int64 // bytes that still pass; of the one goroutine that writes
	cut  atomic.Bool
	held atomic.Bool // the server is still to get a COMMIT
}

func (c *faultyConn) Write(p []byte) (int, error) {
	switch {
	case c.cut.Load():
		return 0, c.broken()
	case !c.net.broken.Load():
		return c.Conn.Write(p)
	case c.net.holds > 0 && bytes.Contains(p, []byte("COMMIT\x00")):
		c.net.broken.Store(false)
		defer c.net.held()
		return len(p), c.late(p, c.net.holds)
	case c.net.holds > 0:
		return c.Conn.Write(p)
	case c.net.refuses.Load():
		return 0, c.broken()
	case bytes.Contains(p, []byte("COMMIT\x00")) && rand.IntN(6) == 0:
		c.net.commits.Add(1)
		return len(p), c.commit(p)
	case c.left < int64(len(p)):
		n, _ := c.Conn.Write(p[:c.left])
		c.left = 0
		return n, c.broken()
	}
	c.left -= int64(len(p))
	return c.Conn.Write(p)
}

// commit breaks the connection, and lets a COMMIT get through, at once or when the
// client has long made another connection.
func (c *faultyConn) commit(p []byte) error {
	if rand.IntN(2) == 0 {
		_, _ = c.Conn.Write(p) // the answer is lost, whatever it is
		return c.broken()
	}
	return c.late(p, time.Duration(100+rand.IntN(400))*time.Millisecond)
}

// late breaks the connection, and lets p get through after a while.
func (c *faultyConn) late(p []byte, after time.Duration) error {
	late := bytes.Clone(p)
	c.held.Store(true)
	err := c.broken()
	time.AfterFunc(after, func() {
		_, _ = c.Conn.Write(late)
		_, _ = c.Conn.Read(make([]byte, 100))
		_ = c.Conn.Close()
	})
	return err
}

func (c *faultyConn) broken() error {
	if !c.cut.Swap(true) {
		c.net.cuts.Add(1)
	}
	_ = c.Conn.SetReadDeadline(time.Now()) // who reads is to see it
	return syscall.ECONNRESET
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cut.Load() {
		return 0, syscall.ECONNRESET
	}
	return n, err
}

func (c *faultyConn) SetDeadline(t time.Time) error {
	if c.held.Load() {
		return nil
	}
	return c.Conn.SetDeadline(t)
}

func (c *faultyConn) Close() error {
	if c.held.Load() {
		return c.Conn.SetReadDeadline(time.Time{}) // the server is not to notice yet
	}
	return c.Conn.Close()
}

// TestFaults holds that a load goes on by itself over connections that break
// anywhere, at COMMITs in particular, and stores every row once.
func TestFaults(t *testing.T) {
	t.Parallel()
	eachFlow(t, func(t *testing.T, dsn string, cfg loader.Config) {
		path, rows := flowFile(t, sized(2500, 12_000))
		var bad faultyNet
		var said strings.Builder
		cfg.Conn.DialFunc = bad.dial
		cfg.RetryFor = time.Minute
		cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
		cfg.Observe = func(loader.StoredBatch) { bad.broken.Store(true) }
		var retried atomic.Int64
		cfg.Retried = func(string) { retried.Add(1) }
		l := open(t, cfg)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		// A Reader cannot be opened again: the load must go on where it is.
		if _, err := l.Load(ctx, loader.Reader("-", bytes.NewReader(read(t, path)))); err != nil {
			t.Fatalf("%v; the load said:\n%s", err, said.String())
		}
		bad.broken.Store(false)
		if bad.cuts.Load() < 4 || bad.commits.Load() == 0 {
			t.Errorf("only %d connections were cut, %d at a COMMIT", bad.cuts.Load(), bad.commits.Load())
		}
		if retried.Load() == 0 {
			t.Error("no batch is said to have been sent again")
		}
		sameRows(t, pgtest.Connect(t, dsn), "flowing", rows)
	})
}

// eachFlow runs fn for every route of every server, each with an empty table
// flowing.
func eachFlow(t *testing.T, fn func(t *testing.T, dsn string, cfg loader.Config)) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		makeFlowing(t, dsn)
		ways := routes(t)
		if testing.Short() && strings.HasSuffix(t.Name(), "/citus") {
			ways = differentRoutes[:1] // by the other the input runs ahead for long
		}
		for _, route := range ways {
			t.Run(string(route), func(t *testing.T) {
				if err := loader.Truncate(context.Background(), parse(t, dsn), "flowing"); err != nil {
					t.Fatal(err)
				}
				cfg := pieces(t, dsn)
				cfg.Route = route
				fn(t, dsn, cfg)
			})
		}
	})
}

// TestGivesUp holds that a load gives up when a server stays away, clearly, and
// that the next one completes it.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	eachFlow(t, func(t *testing.T, dsn string, cfg loader.Config) {
		path, rows := flowFile(t, 3000)
		var away faultyNet
		cfg.Conn.DialFunc = away.dial
		cfg.RetryFor = 300 * time.Millisecond
		cfg.Observe = func(loader.StoredBatch) { away.broken.Store(true); away.refuses.Store(true) }
		res, err := open(t, cfg).Load(context.Background(), loader.File(path))
		if err == nil || !strings.Contains(err.Error(), "gave up after") || !strings.Contains(err.Error(), "Config.RetryFor") || !res.Resumable {
			t.Errorf("%+v, error %v", res, err)
		}
		_, err = run(t, pieces(t, dsn), loader.File(path), 0)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, pgtest.Connect(t, dsn), "flowing", rows)
	})
}
