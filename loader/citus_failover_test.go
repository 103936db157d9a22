package loader_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/loader"
)

// A fate is what becomes of a connection through a relay that sends something.
type fate int

const (
	passes     fate = iota
	lost            // it is cut, and the server hears nothing of what was sent
	unanswered      // it is cut, and the server gets that all the same
	late            // likewise, after a while in which the server believes that it lasts
)

// A relay passes bytes to a server and back, until it is cut.
type relay struct {
	listener net.Listener
	trap     atomic.Pointer[string] // a connection that sends this is cut, once
	trapped  atomic.Bool
	judge    atomic.Pointer[func(sent []byte) fate] // decides about all that is sent
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
			r.passing.Go(func() {
				_, _ = io.Copy(from, to) // ends when either is closed
				from.Close()
			})
			r.passing.Go(func() { r.send(to, from) })
		}
	})
	t.Cleanup(r.cut)
	return r
}

// send passes on what a client sends, and cuts the connection in the trap.
func (r *relay) send(to, from net.Conn) {
	defer to.Close()
	for buf := make([]byte, 64<<10); ; {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if trap := r.trap.Load(); trap != nil && bytes.Contains(buf[:n], []byte(*trap)) && r.trap.CompareAndSwap(trap, nil) {
			r.trapped.Store(true)
			from.Close()
			return
		}
		if judge := r.judge.Load(); judge != nil {
			if fate := (*judge)(buf[:n]); fate != passes {
				meet(fate, to, from, buf[:n])
				return
			}
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// meet cuts the connection of from to to, as what it has sent is fated.
func meet(f fate, to, from net.Conn, sent []byte) {
	if f == unanswered {
		_, _ = to.Write(sent) // who wrote does not learn of it
	}
	from.Close()
	if f == late {
		time.Sleep(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		_, _ = to.Write(sent)
	}
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

// through makes the cluster reach a worker through a new relay.
func through(t *testing.T, dsn string, conn *pgx.Conn, w worker) *relay {
	t.Helper()
	r := newRelay(t, w.name+":"+w.port)
	t.Cleanup(func() {
		exec(t, pgtestConn(t, dsn), fmt.Sprintf("UPDATE pg_dist_node SET nodename = '%s', nodeport = %s WHERE nodeid = %s", w.name, w.port, w.id))
	})
	exec(t, conn, fmt.Sprintf("UPDATE pg_dist_node SET nodename = '127.0.0.1', nodeport = %s WHERE nodeid = %s", r.port(), w.id))
	return r
}

// TestCommitIsIncomplete holds that a load waits for Citus to complete a COMMIT of
// which a worker has not heard.
func TestCommitIsIncomplete(t *testing.T) {
	dsn, conn := flowTable(t)
	r := through(t, dsn, conn, workers(t, conn)[0])
	path, rows := flowFile(t, 4000)
	var said strings.Builder
	l := open(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: loader.RouteCoordinator, Batch: 64 << 10, Log: logTo(&said)})
	r.trap.Store(new("COMMIT PREPARED"))
	res, err := l.Load(t.Context(), loader.File(path))
	if err != nil {
		t.Fatal(err)
	}
	if !r.trapped.Load() || !strings.Contains(said.String(), "a COMMIT is not complete on all nodes") {
		t.Fatalf("no COMMIT was cut: %v; the load said:\n%s", r.trapped.Load(), said.String())
	}
	if res.Rows != int64(rows) {
		t.Errorf("%d rows, want %d", res.Rows, rows)
	}
	sameRows(t, conn, "flowing", rows)
}

// TestNodeFailsOver holds that a load follows a node to the server that takes its
// place.
func TestNodeFailsOver(t *testing.T) {
	dsn, conn := flowTable(t)
	w := workers(t, conn)[0]
	old := through(t, dsn, conn, w)
	var said strings.Builder
	r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: loader.RouteShard, Log: logTo(&said)}, newFlow(0))
	through(t, dsn, conn, w)
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

// TestMarksAreReadAgain holds that a load which cannot read the marks at its end, as the
// coordinator has lost a node, reads them once more.
func TestMarksAreReadAgain(t *testing.T) {
	dsn, conn := flowTable(t)
	r := through(t, dsn, conn, workers(t, conn)[0])
	path, rows := flowFile(t, 4000)
	var said strings.Builder
	cfg := pieces(t, dsn)
	cfg.Route, cfg.Log = loader.RouteShard, logTo(&said)
	r.trap.Store(new("worker_hash(key)"))
	if _, err := open(t, cfg).Load(t.Context(), loader.File(path)); err != nil || !r.trapped.Load() {
		t.Fatalf("trapped %v, error %v; the load said:\n%s", r.trapped.Load(), err, said.String())
	}
	sameRows(t, conn, "flowing", rows)
}
