package loader_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// A lastCommit makes connections of which one breaks: instead of sending the COMMIT
// that ends a job.
type lastCommit struct {
	net   faultyNet
	ended atomic.Bool
	lost  atomic.Bool
}

func (e *lastCommit) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &endingConn{&faultyConn{Conn: c, net: &e.net}, e}, nil
}

type endingConn struct {
	*faultyConn
	end *lastCommit
}

func (c *endingConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("DROP TABLE")) {
		c.end.ended.Store(true)
	}
	if bytes.Contains(p, []byte("COMMIT\x00")) && c.end.ended.Load() && !c.end.lost.Swap(true) {
		return 0, c.broken()
	}
	return c.faultyConn.Write(p)
}

// TestLastCommitIsLost holds that a job is complete when its load says so, though the
// connection that was to end it broke.
func TestLastCommitIsLost(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path, rows := flowFile(t, 3000)
		cfg := pieces(t, dsn)
		cfg.RetryFor = time.Minute
		again := cfg
		cfg.Conn.DialFunc = (&lastCommit{}).dial
		if _, err := open(t, cfg).Load(context.Background(), loader.File(path)); err != nil {
			t.Fatal(err)
		}
		again.Conn = parse(t, dsn)
		complete(t, conn, again, loader.File(path), rows)
	})
}

// TestReadError holds that nothing of a small file is stored if its end cannot be read.
func TestReadError(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	path, _ := flowFile(t, 30_000)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "9999999,1,\"open,1,2020-01-01\n")
	f.Close()
	cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "broken"}
	for range 10 {
		if _, err := open(t, cfg).Load(context.Background(), loader.File(path)); err == nil || !strings.Contains(err.Error(), "a quote is left open") {
			t.Fatalf("error %v", err)
		}
		if rows := query(t, conn, "SELECT count(*) FROM flowing")[0]; rows != "0" {
			t.Fatalf("%s rows are stored", rows)
		}
	}
}
