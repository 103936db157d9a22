package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/pgtest"
)

// newRole makes a role that ends with the test, and what it owns with it.
func newRole(t *testing.T, dsn, name string) string {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	role := fmt.Sprintf("%s_%d", name, conn.PgConn().PID())
	exec(t, conn, `CREATE ROLE `+role)
	t.Cleanup(func() {
		exec(t, conn, `RESET ROLE`, `DROP OWNED BY `+role, `DROP ROLE `+role)
	})
	return role
}

func TestPrivileges(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	owner, member, clerk := newRole(t, dsn, "owner"), newRole(t, dsn, "member"), newRole(t, dsn, "clerk")
	conn := pgtest.Connect(t, dsn)
	exec(t, conn,
		`CREATE TABLE t (id integer)`, `ALTER TABLE t OWNER TO `+owner,
		`GRANT INSERT, SELECT ON t TO `+clerk, `GRANT `+owner+` TO `+member)
	table := lookup(t, conn, "t")

	tests := []struct {
		role string
		want catalog.Rights
	}{
		{owner, catalog.Rights{Temporary: true, Select: true, Insert: true, Update: true, Delete: true, Truncate: true, Owner: true}},
		{member, catalog.Rights{Temporary: true, Select: true, Insert: true, Update: true, Delete: true, Truncate: true, Owner: true}},
		{clerk, catalog.Rights{Temporary: true, Select: true, Insert: true}},
	}
	for _, tt := range tests {
		exec(t, conn, `SET ROLE `+tt.role)
		tt.want.Role, tt.want.Database = tt.role, conn.Config().Database
		got, err := catalog.Privileges(context.Background(), conn, table)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.role, diff)
		}
	}
	exec(t, conn, `RESET ROLE`)
	if got, err := catalog.Privileges(context.Background(), conn, table); err != nil || !got.Superuser || !got.Owner {
		t.Errorf("superuser: %+v, %v", got, err)
	}
	// A snapshot from before shows a table as it is while it is being dropped.
	exec(t, conn, `BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT FROM pg_class`)
	exec(t, pgtest.Connect(t, dsn), `DROP TABLE t`)
	if _, err := catalog.Privileges(context.Background(), conn, table); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("a table that is being dropped: error %v, want %v", err, pgx.ErrNoRows)
	}
	exec(t, conn, `ROLLBACK`)
	if _, err := catalog.Privileges(context.Background(), conn, table); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("a dropped table: error %v, want %v", err, pgx.ErrNoRows)
	}
}

func TestRowSecurity(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	clerk := newRole(t, dsn, "rls")
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE t (id integer)`, `GRANT INSERT ON t TO `+clerk, `ALTER TABLE t ENABLE ROW LEVEL SECURITY`)
	if lookup(t, conn, "t").RowSecurity {
		t.Error("row security is said to apply to a superuser")
	}
	exec(t, conn, `SET ROLE `+clerk)
	if !lookup(t, conn, "t").RowSecurity {
		t.Error("row security is said not to apply to a role with INSERT")
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, `SET default_transaction_read_only = on`)
		got, err := catalog.Server(context.Background(), conn)
		if err != nil {
			t.Fatal(err)
		}
		if got.Version < 130000 || got.VersionText == "" || got.InRecovery || !got.ReadOnly || got.Encoding != "UTF8" {
			t.Errorf("server: %+v", got)
		}
		var citus string
		err = conn.QueryRow(context.Background(), `SELECT coalesce(max(extversion), '') FROM pg_extension WHERE extname = 'citus'`).Scan(&citus)
		if err != nil || got.Citus != citus {
			t.Errorf("Citus %q, want %q (%v)", got.Citus, citus, err)
		}
		if got.MaxConnections < 1 || got.Connections < 1 || got.DatabaseConnections < 1 || got.RoleConnections < 1 {
			t.Errorf("connections: %+v", got)
		}
	})
}

func TestServerCountsConnections(t *testing.T) {
	dsn := pgtest.Plain(t) // a database of its own: nobody else connects to it
	conn := pgtest.Connect(t, dsn)
	var database string
	if err := conn.QueryRow(context.Background(), `SELECT current_database()`).Scan(&database); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, `ALTER DATABASE `+pgx.Identifier{database}.Sanitize()+` CONNECTION LIMIT 7`)
	pgtest.Connect(t, dsn)
	got, err := catalog.Server(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if got.DatabaseConnections != 2 || got.DatabaseLimit != 7 || got.RoleLimit != -1 || got.CitusLimit != -1 {
		t.Errorf("%+v, want 2 connections to the database, 7 allowed, no limit of the role", got)
	}
}

func TestServerFree(t *testing.T) {
	t.Parallel()
	base := catalog.ServerInfo{MaxConnections: 100, Reserved: 3, Connections: 20, RoleLimit: -1, DatabaseLimit: -1, CitusLimit: -1}
	tests := []struct {
		name   string
		change func(*catalog.ServerInfo)
		want   int
	}{
		{"no limits", func(*catalog.ServerInfo) {}, 77},
		{"superuser", func(s *catalog.ServerInfo) { s.Superuser = true; s.RoleLimit = 1 }, 80},
		{"role", func(s *catalog.ServerInfo) { s.RoleLimit, s.RoleConnections = 10, 4 }, 6},
		{"database", func(s *catalog.ServerInfo) { s.DatabaseLimit, s.DatabaseConnections = 10, 7 }, 3},
		{"citus", func(s *catalog.ServerInfo) { s.CitusLimit = 30 }, 10},
		{"nothing left", func(s *catalog.ServerInfo) { s.Connections = 99 }, 0},
	}
	for _, tt := range tests {
		s := base
		tt.change(&s)
		if got := s.Free(); got != tt.want {
			t.Errorf("%s: Free() = %d, want %d", tt.name, got, tt.want)
		}
	}
}
