// Package provision puts the dataset's tables on a server and takes them off
// again. Everything that it does may be repeated: what is there in the right
// shape stays, what is missing is added, and what has another shape is refused
// before anything is changed. The tables are found through the search path, and
// made in its first schema.
package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/schema"
)

// An Action says what was done about a table.
type Action struct {
	Table string `json:"table"`
	Did   string `json:"did"` // "created", "exists already"
}

// lockSQL lets only one shardload at a time make or drop the tables of a
// database. The number is arbitrary.
const lockSQL = `SELECT pg_advisory_xact_lock(7310868735421903215)`

// A found table is one of the dataset's with what the server has under its name.
type found struct {
	want *schema.Table
	have *catalog.Table // nil if there is none
}

// findTables looks up all tables of the dataset, parents first. If the server is
// a worker, or one of the tables has another shape, it returns an error instead.
func findTables(ctx context.Context, conn *pgx.Conn) ([]found, error) {
	if err := citus.CheckCoordinator(ctx, conn); err != nil {
		return nil, err
	}
	tables, err := lookupTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, t := range tables {
		if t.have != nil {
			errs = append(errs, checkShape(t.want, t.have))
		}
	}
	return tables, errors.Join(errs...)
}

// lookupTables looks up all tables of the dataset, parents first, whatever their
// shape.
func lookupTables(ctx context.Context, conn *pgx.Conn) ([]found, error) {
	var tables []found
	for _, want := range schema.Tables() {
		have, err := catalog.Lookup(ctx, conn, want.Name)
		if _, missing := errors.AsType[*catalog.NotFoundError](err); err != nil && !missing {
			return nil, err
		}
		tables = append(tables, found{want, have})
	}
	return tables, nil
}

// Create makes the tables that do not exist, all of them or none.
func Create(ctx context.Context, conn *pgx.Conn) ([]Action, error) {
	var actions []Action
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSQL); err != nil {
			return err
		}
		tables, err := findTables(ctx, conn)
		if err != nil {
			return err
		}
		for _, t := range tables {
			did, err := create(ctx, tx, t)
			if err != nil {
				return err
			}
			actions = append(actions, Action{t.want.Name, did})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create the tables: %w", err)
	}
	return actions, nil
}

// create makes t as the tutorial does: the table first, then its primary key.
func create(ctx context.Context, tx pgx.Tx, t found) (did string, err error) {
	if t.have != nil {
		return "exists already", nil
	}
	for _, sql := range []string{t.want.CreateSQL(), t.want.PrimaryKeySQL()} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return "", fmt.Errorf("%s: %w", t.want.Name, err)
		}
	}
	return "created", nil
}

// Drop drops those of the tables that exist, with their rows. It drops none if
// one of them has another shape, or if something else depends on one.
func Drop(ctx context.Context, conn *pgx.Conn) ([]Action, error) {
	var actions []Action
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSQL); err != nil {
			return err
		}
		tables, err := findTables(ctx, conn)
		if err != nil {
			return err
		}
		sql := ""
		for _, t := range tables {
			if t.have == nil {
				actions = append(actions, Action{t.want.Name, "does not exist"})
				continue
			}
			if sql != "" {
				sql += ", "
			}
			sql += t.have.SQL()
			actions = append(actions, Action{t.want.Name, "dropped"})
		}
		if sql == "" {
			return nil
		}
		_, err = tx.Exec(ctx, "DROP TABLE "+sql)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("drop the tables: %w", err)
	}
	return actions, nil
}
