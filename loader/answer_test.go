package loader_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"

	"github.com/jackc/pgx/v5"
)

// A deafNet makes connections on one of which nothing more arrives, in either
// direction, from one of the statements on; the connection stays open.
type deafNet struct {
	at   int64        // the number of the message that is lost, or whose answer is
	lose bool         // the message itself
	sent atomic.Int64 // messages: connections that are being made are left alone
	deaf atomic.Bool
}

type deafConn struct {
	net.Conn
	net  *deafNet
	deaf atomic.Bool
}

func (d *deafNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &deafConn{Conn: c, net: d}, err
}

// Write loses messages of the kinds Query, Parse and CopyData, and what comes after them.
func (c *deafConn) Write(p []byte) (int, error) {
	if c.deaf.Load() {
		return len(p), nil
	}
	if (p[0] == 'Q' || p[0] == 'P' || p[0] == 'd') && c.net.sent.Add(1) == c.net.at {
		c.deaf.Store(true)
		c.net.deaf.Store(true)
		if c.net.lose {
			return len(p), nil
		}
	}
	return c.Conn.Write(p)
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if !c.deaf.Load() || err != nil {
			return n, err
		}
	}
}

// TestNoAnswer holds that a load goes on when a statement of it, whichever, or the answer
// to it never arrives and the connection stays open, and stores each row once.
func TestNoAnswer(t *testing.T) {
	path := numbered(t, 0, 5_000)
	load := func(t *testing.T, dsn string, conn *pgx.Conn, deaf *deafNet, whole bool) {
		t.Helper()
		exec(t, conn, "TRUNCATE flowing")
		cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing"}
		if !whole {
			cfg = pieces(t, dsn)
		}
		cfg.Job = fmt.Sprint("deaf at ", deaf.at, deaf.lose, whole)
		cfg.Conn.DialFunc, cfg.RetryFor = deaf.dial, time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		l := open(t, cfg.WithAnswerDelay(150*time.Millisecond))
		_, err := l.Load(ctx, loader.File(path))
		if err != nil {
			t.Errorf("message %d (itself %v, whole %v): %v", deaf.at, deaf.lose, whole, err)
		}
		if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; err == nil && got != "5000|5000" {
			t.Errorf("message %d (itself %v, whole %v): rows|different %s, want 5000|5000", deaf.at, deaf.lose, whole, got)
		}
	}
	for _, whole := range []bool{true, false} {
		t.Run(fmt.Sprint("whole ", whole), func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Plain(t)
			conn := makeFlowing(t, dsn)
			count := &deafNet{at: -1}
			load(t, dsn, conn, count, whole)
			messages := count.sent.Load()
			for i, at := 0, int64(1); at <= messages; i, at = i+1, at+max(1, messages/6) {
				load(t, dsn, conn, &deafNet{at: at, lose: i%2 == 1}, whole)
			}
		})
	}
}
