package loader_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// A shortConn breaks when that many bytes were sent.
type shortConn struct {
	*faultyConn
	left int
}

func (c *shortConn) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		_ = c.broken()
		_ = c.Conn.Close()
		return 0, syscall.ECONNRESET
	}
	return c.faultyConn.Write(p)
}

// dialShort makes connections that are cut after 100 kB.
func dialShort(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &shortConn{&faultyConn{Conn: c, net: &faultyNet{}}, 100_000}, nil
}

// TestShortConnections holds that a file gets in, each record once, over a link on which
// no connection lasts for a batch: one that would be stored in one transaction, too.
func TestShortConnections(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path := numbered(t, 0, 16_000)
		bad := bytes.Replace(read(t, path), []byte("\n8000,"), []byte("\nx8000,"), 1)
		withBad := writeInput(t, bad)
		for name, change := range map[string]func(*loader.Config){
			"whole":        func(*loader.Config) {},
			"pieces":       func(c *loader.Config) { c.Memory, c.MaxRecord = 8<<20, 1<<20 },
			"whole, a bad": func(c *loader.Config) { c.MaxErrors, c.RejectsDir = loader.ErrorLimit{Records: 5}, t.TempDir() },
		} {
			if name == "pieces" && len(query(t, conn, "SELECT 1 FROM pg_extension WHERE extname = 'citus'")) > 0 {
				continue // its lanes have small batches
			}
			exec(t, conn, "TRUNCATE flowing")
			var said strings.Builder
			cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: name, RetryFor: time.Minute, Log: slog.New(slog.NewTextHandler(&said, nil))}
			cfg.Conn.DialFunc = dialShort
			change(&cfg)
			in, rows := path, 16_000
			if cfg.RejectsDir != "" {
				in, rows = withBad, rows-1
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			res, err := open(t, cfg).Load(ctx, loader.File(in))
			cancel()
			if err != nil || res.Rows != int64(rows) || res.Rejected != int64(16_000-rows) {
				t.Errorf("%s: %+v, %v; the load said:\n%s", name, res, err, &said)
			}
			sameCount(t, conn, rows)
			_, err = run(t, cfg, loader.File(in), 0)
			isDone(t, name, err, rows)
			if !strings.Contains(said.String(), "going on with smaller ones") {
				t.Errorf("%s: no word of smaller batches:\n%s", name, &said)
			}
			if cfg.RejectsDir == "" {
				continue
			}
			if kept, err := os.ReadFile(res.Rejects); err != nil || bytes.Count(kept, []byte("\n")) != 1 {
				t.Errorf("%s: rejected records %q, %v", name, kept, err)
			}
		}
	})
}
