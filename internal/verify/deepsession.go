package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
)

// A session is the settings under which the loader gave values to the server.
type session struct {
	server.Session
	encoding string // of the inputs
	citus    bool
	version  int // server_version_num
}

// readSession reads the settings of conn, which are those that the loader found.
func readSession(ctx context.Context, conn *pgx.Conn, t *catalog.Table, encoding string) (s session, err error) {
	s.encoding = encoding
	if s.Session, err = server.ReadSession(ctx, conn); err != nil {
		return s, err
	}
	extension, err := citus.Version(ctx, conn)
	if err != nil {
		return s, err
	}
	s.citus = extension != ""
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4").Scan(&s.version); err != nil {
		return s, fmt.Errorf("read the server's version: %w", err)
	}
	const money, moneyArray = 790, 791 // their OIDs
	if !slices.ContainsFunc(t.Columns, func(c catalog.Column) bool { return c.BaseOID == money || c.BaseOID == moneyArray }) {
		s.Monetary = "" // a node need not even have that locale
	}
	return s, nil
}

// utf8 reports whether text reaches the table byte for byte.
func (s session) utf8() bool { return server.IsUTF8(s.encoding) && server.IsUTF8(s.Encoding) }

// isUTC reports whether a time without a zone is one in UTC.
func (s session) isUTC() bool { return s.TimeZone == "UTC" || s.TimeZone == "Etc/UTC" }
