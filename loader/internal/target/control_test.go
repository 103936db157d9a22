package target

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestTakeAheadEnds holds that whoever waits for a connection that was made ahead, and is not
// answered, waits no longer than their own context lasts.
func TestTakeAheadEnds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	cfg, err := pgx.ParseConfig("postgres://u@" + silent.Addr().String() + "/d?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	c := &Control{Cfg: cfg}
	c.MakeAhead(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.TakeAhead(ctx); err == nil {
		t.Error("a connection that nobody has answered")
	}
	if waited := time.Since(began); waited > 5*time.Second {
		t.Errorf("waited for %s, and the context ended after 0.1s", waited)
	}
}
