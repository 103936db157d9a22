package loader

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/store"
)

// TestHashIsAnother holds that rows go through the coordinator where the server hashes
// the input's own values in another way than shardload does.
func TestHashIsAnother(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	for _, sql := range []string{"CREATE TABLE h (k int, v text)", "SELECT create_distributed_table('h', 'k', colocate_with => 'none')"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, asked := range []Route{RouteAuto, RouteShard, RouteCoordinator} {
		t.Run(string(asked), func(t *testing.T) {
			cfg, err := pgx.ParseConfig(dsn)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Open(t.Context(), Config{Conn: cfg, Table: "h", Route: asked})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ld := l.newLoad(Input{name: "in"}, &store.Counts{})
			in := Reader("in", strings.NewReader("k,v\n1,a\n2,b\n"))
			if ld.feed, err = in.open(t.Context(), l.cfg.reading()); err != nil {
				t.Fatal(err)
			}
			defer ld.feed.Close()
			first, err := ld.first(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			ask := decode.NewAsker(l.target, l.nodes.First().Connect, l.cfg.Encoding)
			defer ask.Close()
			for _, right := range []bool{true, false} {
				if !right {
					ours := ld.Layout.Router.Keys[0].Hash
					ld.Layout.Router.Keys[0].Hash = func(v []byte) (int32, bool) {
						h, sure := ours(v)
						return h + 1, sure
					}
				}
				route, err := ld.chooseFor(t.Context(), first, ask)
				_, refused := errors.AsType[*failure.PreflightError](err)
				switch {
				case asked == RouteCoordinator && (err != nil || route != asked || ld.Hashed != right):
					t.Errorf("through the coordinator: route %s, %v; the hash is ours: %t, want %t", route, err, ld.Hashed, right)
				case asked != RouteCoordinator && right && (err != nil || route != RouteShard):
					t.Errorf("the same hash: route %s, %v", route, err)
				case !right && asked == RouteAuto && (err != nil || route != RouteCoordinator):
					t.Errorf("another hash: route %s, %v", route, err)
				case !right && asked == RouteShard && !refused:
					t.Errorf("another hash: error %v", err)
				}
			}
		})
	}
}
