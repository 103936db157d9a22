package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// ServerInfo says what a server is and how many connections it has left.
type ServerInfo struct {
	Version     int    // 150020
	VersionText string // "15.20 (Debian 15.20-1)"

	// Citus is the version of the Citus extension in this database, "" without.
	Citus string

	InRecovery     bool // a standby, which takes no writes
	ReadOnly       bool // transactions are read-only unless they say otherwise
	Encoding       string
	Superuser      bool // the role that connected
	MaxConnections int
	Reserved       int // of MaxConnections, for superusers and other chosen roles

	// Connections counts the clients' connections of the whole server, this one
	// included; RoleConnections and DatabaseConnections those of the role that
	// connected and of this database.
	Connections         int
	RoleConnections     int
	DatabaseConnections int

	// The limits are -1 where there is none. CitusLimit is
	// citus.max_client_connections.
	RoleLimit     int
	DatabaseLimit int
	CitusLimit    int
}

// Free returns how many more connections the role that connected may open here
// at this moment, at least 0.
func (s ServerInfo) Free() int {
	if s.Superuser {
		return max(s.MaxConnections-s.Connections, 0) // no other limit holds
	}
	free := s.MaxConnections - s.Reserved - s.Connections
	limit := func(limit, used int) {
		if limit >= 0 {
			free = min(free, limit-used)
		}
	}
	limit(s.RoleLimit, s.RoleConnections)
	limit(s.DatabaseLimit, s.DatabaseConnections)
	limit(s.CitusLimit, s.Connections)
	return max(free, 0)
}

// serverSQL counts connections without backend_type where the role may not see
// it. Background workers are then counted too: a few too many are safe.
const serverSQL = `
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       coalesce((SELECT extversion FROM pg_extension WHERE extname = 'citus'), ''),
       pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,
       current_setting('server_encoding'), r.rolsuper,
       current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true)::int, 0),
       a.total, a.role, a.database, r.rolconnlimit, d.datconnlimit,
       coalesce(nullif(current_setting('citus.max_client_connections', true), '')::int, -1)
  FROM pg_roles r, pg_database d,
       (SELECT count(*)::int AS total,
               (count(*) FILTER (WHERE usename = session_user))::int AS role,
               (count(*) FILTER (WHERE datname = current_database()))::int AS database
          FROM pg_stat_activity
         WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend') AS a
 WHERE r.rolname = session_user AND d.datname = current_database()`

// Server reads what the server behind conn is.
func Server(ctx context.Context, conn *pgx.Conn) (ServerInfo, error) {
	batch := &pgx.Batch{}
	s := QueueServer(batch)
	err := server.Ask(ctx, conn, batch)
	return *s, err
}

// QueueServer adds the query of Server to batch, and returns what is the answer after it.
func QueueServer(batch *pgx.Batch) *ServerInfo {
	s := &ServerInfo{}
	batch.Queue(serverSQL).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&s.Version, &s.VersionText, &s.Citus, &s.InRecovery, &s.ReadOnly,
			&s.Encoding, &s.Superuser, &s.MaxConnections, &s.Reserved,
			&s.Connections, &s.RoleConnections, &s.DatabaseConnections,
			&s.RoleLimit, &s.DatabaseLimit, &s.CitusLimit)
		if err != nil {
			return fmt.Errorf("read what the server is: %w", err)
		}
		return nil
	})
	return s
}
