package loader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"shardload/internal/ledger"
	"shardload/loader"
)

// TestProgressOfAnOrdinaryRole holds that a role which owns its schema and table, and may
// not create anything else in the database, keeps progress and goes on by it; and that
// one which may only insert is told what it lacks.
func TestProgressOfAnOrdinaryRole(t *testing.T) {
	t.Parallel()
	dsn, conn := smallTable(t)
	schema := query(t, conn, "SELECT current_schema()")[0]
	makeRole(t, dsn, conn, "plainowner")
	exec(t, conn, flowing)
	distribute(t, conn, "flowing", "tenant")
	exec(t, conn, "GRANT INSERT, SELECT ON flowing TO plainowner")
	path, rows := flowFile(t, 4000)
	cfg := pieces(t, dsn)
	cfg.Conn.User, cfg.Conn.Password = "plainowner", "plainowner"
	cfg.Route = loader.RouteNode // so that the small file is not stored whole

	_, err := run(t, cfg, loader.File(path), 0)
	if denied, ok := errors.AsType[*ledger.DeniedError](err); !ok || !strings.Contains(denied.Error(), "needs CREATE on its schema") {
		t.Errorf("error %v, want a DeniedError", err)
	}

	exec(t, conn, "ALTER TABLE flowing OWNER TO plainowner")
	exec(t, conn, fmt.Sprintf("GRANT CREATE ON SCHEMA %s TO plainowner", schema))
	for _, route := range []loader.Route{loader.RouteShard, loader.RouteNode} {
		exec(t, conn, "TRUNCATE flowing")
		cfg.Route, cfg.Job = route, "of an owner by "+string(route)
		if _, err := run(t, cfg, loader.File(path), 5); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: error %v, want an interrupt", route, err)
		}
		if res, err := run(t, cfg, loader.File(path), 0); err != nil || res.Before == 0 {
			t.Fatalf("%s: %d rows before, %v", route, res.Before, err)
		}
		sameRows(t, conn, "flowing", rows)
	}
}
