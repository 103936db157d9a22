package localpg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	reach "shardload/internal/server"
)

// revive starts the servers of a kept cluster that have died, while others of it run.
func (s *starter) revive(ctx context.Context, saved state) error {
	all := s.servers
	alive := map[*server]process{}
	s.servers = nil // those that abort ends
	var names []string
	for _, srv := range all {
		if p, ok := findPostmaster(s.home.account, srv.dir); ok {
			alive[srv] = p
			continue
		}
		s.servers = append(s.servers, srv)
		names = append(names, srv.name)
	}
	if s.cfg.Reviving != nil {
		s.cfg.Reviving(names)
	}
	if err := awaitEmpty(ctx, s.home, names); err != nil {
		return err
	}
	if err := s.sharePassword(ctx, slices.DeleteFunc(slices.Clone(all), func(srv *server) bool { return alive[srv] == nil })); err != nil {
		return err
	}
	if err := s.launchAll(ctx); err != nil {
		return err
	}
	dead := s.servers
	s.servers = all
	if err := s.rejoin(ctx, saved); err != nil {
		s.servers = dead
		return err
	}
	for srv, p := range alive {
		srv.proc = p
	}
	return nil
}

// rejoin tells the servers of each other's ports where these have changed.
func (s *starter) rejoin(ctx context.Context, saved state) error {
	if slices.Equal(s.state().Ports, saved.Ports) {
		return nil
	}
	if s.citus {
		if err := s.reform(ctx, saved.Ports); err != nil {
			return err
		}
	}
	return s.home.writeState(s.state())
}

// sharePassword gives all servers a new password: whoever has listened at the port of one
// that is dead may have been told the one before, by Citus, which connects from the others.
func (s *starter) sharePassword(ctx context.Context, alive []*server) (err error) {
	conns := make([]*pgx.Conn, len(alive))
	for i, srv := range alive {
		conns[i], err = reach.Connect(ctx, s.home.dsn(srv.port, s.database)+"&require_auth=scram-sha-256")
		if err != nil {
			return fmt.Errorf("%s: %w", srv.name, err)
		}
		defer func() { reach.CloseSoon(conns[i].PgConn()) }()
	}
	password, err := s.home.passwords().choose()
	if err != nil {
		return err
	}
	for i, srv := range alive {
		if err := changePassword(ctx, conns[i], password); err != nil {
			return fmt.Errorf("%s: %w; stop the cluster, and start it again", srv.name, err)
		}
	}
	return s.setPasswords(ctx, password)
}

// changePassword changes the password of the role of ours on the server of conn alone, and
// has it in no log.
func changePassword(ctx context.Context, conn *pgx.Conn, password string) (err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rollback(ctx, tx)) }()
	for _, sql := range []string{
		"SET LOCAL log_statement = 'none'", "SET LOCAL log_min_duration_statement = -1", "SET LOCAL log_min_error_statement = 'panic'",
		"SELECT pg_catalog.set_config('citus.enable_ddl_propagation', 'off', true)",
		"ALTER ROLE " + superuser + " PASSWORD '" + password + "'",
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// rollback ends a transaction that may have ended.
func rollback(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}

// awaitEmpty waits until no process of a dead server is left in its data directory: they see
// in a moment that it is gone.
func awaitEmpty(ctx context.Context, h home, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	for _, name := range names {
		for pid := h.account.occupant(h.path(name)); pid != 0; pid = h.account.occupant(h.path(name)) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("directory %s: a server runs in it (process %d): stop it first", h.path(name), pid)
			case <-time.After(pollInterval):
			}
		}
	}
	return nil
}
