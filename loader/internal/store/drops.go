package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/route"
)

// CountTruly sees to it that the load knows how many rows a server has stored. A COPY
// into a table of Citus counts what it received: rows that a trigger drops are in the
// count. Into a shard itself it counts what it has stored. Where there is such a
// trigger and no way to the shards, rows pass through a staging table, and
// the INSERT from there counts. A trigger that is not known here is found by missNone.
// may is the fastest way that the table allows, by the one that is taken; whole says that
// all is stored in one transaction.
func (l *Store) CountTruly(ctx context.Context, by, may route.Way, whole bool) error {
	if l.Target.Distribution.Kind == citus.Local {
		return nil
	}
	if err := l.foresee(ctx, by); err != nil {
		return err
	}
	switch {
	case !l.Triggers.Drop.Load() || l.Merge != nil:
		return nil
	case whole && may == route.ByShard && l.Repeats:
		return lane.ErrInPieces
	case !whole && by == route.ByShard && !l.Triggers.uncounted.Load():
		return nil
	case !l.Target.MayStage():
		return &failure.PreflightError{
			Problem: fmt.Sprintf("a trigger of %s may drop rows, and this role may not create temporary tables, by which rows would be counted", l.Target.Table),
			Do:      l.Target.Rights.GrantTemporary() + ", or disable the trigger for the load",
		}
	}
	l.Merge = plainMerge(l.Target.Table, l.Layout.Loaded)
	return nil
}

// plainMerge returns the statements that move rows from the staging table into another
// one, in which no row is expected to be in their way.
func plainMerge(t *catalog.Table, columns []*catalog.Column) *merge {
	list, identity := mergeColumns(columns)
	return &merge{
		table:   newStagingDef(t, columns),
		plain:   true,
		skips:   true,
		columns: " (" + list + ") " + identity,
		list:    list,
	}
}

// mergeColumns returns the list of columns, and how an INSERT treats identities so that
// it does as COPY.
func mergeColumns(columns []*catalog.Column) (list, identity string) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = pgx.Identifier{c.Name}.Sanitize()
		if c.Identity != 0 {
			identity = "OVERRIDING SYSTEM VALUE "
		}
	}
	return strings.Join(names, ", "), identity
}

// freeSQL returns the statements that insert the staged rows which conflict with none into
// table, and count how many those are.
func (m *merge) freeSQL(table, from string) string {
	return "WITH stored AS (" + m.insertSQL(table, from) + " WHERE " + m.free + " RETURNING 1) SELECT pg_catalog.count(*) FROM stored; " +
		"SELECT pg_catalog.count(*) FROM " + from + " AS staged WHERE " + m.free
}

// missingSQL returns the queries for how many keys the staged rows, those of from, have, and for how many
// of them there is a row in table. A row that was left out for another one of its key is
// in both; one that a trigger has dropped is not in the second. Keys with a NULL are not
// looked at: see freeSQL. Keys are alike where the key's index says so: an operator that
// is looked up by its name alone may be anybody's.
func missingSQL(table, from string, key *catalog.Key) string {
	names := make([]string, len(key.Columns))
	whole := make([]string, len(key.Columns))
	alike := make([]string, len(key.Columns))
	for i, k := range key.Columns {
		names[i] = pgx.Identifier{k}.Sanitize()
		whole[i] = server.IsNotNull(names[i])
		alike[i] = "staged." + names[i] + " " + key.Equal[i] + " there." + names[i]
	}
	list := strings.Join(names, ", ")
	staged := "SELECT DISTINCT " + list + " FROM " + from + " AS staged WHERE " + strings.Join(whole, " AND ")
	stored := fmt.Sprintf("(%s) %s ANY (SELECT %s FROM %s AS staged)", list, key.Equal[0], list, from)
	if slices.ContainsFunc(key.Equal, func(op string) bool { return op != key.Equal[0] }) {
		stored = "EXISTS (SELECT FROM " + from + " AS staged WHERE " + strings.Join(alike, " AND ") + ")"
	}
	return fmt.Sprintf("SELECT pg_catalog.count(*) FROM (%s) AS staged; SELECT pg_catalog.count(*) FROM (SELECT DISTINCT %s FROM %s AS there WHERE %s) AS stored",
		staged, list, table, stored)
}
