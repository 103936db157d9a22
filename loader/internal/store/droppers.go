package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
	"shardload/loader/internal/route"
)

// missNone makes sure that no row of b, the transaction of which has stored them in t, was
// dropped by a trigger where no count tells. It looks for triggers while the
// transaction has its locks: what it finds is what the rows have met, since nobody
// makes, changes or drops a trigger of a table that a transaction writes to.
func (x *tx) missNone(ctx context.Context) error {
	if !x.uncounted() {
		return nil
	}
	l := x.load
	found, of, err := x.droppers(ctx)
	counted := x.load.Merge != nil && l.Triggers.Drop.Load() && !x.received
	switch {
	case err != nil:
		return x.fail(ctx, err)
	case found == 0 || counted && found == of:
		return nil
	case found < of && l.Target.Distribution.Kind == citus.Reference:
		return x.rollback(ctx, l.unlike())
	}
	l.Triggers.Drop.Store(true)
	if x.load.Merge == nil {
		l.Triggers.uncounted.Store(true)
	}
	if !x.load.Repeats {
		return x.rollback(ctx, &failure.PreflightError{
			Problem: fmt.Sprintf("a trigger of %s may drop rows, and was not known when the load began", l.Target.Table),
			Do:      "run the same command again, with the same input, or disable the trigger",
		})
	}
	return x.rollback(ctx, &job.StartOverError{Why: "a trigger may drop rows, which are to be counted"})
}

// uncounted reports whether the server's counts leave open if all rows of b are stored,
// or were in the way of others: a COPY through Citus counts what it has received; an INSERT
// counts what the first copy of a reference table has stored, and does not say why others
// are not.
func (x *tx) uncounted() bool {
	l, m := x.load, x.load.Merge
	switch {
	case len(x.b.Sections) == 0 || x.load.Trusting:
		return false
	case x.received:
		return true
	case l.Target.Distribution.Kind == citus.Reference:
		return true
	case m == nil:
		return l.Target.Distribution.Kind != citus.Local && !x.t.Direct
	}
	return !m.plain && x.b.Merged.Skipped > 0 && !l.Triggers.Drop.Load()
}

// unlike is the error of a reference table whose copies have not the same triggers.
func (l *Store) unlike() error {
	return &failure.PreflightError{
		Problem: fmt.Sprintf("a trigger of some copies of the reference table %s, and not of all, may drop rows, and no count tells", l.Target.Table),
		Do:      "disable it for the load, or drop it",
	}
}

// foresee looks for triggers that may drop rows of an input that can be read only once,
// where they would be found too late.
func (l *Store) foresee(ctx context.Context, by route.Way) error {
	if l.Repeats || l.Triggers.Drop.Load() || by == route.ByShard && l.Merge == nil {
		return nil
	}
	found, of, err := l.droppersFound(ctx)
	if found > 0 {
		l.Triggers.Drop.Store(true)
	}
	if err == nil && 0 < found && found < of && l.Target.Distribution.Kind == citus.Reference {
		err = l.unlike()
	}
	return err
}

// droppers returns how many of the tables that t stands for have a trigger which may drop
// rows, and how many tables these are.
func (x *tx) droppers(ctx context.Context) (found, of int, err error) {
	l := x.load
	if x.t.Direct || l.Target.Distribution.Kind == citus.Local {
		results, err := x.conn.Exec(ctx, server.OwnPathSQL+"; "+dropperSQL(x.t.Table)+"; "+l.Target.Session.PathSQL()).ReadAll()
		if err == nil && string(results[1].Rows[0][0]) == "t" {
			found = 1
		}
		return found, 1, err
	}
	if x.t.Node == 0 && x.t.Marks != "" && l.Target.Distribution.Kind != citus.Reference && l.Target.Distribution.Kind != citus.Managed {
		none, err := x.noneBeside(ctx)
		if err != nil || none {
			return 0, 1, err
		}
	}
	return l.droppersFound(ctx)
}

// dropperSQL returns the query for whether a table, or a partition of it, has a trigger
// that may drop rows.
func dropperSQL(table string) string {
	name := server.Literal(table) + "::pg_catalog.regclass"
	return `SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 7 = 7
		AND (tgrelid = ` + name + ` OR tgrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(` + name + `))))`
}

// noneBeside asks the nodes to which rows of the batch can have gone, in its own transaction,
// whether none of the shards there has a trigger that may drop rows. It reports false in doubt.
func (x *tx) noneBeside(ctx context.Context) (none bool, err error) {
	var of *citus.Shard
	mark := ""
	if l := ofOneShard(x.load, x.b.Lane); l != nil {
		if mark = l.RowSQL(x.load.Job.Target); mark != "" {
			of = &citus.Shard{Min: l.Min, Max: l.Max}
		}
	}
	sql := []string{
		server.OwnPathSQL, citus.FewConnectionsSQL, citus.PlacesSQL(x.load.Target.Table.OID, of), citus.DroppersBesideSQL(x.t.Marks, mark),
		x.load.Target.Session.PathSQL(),
	}
	results, err := x.conn.Exec(ctx, strings.Join(sql, "; ")).ReadAll()
	if err != nil {
		return false, err
	}
	d := citus.Droppers{}
	for _, row := range results[3].Rows {
		d.Add(row[0])
	}
	return d.None(results[2].Rows), nil
}

// ofOneShard returns the lane of that number if all of its rows are of one shard, in which the
// lane's mark lies too, and else nil.
func ofOneShard(s *Store, number int) *ledger.Lane {
	d := s.Target.Distribution
	if d.Kind != citus.Hash || !s.Hashed || s.Layout.Router.Filled || number >= len(s.Job.Lanes) {
		return nil
	}
	l := &s.Job.Lanes[number]
	within := slices.ContainsFunc(d.Shards, func(s citus.Shard) bool { return s.Min <= l.Min && l.Max <= s.Max })
	if !within || !l.Home() {
		return nil
	}
	return l
}

// droppersFound does what droppers does, for all placements of the table: it asks their
// nodes, or where these cannot be reached from here, has the coordinator ask them.
func (l *Store) droppersFound(ctx context.Context) (found, of int, err error) {
	err = l.Target.OnControl(ctx, func(conn *pgx.Conn) error {
		places, err := citus.Placements(ctx, conn, l.Target.Table.OID)
		if err != nil {
			return err
		}
		of = len(places)
		if d, err := l.Nodes.AskNodes(ctx, conn); err == nil {
			if n, ok := d.Among(places); ok {
				found = n
				return nil
			}
		}
		d, err := citus.DroppersOf(ctx, conn)
		if fault.Denied(err) {
			found = of
			return nil
		}
		if err != nil {
			return err
		}
		n, ok := d.Among(places)
		if !ok {
			return &fault.PassingError{Err: fmt.Errorf("a node with shards of %s does not say which triggers it has", l.Target.Table)}
		}
		found = n
		return nil
	})
	return found, of, err
}
