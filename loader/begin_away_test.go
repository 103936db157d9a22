package loader_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// starting is a server that says to whoever connects that it starts. It returns its port.
func starting(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := pgproto3.NewBackend(c, c)
				for {
					m, err := b.ReceiveStartupMessage()
					if _, begins := m.(*pgproto3.StartupMessage); err != nil || begins {
						break
					}
					_, _ = c.Write([]byte("N")) // no encryption
				}
				b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P03", Message: "the database system is not yet accepting connections"})
				_ = b.Flush()
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// nobody returns a port on which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	return port
}

// lead makes the cluster look for a worker on that port.
func lead(t *testing.T, conn *pgx.Conn, w worker, port string) {
	t.Helper()
	exec(t, conn, fmt.Sprintf("UPDATE pg_dist_node SET nodeport = %s WHERE nodeid = %s", port, w.id))
}

// A said is told of what is logged, and calls then at the first line that has a text.
type said struct {
	mu   sync.Mutex
	text strings.Builder
	find string
	then func()
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if s.then != nil && strings.Contains(string(p), s.find) {
		s.then()
		s.then = nil
	}
	return len(p), nil
}

// TestBegunBesideRestart holds that a load which begins while a worker is away, or starts,
// waits for it as it does while it runs, and says for what.
func TestBegunBesideRestart(t *testing.T) {
	dsn, conn := flowTable(t)
	w := workers(t, conn)[0]
	back := pgtest.Connect(t, dsn)
	t.Cleanup(func() { lead(t, pgtestConn(t, dsn), w, w.port) })
	exec(t, conn, "DROP ROLE IF EXISTS inserting; CREATE ROLE inserting LOGIN PASSWORD 'x'")
	t.Cleanup(func() { exec(t, pgtestConn(t, dsn), "DROP OWNED BY inserting; DROP ROLE inserting") })
	exec(t, conn, "DO $$ BEGIN EXECUTE pg_catalog.format('GRANT ALL ON SCHEMA %I TO inserting', pg_catalog.current_schema()); END $$; GRANT INSERT ON flowing TO inserting")
	path, rows := flowFile(t, 400)
	for name, port := range map[string]string{"away": nobody(t), "starting": starting(t)} {
		for _, route := range []loader.Route{loader.RouteAuto, loader.RouteCoordinator} {
			for _, replace := range []bool{false, true} {
				exec(t, conn, "TRUNCATE flowing")
				lead(t, conn, w, port)
				log := &said{find: "waiting for", then: func() { lead(t, back, w, w.port) }}
				set := &loader.SetTable{Config: loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route, NoResume: true, Log: logTo(log)}, Inputs: []loader.Input{loader.File(path)}}
				s, err := loader.OpenSet(t.Context(), set)
				if err != nil {
					t.Fatalf("%s, %s: open: %v", name, route, err)
				}
				if replace {
					lead(t, conn, w, port)
					log.then = func() { lead(t, back, w, w.port) }
				}
				res, err := s.Load(t.Context(), loader.SetOptions{Replace: replace, NoAnalyze: true})
				if err != nil || res[0].Inputs[0].Rows != int64(rows) || log.then != nil {
					t.Errorf("%s, %s, replace %v: %v, error %v; said %s", name, route, replace, res, err, log.text.String())
				}
				s.Close()
			}
		}
		lead(t, conn, w, port)
		cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", RetryFor: 200 * time.Millisecond}
		for _, user := range []string{"", "inserting"} {
			if user != "" {
				cfg.Conn.User, cfg.Conn.Password = user, "x"
			}
			_, err := loader.Open(t.Context(), cfg)
			gaveUp, ok := errors.AsType[*loader.GaveUpError](err)
			if !ok || !strings.Contains(gaveUp.Error(), port) || !strings.Contains(gaveUp.Error(), "start it, and run the same command again") {
				t.Errorf("%s for good, user %q: %v", name, user, err)
			}
		}
		lead(t, conn, w, w.port)
	}
}
