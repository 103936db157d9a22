package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// A table that is moved with ALTER TABLE … SET SCHEMA leaves its jobs behind, in the table
// of jobs of the schema that it was in. So whoever finds no job of an input looks in the
// other schemas, too. What he finds there he moves after the table.

// Elsewhere are tables of jobs in other schemas than the target's: those that the role may
// read and trusts about the target. Whether they are as shardload makes them is not known.
type Elsewhere []*found

// elsewhereSQL finds them. There is an index for the name. It opens none of them, and so waits
// for nobody who has one locked.
func elsewhereSQL(t Target) string {
	return fmt.Sprintf(`SELECT n.nspname::pg_catalog.text, c.oid, o.rolname::pg_catalog.text, EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'citus')
		%s JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = %s AND n.nspname <> %s AND c.relkind = 'r' AND c.relpersistence <> 't' AND %s
		AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') ORDER BY 1`,
		fromOwned, server.Literal(jobsTable), server.Literal(t.Table.Schema), ownerSQL(fmt.Sprint(t.Table.OID)))
}

// queue asks for them.
func (e *Elsewhere) queue(batch *pgx.Batch, t Target) {
	batch.Queue(elsewhereSQL(t)).Query(func(rows pgx.Rows) (err error) {
		*e, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*found, error) {
			t := &found{name: jobsTable}
			return t, row.Scan(&t.schema, &t.oid, &t.owner, &t.citus)
		})
		return err
	})
}

func findElsewhere(ctx context.Context, conn *pgx.Conn, t Target) (e Elsewhere, err error) {
	batch := &pgx.Batch{}
	e.queue(batch, t)
	if err := server.Ask(ctx, conn, batch); err != nil {
		return nil, fmt.Errorf("look for jobs in other schemas: %w", err)
	}
	return e, nil
}

// Jobs returns the jobs of the target that are there, the latest first. They are read as
// List reads them.
func (e Elsewhere) Jobs(ctx context.Context, conn *pgx.Conn, t Target) (list []*Entry, err error) {
	oids, err := e.having(ctx, conn, t)
	if err == nil && len(oids) > 0 {
		list, err = jobsOf(ctx, conn, t, oids)
	}
	if err != nil {
		return nil, fmt.Errorf("look for jobs in other schemas: %w", err)
	}
	slices.SortStableFunc(list, func(a, b *Entry) int { return cmp.Or(b.Begun.Compare(a.Begun), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// having returns which of the tables have jobs of the target, and those into which it cannot
// look here. COPY runs nobody's code, whatever the table is. Each is looked into in a
// transaction of its own: whoever waits for one must not have locked another, since those who
// wait for that one may hold the first on a node, where no server sees the circle.
func (e Elsewhere) having(ctx context.Context, conn *pgx.Conn, t Target) (oids []uint32, err error) {
	distributed, err := e.distributed(ctx, conn)
	if err != nil {
		return nil, err
	}
	oid := fmt.Sprint(t.Table.OID)
	for _, from := range e {
		if slices.Contains(distributed, from.oid) { // it may have to be read as its owner
			oids = append(oids, from.oid)
			continue
		}
		has := false
		err := from.copyOut(ctx, conn, "target_oid", func(fields []string) error {
			has = has || fields[0] == oid
			return nil
		})
		if err != nil && (conn.IsClosed() || !fault.Server(err) && Untrusted(err) == nil) {
			return nil, err
		}
		if has || err != nil && Untrusted(err) == nil {
			oids = append(oids, from.oid)
		}
	}
	return oids, nil
}

// distributed returns which of the tables are Citus's.
func (e Elsewhere) distributed(ctx context.Context, conn *pgx.Conn) (oids []uint32, err error) {
	for _, from := range e {
		if from.citus {
			oids = append(oids, from.oid)
		}
	}
	if len(oids) == 0 {
		return nil, nil
	}
	batch := &pgx.Batch{}
	batch.Queue(`SELECT p.logicalrelid::pg_catalog.oid FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid = ANY ($1::pg_catalog.oid[])`, oids).Query(func(rows pgx.Rows) (err error) {
		oids, err = pgx.CollectRows(rows, pgx.RowTo[uint32])
		return err
	})
	err = server.Ask(ctx, conn, batch)
	return oids, err
}

// jobsOf returns the jobs of the target in tables of these OIDs, if they are as shardload
// makes them.
func jobsOf(ctx context.Context, conn *pgx.Conn, t Target, oids []uint32) (list []*Entry, err error) {
	var all *allFound
	err = server.Tx(ctx, conn, server.Read, func() error {
		all, err = readTables(ctx, conn, "c.oid = ANY ($1::pg_catalog.oid[])", oids)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, from := range all.jobs {
		if from.why != "" || !from.readable {
			continue
		}
		entries, err := from.entries(ctx, conn)
		if err != nil && (!ofTable(err) || conn.IsClosed()) {
			return nil, err
		}
		for _, entry := range entries {
			if err == nil && entry.TableOID == t.Table.OID {
				entry.Target.Table.OID, entry.Target.Waiting = t.Table.OID, t.Waiting
				list = append(list, entry)
			}
		}
	}
	return list, nil
}

// ForgetElsewhere forgets the jobs of a table that was emptied which lie in other schemas,
// as far as the role may: what is left refuses a later load, and misleads none.
func ForgetElsewhere(ctx context.Context, conn *pgx.Conn, t Target) error {
	elsewhere, err := findElsewhere(ctx, conn, t)
	if err != nil {
		return err
	}
	list, err := elsewhere.Jobs(ctx, conn, t)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Of != "" { // it goes with its set
			continue
		}
		if err := Forget(ctx, conn, e); err != nil && !fault.Denied(err) && Untrusted(err) == nil {
			return err
		}
	}
	return nil
}

// ofTable reports whether err is of a table that is gone, closed to the role, or too large, or
// has what shardload did not write: it is left alone.
func ofTable(err error) bool {
	return undefined(err) || fault.Denied(err) || errors.Is(err, errRow) || Untrusted(err) != nil
}

// Follow moves a job of the target, and its table of progress, from the schema that the target
// was in to that in which it is. The jobs that it replaces are forgotten.
func Follow(ctx context.Context, conn *pgx.Conn, t Target, e *Entry, replaces []string) error {
	err := server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := prepare(ctx, tx, t); err != nil {
			return err
		}
		if err := lockSchema(ctx, tx, e.Target); err != nil {
			return err
		}
		if err := guard(ctx, conn, guardJobsSQL(e.Target)); err != nil {
			return err
		}
		if err := forget(ctx, tx, t, replaces); err != nil {
			return err
		}
		return follow(ctx, tx, t, e)
	})
	if err != nil {
		return fmt.Errorf("move job %s from %s to %s: %w", e.ID, e.Target.Jobs(), t.Jobs(), err)
	}
	return nil
}

const movedColumns = "id, target_oid, file_node, kind, name, fingerprint, rejects, begun, finished, rows, rejected, updated, skipped, bytes"

// follow moves the rows of a job, in a transaction that has found both tables of jobs to be
// ours. If it is gone there is nothing to do.
func follow(ctx context.Context, tx pgx.Tx, t Target, e *Entry) error {
	if err := followSet(ctx, tx, t, e); err != nil {
		return err
	}
	var values [14]*string
	var fields []any
	for i := range values {
		fields = append(fields, &values[i])
	}
	var progress bool
	err := asOwner(ctx, tx, e.Target.Jobs(), func() error {
		sql := `DELETE FROM ` + e.Target.Jobs() + ` WHERE id = $1::pg_catalog.text AND target_oid = $2::pg_catalog.oid RETURNING id, target_oid::pg_catalog.text, file_node::pg_catalog.text, kind, name,
			fingerprint::pg_catalog.text, rejects, begun::pg_catalog.text, finished::pg_catalog.text, rows::pg_catalog.text, rejected::pg_catalog.text, updated::pg_catalog.text, skipped::pg_catalog.text,
			bytes::pg_catalog.text, progress IS NOT NULL`
		return tx.QueryRow(ctx, sql, e.ID, t.Table.OID).Scan(append(fields, &progress)...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	args := []any{t.Table.Name, nil}
	if progress {
		if args[1], err = followProgress(ctx, tx, t, e); err != nil {
			return err
		}
	}
	for _, v := range values {
		args = append(args, v)
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+t.Jobs()+` (target, progress, `+movedColumns+`) VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.text::pg_catalog.oid,
		$5::pg_catalog.text::pg_catalog.oid, $6::pg_catalog.text, $7::pg_catalog.text, $8::pg_catalog.text::pg_catalog.jsonb, $9::pg_catalog.text, $10::pg_catalog.text::pg_catalog.timestamptz,
		$11::pg_catalog.text::pg_catalog.timestamptz, $12::pg_catalog.text::pg_catalog.int8, $13::pg_catalog.text::pg_catalog.int8, $14::pg_catalog.text::pg_catalog.int8,
		$15::pg_catalog.text::pg_catalog.int8, $16::pg_catalog.text::pg_catalog.int8)`, args...)
	return err
}

// followProgress moves the progress table of a job, if it is there and ours, and returns its
// new name.
func followProgress(ctx context.Context, tx pgx.Tx, t Target, e *Entry) (name string, err error) {
	if name, err = e.progressTable(t.Table.Schema); err != nil {
		return "", err
	}
	there, err := ownProgress(ctx, tx, e.Target, &e.Job)
	if err != nil || there == "" {
		return name, err
	}
	return name, server.Exec(ctx, tx.Conn().PgConn(), "ALTER TABLE "+there+" SET SCHEMA "+pgx.Identifier{t.Table.Schema}.Sanitize())
}
