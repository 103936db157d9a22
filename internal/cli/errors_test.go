package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"shardload/internal/server"
	"shardload/loader"
)

func TestExitStatus(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), nil, 0},
		{t.Context(), errors.New("no"), 1},
		{t.Context(), &usageError{}, 2},
		{t.Context(), fmt.Errorf("deep: %w", &usageError{}), 2},
		{t.Context(), errors.Join(&differenceError{}, nil), 4},
		{t.Context(), context.Canceled, 130},
		{ended, errors.New("connection closed"), 130},
		{ended, nil, 0}, // it was done before
	} {
		if got := exitStatus(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%v: status %d, want %d", tt.err, got, tt.want)
		}
	}
}

// A server without TLS that hangs up is only told to speak it where it must.
func TestServerThatHangsUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 8)
			if _, err := io.ReadFull(conn, request); err == nil && request[3] == 8 { // may I speak TLS?
				_, _ = conn.Write([]byte("N")) // whoever asked hears of it otherwise
			}
			conn.Close()
		}
	}()
	for mode, want := range map[string]string{"prefer": "closed the connection without an answer", "require": "does not speak TLS"} {
		cfg, err := parseDSN("postgres://me:PASSWORD@"+listener.Addr().String()+"/db?sslmode="+mode, "--dsn", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = server.Open(t.Context(), cfg)
		text, ok := describeServer(err)
		if !ok || !strings.Contains(text, want) || strings.Contains(text, "PASSWORD") {
			t.Errorf("%s: %q, want %q", mode, text, want)
		}
	}
}

// What a server has failed with for too long is told with what to do: another --dsn
// is no advice where a node of the cluster is away.
func TestGivingUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // nobody listens there now
	cfg, err := parseDSN("postgres://me:PASSWORD@"+address+"/db?sslmode=disable", "--dsn", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.Open(t.Context(), cfg)
	if text := describe(t.Context(), err); !strings.Contains(text, "no server at "+address) || !strings.HasSuffix(text, nameAnother) {
		t.Errorf("at once: %q", text)
	}
	text := describe(t.Context(), fmt.Errorf("load: %w", &loader.GaveUpError{After: time.Minute, Err: err}))
	if want := "gave up after 1m0s of attempts (--retry-for): no server at " + address + ": connection refused; is PostgreSQL running there?"; text != want {
		t.Errorf("%q\nwant %q", text, want)
	}
}
