package loader

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
)

// TestHashIsAnother holds that rows go through the coordinator where the server hashes
// the input's own values in another way than shardload does.
func TestHashIsAnother(t *testing.T) {
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	for _, sql := range []string{"CREATE TABLE h (k int, v text)", "SELECT create_distributed_table('h', 'k', colocate_with => 'none')"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, asked := range []Route{RouteAuto, RouteShard} {
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
			ld := &load{l: l, name: "in", log: l.cfg.Log, counts: &counts{}}
			in := Reader("in", strings.NewReader("k,v\n1,a\n2,b\n"))
			if ld.feed, err = in.open(t.Context(), l.cfg.MaxRecord); err != nil {
				t.Fatal(err)
			}
			defer ld.feed.close()
			first, err := l.first(t.Context(), ld, in)
			if err != nil {
				t.Fatal(err)
			}
			ask := &asker{l: l, encoding: l.cfg.Encoding}
			defer ask.close()
			for _, right := range []bool{true, false} {
				if !right {
					ours := ld.lay.router.keys[0].hash
					ld.lay.router.keys[0].hash = func(v []byte) (int32, bool) {
						h, sure := ours(v)
						return h + 1, sure
					}
				}
				route, err := l.chooseFor(t.Context(), ld, first, ask)
				_, refused := errors.AsType[*PreflightError](err)
				switch {
				case right && (err != nil || route != RouteShard):
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
