package loader_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"shardload/loader"
)

// A relay passes bytes to a server and back, until it is cut.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	passing  sync.WaitGroup
}

// newRelay returns a relay to the server at address.
func newRelay(t *testing.T, address string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: ln}
	r.passing.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", address)
			if err != nil {
				from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, to)
			r.mu.Unlock()
			for _, ends := range [][2]net.Conn{{from, to}, {to, from}} {
				r.passing.Go(func() {
					_, _ = io.Copy(ends[0], ends[1]) // ends when either is closed
					ends[0].Close()
				})
			}
		}
	})
	t.Cleanup(r.cut)
	return r
}

func (r *relay) port() string {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	return port
}

// cut ends the relay and all connections through it.
func (r *relay) cut() {
	r.listener.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.passing.Wait()
}

// TestNodeFailsOver holds that a load follows a node to the server that takes its
// place.
func TestNodeFailsOver(t *testing.T) {
	dsn, conn := flowTable(t)
	w := workers(t, conn)[0]
	move := func(to string) string {
		return fmt.Sprintf("UPDATE pg_dist_node SET nodename = '127.0.0.1', nodeport = %s WHERE nodeid = %s", to, w.id)
	}
	t.Cleanup(func() {
		exec(t, pgtestConn(t, dsn), fmt.Sprintf("UPDATE pg_dist_node SET nodename = '%s', nodeport = %s WHERE nodeid = %s", w.name, w.port, w.id))
	})
	old, now := newRelay(t, w.name+":"+w.port), newRelay(t, w.name+":"+w.port)
	exec(t, conn, move(old.port()))
	var said strings.Builder
	r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: loader.RouteShard, Log: logTo(&said)}, newFlow(0))
	exec(t, conn, move(now.port()))
	old.cut()
	res, err := r.finish()
	if err != nil {
		t.Fatal(err)
	}
	if res.Rows != int64(r.flow.rows) || !strings.Contains(said.String(), "another server has taken the place of a node") {
		t.Errorf("%d rows, want %d; the load said:\n%s", res.Rows, r.flow.rows, said.String())
	}
	sameRows(t, conn, "flowing", r.flow.rows)
}
