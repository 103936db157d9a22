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
	"shardload/internal/term"
	"shardload/schema"
)

// ErrNoCitus tells that tables were to be distributed on a server without Citus.
var ErrNoCitus = errors.New("this server has no Citus extension: CREATE EXTENSION citus in this database, or let the tables stay local")

// Distribute distributes the tables over the cluster that conn is the coordinator
// of, parents first, into one colocation group. A table that is distributed so
// already stays as it is; one that is distributed otherwise is refused. Rows move
// with their table.
//
// Without Citus the tables stay local, which is ErrNoCitus if requireCitus.
//
// Each table is distributed in a transaction of its own, as the tutorial does it.
// After an error the actions say what was done before; calling Distribute again
// goes on from there.
func Distribute(ctx context.Context, conn *pgx.Conn, requireCitus bool) ([]Action, error) {
	actions, err := distribute(ctx, conn, requireCitus)
	if err != nil {
		return actions, fmt.Errorf("distribute the tables: %w", err)
	}
	return actions, nil
}

func distribute(ctx context.Context, conn *pgx.Conn, requireCitus bool) ([]Action, error) {
	version, err := citus.Version(ctx, conn)
	if err != nil {
		return nil, err
	}
	if version == "" && requireCitus {
		return nil, ErrNoCitus
	}
	tables, err := findTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if t.have == nil {
			return nil, fmt.Errorf("there is no table %s: create the tables first", t.want.Name)
		}
	}
	if version == "" {
		return stayLocal(tables), nil
	}
	dists, err := readDistributions(ctx, conn, tables)
	if err != nil {
		return nil, err
	}
	return distributeAll(ctx, conn, tables, dists)
}

func stayLocal(tables []found) []Action {
	var actions []Action
	for _, t := range tables {
		actions = append(actions, Action{t.want.Name, "stays local: no Citus here"})
	}
	return actions
}

// readDistributions returns how each of the tables is distributed now. It is an
// error if one is distributed otherwise than it should be.
func readDistributions(ctx context.Context, conn *pgx.Conn, tables []found) ([]*citus.Distribution, error) {
	var dists []*citus.Distribution
	for _, t := range tables {
		d, err := citus.Distribute(ctx, conn, t.have.OID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.want.Name, err)
		}
		dists = append(dists, d)
	}
	var errs []error
	anchor := slices.IndexFunc(dists, isDistributed)
	for i, t := range tables {
		diff := distributionDifference(t.want, dists[i])
		if diff == "" && isDistributed(dists[i]) && dists[i].Colocation != dists[anchor].Colocation {
			diff = "it is not colocated with " + tables[anchor].want.Name
		}
		if diff != "" {
			errs = append(errs, &ShapeError{Table: t.have.String(), Differences: []string{diff}, Remedy: remedy(t.want)})
		}
	}
	return dists, errors.Join(errs...)
}

// remedy says what to do about a table that is distributed otherwise.
func remedy(t *schema.Table) string {
	return fmt.Sprintf("SELECT undistribute_table('%s'), then distribute again", t.Name)
}

// isDistributed reports whether the table has left the hands of
// create_distributed_table, be it distributed as it should be or not.
func isDistributed(d *citus.Distribution) bool {
	return d.Kind != citus.Local && d.Kind != citus.Managed
}

// distributionDifference returns how d differs from what t wants, "" if it does
// not, or if t is not distributed yet.
func distributionDifference(t *schema.Table, d *citus.Distribution) string {
	switch {
	case !isDistributed(d):
		return ""
	case d.Kind == citus.Reference:
		return "it is a reference table"
	case d.Kind == citus.Single:
		return "it lies in one shard, without a distribution column"
	case d.Kind != citus.Hash:
		return fmt.Sprintf("it is distributed by %s, not by hash", d.Kind)
	case d.Column != t.DistributionColumn:
		return fmt.Sprintf("it is distributed by %s, not by %s", d.Column, t.DistributionColumn)
	}
	return ""
}

// distributeAll distributes those of the tables that are not. The tutorial's own
// statements colocate tables if they run one after the other under the same settings.
// A group that is there already may have been made under others, and beside others who
// distribute tables two groups may come up. So all but the first join it by name.
func distributeAll(ctx context.Context, conn *pgx.Conn, tables []found, dists []*citus.Distribution) ([]Action, error) {
	var actions []Action
	var group int64
	anchor := slices.IndexFunc(dists, isDistributed)
	for i, t := range tables {
		prefix, suffix := "is already ", ""
		if !isDistributed(dists[i]) {
			with := ""
			if anchor >= 0 {
				with = tables[anchor].have.SQL()
			}
			sql := distributeSQL(t, with)
			note, err := distributeOne(ctx, conn, t.have, sql)
			if err != nil {
				return actions, fmt.Errorf("%s: %w", t.want.Name, err)
			}
			prefix, suffix = "", note
			if anchor < 0 {
				anchor = i
			}
		}
		where, colocation, err := describe(ctx, conn, t)
		if err != nil {
			return actions, fmt.Errorf("%s: %w", t.want.Name, err)
		}
		actions = append(actions, Action{t.want.Name, prefix + where + suffix})
		if i == 0 {
			group = colocation
		}
		if colocation != group {
			return actions, fmt.Errorf("%s is not colocated with %s: %s", t.want.Name, tables[0].want.Name, remedy(t.want))
		}
	}
	return actions, nil
}

// distributeSQL returns the tutorial's statement that distributes t, into the group of
// the table with if there is one.
func distributeSQL(t found, with string) string {
	sql := "SELECT pg_catalog.create_distributed_table(" + server.Literal(t.have.SQL()) + ", " + server.Literal(t.want.DistributionColumn)
	if with != "" {
		sql += ", colocate_with => " + server.Literal(with)
	}
	return sql + ")"
}

// distributeOne runs sql, which distributes t. The note says what became of its
// rows, if it had any: Citus moves them to the shards, but keeps a copy that
// nobody sees.
func distributeOne(ctx context.Context, conn *pgx.Conn, t *catalog.Table, sql string) (note string, err error) {
	var hasRows bool
	err = server.Tx(ctx, conn, server.Write, func() error {
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.SQL()+")").Scan(&hasRows); err != nil {
			return err
		}
		return server.Exec(ctx, conn.PgConn(), sql)
	})
	if err != nil {
		return "", err
	}
	if !hasRows {
		return "", nil
	}
	return fmt.Sprintf(", with its rows; SELECT truncate_local_data_after_distributing_table('%s') frees the old copy of them", t.Name), nil
}

// describe returns how t is distributed now, in words, and its colocation group.
// It looks t up again, since Citus replaces tables that it managed before.
func describe(ctx context.Context, conn *pgx.Conn, t found) (where string, colocation int64, err error) {
	err = server.Tx(ctx, conn, server.Read, func() error {
		where, colocation, err = placement(ctx, conn, t)
		return err
	})
	return where, colocation, err
}

func placement(ctx context.Context, conn *pgx.Conn, t found) (where string, colocation int64, err error) {
	table, err := catalog.Lookup(ctx, conn, t.have.SQL())
	if err != nil {
		return "", 0, err
	}
	d, err := citus.Distribute(ctx, conn, table.OID)
	if err != nil {
		return "", 0, err
	}
	if d.Kind != citus.Hash {
		return "", 0, errors.New("somebody else has just changed how it is distributed")
	}
	var nodes int
	err = conn.QueryRow(ctx, `
		SELECT count(DISTINCT p.groupid) FROM pg_catalog.pg_dist_shard s JOIN pg_catalog.pg_dist_placement p USING (shardid)
		 WHERE s.logicalrelid = $1::oid`, table.OID).Scan(&nodes)
	if err != nil {
		return "", 0, err
	}
	where = fmt.Sprintf("distributed by %s over %s on %s", d.Column, term.Plural(len(d.Shards), "shard"), term.Plural(nodes, "node"))
	return where, d.Colocation, nil
}
