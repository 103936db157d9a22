package ledger

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/server"
)

// asOwner runs fn, which changes a table of ours. Where it is distributed, and belongs to
// somebody whom a superuser does not trust with its rights, a superuser does it as the
// owner: what the guard has found is true of the coordinator's table, and the owner may
// have given a shard a trigger. The owner's code must not run in the superuser's session
// either, out of which it could take the superuser's role back: so where a shard is on
// the coordinator Citus connects to that, too.
func asOwner(ctx context.Context, tx pgx.Tx, table string, fn func() error) error {
	return asOwnerOn(ctx, tx.Conn(), table, fn)
}

// asOwnerOn is asOwner in the transaction in which conn is.
func asOwnerOn(ctx context.Context, conn *pgx.Conn, table string, fn func() error) error {
	version, err := citus.Version(ctx, conn)
	if err != nil {
		return err
	}
	if version == "" {
		return fn()
	}
	var owner, before string
	err = conn.QueryRow(ctx, `SELECT o.rolname::pg_catalog.text, pg_catalog.current_setting('role')`+fromOwned+`
		JOIN pg_catalog.pg_roles me ON me.rolname = current_user JOIN pg_catalog.pg_dist_partition p ON p.logicalrelid = c.oid
		WHERE c.oid = pg_catalog.to_regclass($1::pg_catalog.text) AND me.rolsuper AND NOT o.rolsuper`, table).Scan(&owner, &before)
	if errors.Is(err, pgx.ErrNoRows) {
		return fn()
	}
	if err != nil {
		return err
	}
	as := func(role, local string) error {
		return server.Exec(ctx, conn.PgConn(), "SET LOCAL citus.enable_local_execution = "+local+"; SET LOCAL ROLE "+pgx.Identifier{role}.Sanitize())
	}
	if err := as(owner, "off"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return as(before, "on")
}
