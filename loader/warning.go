package loader

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
)

// warningKey is where a connection keeps the last warning of its server.
const warningKey = "shardload.warning"

// keepWarnings makes connections of c keep the last warning of their server. It
// changes c and returns it.
func keepWarnings(c *pgconn.Config) *pgconn.Config {
	before := c.OnNotice
	c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warningKey] = n.Message
		}
		if before != nil {
			before(conn, n)
		}
	}
	return c
}

// takeWarning returns the last warning since it was last called, "" for none.
func takeWarning(conn *pgconn.PgConn) string {
	text, _ := conn.CustomData()[warningKey].(string)
	delete(conn.CustomData(), warningKey)
	return text
}

// settle waits for what a COMMIT has left undone, as warning says: Citus decides
// with the coordinator's COMMIT, and a worker that did not hear of it holds its rows
// prepared, in no count and in no mark, until Citus tells it again. A shard that is
// moved meanwhile, with its writers held up, would leave them behind.
func (s *stream) settle(ctx context.Context, warning string) error {
	s.load.log.Warn("a COMMIT is not complete on all nodes; waiting for Citus to complete it", "warning", warning)
	return s.load.l.onControl(ctx, func(conn *pgx.Conn) error {
		_, _, err := citus.Recover(ctx, conn)
		return err
	})
}
