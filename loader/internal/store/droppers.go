package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/fault"
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
	case len(x.b.Sections) == 0:
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

// noneBeside asks the nodes of all shards, in its own transaction, whether none of them
// has a trigger that may drop rows. It reports false in doubt.
func (x *tx) noneBeside(ctx context.Context) (none bool, err error) {
	groups := fmt.Sprintf(`SELECT DISTINCT p.groupid FROM pg_catalog.pg_dist_placement p JOIN pg_catalog.pg_dist_shard s USING (shardid) WHERE s.logicalrelid = %d::oid`, x.load.Target.Table.OID)
	results, err := x.conn.Exec(ctx, server.OwnPathSQL+"; "+citus.FewConnectionsSQL+"; "+groups+"; "+citus.DroppersBesideSQL(x.t.Marks)+"; "+x.load.Target.Session.PathSQL()).ReadAll()
	if err != nil {
		return false, err
	}
	d := citus.Droppers{}
	for _, row := range results[3].Rows {
		d.Add(row[0])
	}
	for _, row := range results[2].Rows {
		tables, asked := d.Of(row[0])
		if !asked || tables > 0 {
			return false, nil
		}
	}
	return true, nil
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
