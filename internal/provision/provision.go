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
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/schema"
)

// An Action says what was done about a table.
type Action struct {
	Table string `json:"table"`
	Did   string `json:"did"` // "created", "exists already"
}

// lock lets only one shardload at a time make or drop tables in a schema, until the
// transaction ends.
func lock(ctx context.Context, conn *pgx.Conn, schema string, wait server.Waiting) error {
	return server.TakeLock(ctx, conn, server.TablesLock(schema), "make or drop tables in schema "+server.Name(schema), wait)
}

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
func Create(ctx context.Context, conn *pgx.Conn, wait server.Waiting) ([]Action, error) {
	var actions []Action
	err := server.Tx(ctx, conn, server.Write, func() error {
		home, err := firstSchema(ctx, conn)
		if err != nil {
			return err
		}
		if err := lock(ctx, conn, home, wait); err != nil {
			return err
		}
		tables, err := findTables(ctx, conn)
		if err != nil {
			return err
		}
		for _, t := range tables {
			did, err := create(ctx, conn, home, t)
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

// firstSchema returns the schema in which the role's new tables are made.
func firstSchema(ctx context.Context, conn *pgx.Conn) (name string, err error) {
	if err = server.Exec(ctx, conn.PgConn(), server.RolePathSQL); err != nil {
		return "", err
	}
	var schema *string
	if err = conn.QueryRow(ctx, "SELECT pg_catalog.current_schema()::pg_catalog.text").Scan(&schema); err != nil {
		return "", err
	}
	if schema == nil {
		return "", errors.New("the search path names no schema that exists: no schema has been selected to create in")
	}
	return *schema, server.Exec(ctx, conn.PgConn(), server.OwnPathSQL)
}

// create makes t in a schema as the tutorial does: the table first, then its primary
// key.
func create(ctx context.Context, conn *pgx.Conn, home string, t found) (did string, err error) {
	if t.have != nil {
		return "exists already", nil
	}
	want := *t.want
	want.Name = server.Name(home, t.want.Name)
	for _, sql := range []string{want.CreateSQL(), want.PrimaryKeySQL()} {
		if err := server.Exec(ctx, conn.PgConn(), sql); err != nil {
			return "", fmt.Errorf("%s: %w", t.want.Name, err)
		}
	}
	return "created", nil
}

// Drop drops those of the tables that exist, with their rows. It drops none if
// one of them has another shape, or if something else depends on one.
func Drop(ctx context.Context, conn *pgx.Conn, wait server.Waiting) ([]Action, error) {
	var actions []Action
	err := server.Tx(ctx, conn, server.Write, func() error {
		tables, err := findAndLock(ctx, conn, wait)
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
		return server.Exec(ctx, conn.PgConn(), "DROP TABLE "+sql)
	})
	if err != nil {
		return nil, fmt.Errorf("drop the tables: %w", err)
	}
	return actions, nil
}

// findAndLock is findTables, under the locks of the schemas that have the tables.
func findAndLock(ctx context.Context, conn *pgx.Conn, wait server.Waiting) ([]found, error) {
	tables, err := findTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	var schemas []string
	for _, t := range tables {
		if t.have != nil {
			schemas = append(schemas, t.have.Schema)
		}
	}
	slices.Sort(schemas) // so that two who lock several do not wait for each other
	for _, schema := range slices.Compact(schemas) {
		if err := lock(ctx, conn, schema, wait); err != nil {
			return nil, err
		}
	}
	return findTables(ctx, conn) // as they are now
}
