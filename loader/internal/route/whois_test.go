package route

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/pgtest"
	"shardload/internal/server"
	"shardload/loader/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestWhoIsBesideControl holds that a node that was restarted is known again while the control
// connection is in use: it is in use where nodes are asked, which waited for each other.
func TestWhoIsBesideControl(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig(pgtest.Citus(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	control, err := target.NewControl(ctx, cfg, server.Watch{}, slog.New(slog.DiscardHandler), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	ns := &Nodes{t: &target.Target{Control: control}}
	known := make(chan error, 1)
	go func() {
		known <- control.OnControl(ctx, func(conn *pgx.Conn) error {
			ids, err := citus.Identities(ctx, conn)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				t.Error("no nodes")
			}
			for name, want := range ids {
				if id, err := ns.whoIs(ctx, name); err != nil || id != want {
					t.Errorf("%s is %q, %v; want %q", name, id, err, want)
				}
			}
			return nil
		})
	}()
	select {
	case err := <-known:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Fatal("waits for itself")
	}
}
