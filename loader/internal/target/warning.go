package target

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/server"
)

// warningKey is where a connection keeps the last warning of its server.
const warningKey = "shardload.warning"

// KeepWarnings makes connections to t keep the last warning of their server.
func KeepWarnings(t *server.Target) *server.Target {
	t.OnNotice(keepWarning)
	return t
}

func keepWarning(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warningKey] = n.Message
	}
}

// openControl returns a connection for the catalog, which keeps the last warning of its
// server, too.
func openControl(ctx context.Context, cfg *pgx.ConnConfig, watch server.Watch) (*pgx.Conn, error) {
	cfg = cfg.Copy()
	before := cfg.OnNotice
	cfg.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if keepWarning(conn, n); before != nil {
			before(conn, n)
		}
	}
	conn, err := server.Open(ctx, cfg)
	if err == nil {
		watch.Set(conn.PgConn())
	}
	return conn, err
}

// TakeWarning returns the last warning since it was last called, "" for none.
func TakeWarning(conn *pgconn.PgConn) string {
	text, _ := conn.CustomData()[warningKey].(string)
	delete(conn.CustomData(), warningKey)
	return text
}
