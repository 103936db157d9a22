package loader

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
)

// notInherited returns an InheritedError if other tables inherit from t.
func notInherited(ctx context.Context, tx *pgx.Conn, t *catalog.Table) error {
	const sql = `SELECT n.nspname, c.relname FROM pg_catalog.pg_inherits i
		JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE i.inhparent OPERATOR(pg_catalog.=) $1::pg_catalog.oid ORDER BY 1, 2`
	rows, err := tx.Query(ctx, sql, t.OID)
	if err != nil {
		return err
	}
	children, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var schema, name string
		err := row.Scan(&schema, &name)
		return server.Shown(schema, name), err
	})
	if err == nil && len(children) > 0 {
		err = &failure.InheritedError{Table: t.String(), Children: children}
	}
	return err
}

// Truncate empties tables, and forgets the jobs that filled them, in one
// transaction. Their names are written as in SQL. Tables that refer to them must be
// among them. It returns an InheritedError if others inherit from one of them.
func Truncate(ctx context.Context, conn *pgx.ConnConfig, tables ...string) (err error) {
	return truncate(ctx, conn, emptied{}, tables...)
}

// truncate is Truncate, with what found has to do in the same transaction.
func truncate(ctx context.Context, conn *pgx.ConnConfig, found emptied, tables ...string) (err error) {
	c, err := server.Open(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	for _, name := range tables {
		err = catalog.Steady(ctx, func() *pgx.Conn { return c }, name, func() (t *catalog.Table, err error) {
			err = server.Tx(ctx, c, server.Read, func() error {
				t, err = found.find(ctx, c, name)
				return err
			})
			return t, err
		})
		if err != nil {
			return err
		}
	}
	ending := false
	err = server.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		err := found.truncate(ctx, tx)
		ending = err == nil
		return err
	})
	if errors.Is(err, errEmptied) {
		return err
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == fault.FeatureNotSupported {
		return fmt.Errorf("empty the tables: %s; empty those that refer to them first, or load with them", pgErr.Message)
	}
	if _, answered := errors.AsType[*pgconn.PgError](err); err != nil && ending && !answered && !errors.Is(err, pgx.ErrTxCommitRollback) {
		return fmt.Errorf("empty the tables: the server did not answer the COMMIT, and may have emptied them: %v", err) // it is not to be tried again
	}
	if err != nil {
		return fmt.Errorf("empty the tables: %w", err)
	}
	for _, t := range found.targets {
		if err := ledger.ForgetElsewhere(ctx, c, t); err != nil {
			return fmt.Errorf("the tables are empty; forget their jobs: %w", err)
		}
	}
	return nil
}

// An emptied is tables that are to be emptied.
type emptied struct {
	targets []ledger.Target
	names   []string // for TRUNCATE
	code    bool     // what they call may need the role's search path
	// before is called when nobody else can reach the tables any more, and their jobs are not forgotten
	// yet; after when they are. Each may be nil, and an error of theirs leaves all as it was.
	before, after func(ctx context.Context, tx pgx.Tx, t ledger.Target) error
}

// find looks a table up, which it returns, and adds it.
func (e *emptied) find(ctx context.Context, c *pgx.Conn, name string) (*catalog.Table, error) {
	t, err := catalog.Lookup(ctx, c, name)
	if err != nil {
		return nil, err
	}
	if err := t.Loadable(); err != nil {
		return t, err
	}
	code, err := catalog.HasCode(ctx, c, t.OID)
	if err != nil {
		return t, err
	}
	only := "ONLY " // a child that is made meanwhile keeps its rows
	if t.Kind == 'p' {
		only = ""
	}
	e.targets, e.names, e.code = append(e.targets, ledger.Target{Table: t}), append(e.names, only+t.SQL()), e.code || code
	return t, nil
}

// truncate empties the tables, in a transaction of ours.
func (e *emptied) truncate(ctx context.Context, tx pgx.Tx) error {
	c := tx.Conn()
	if err := server.Exec(ctx, c.PgConn(), citus.FewConnectionsSQL); err != nil {
		return err
	}
	for _, t := range e.targets {
		if t.Table.Kind == 'p' {
			continue
		}
		if err := notInherited(ctx, c, t.Table); err != nil {
			return err
		}
	}
	empty := server.Exec
	if e.code {
		empty = server.AsRole
	}
	if err := empty(ctx, c.PgConn(), "TRUNCATE "+strings.Join(e.names, ", ")); err != nil {
		return err
	}
	for _, step := range []func(context.Context, pgx.Tx, ledger.Target) error{e.before, ledger.ForgetTable, e.after} {
		for _, t := range e.targets {
			if step == nil {
				continue
			}
			if err := step(ctx, tx, t); err != nil {
				return err
			}
		}
	}
	return nil
}
