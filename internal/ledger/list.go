package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
)

// An Entry is a job in a list, and how far it is.
type Entry struct {
	Job
	// Target is the table by its names, and by the OID of what has them now: 0 if
	// nothing has.
	Target Target
	Table  string // Target's name as people write it: quoted where it must be
	// Working says that a process is working on the job.
	Working bool
	// Advanced is when a mark was last moved, or the job completed. It is zero if
	// that is not known.
	Advanced time.Time
	// far is where in the input the marks of an unfinished job are, in its Unit: their
	// mean, since lanes with few rows are far behind the others.
	far float64
	// Problem says why an unfinished job cannot go on, "" if it can.
	Problem string
	// Unread says why it is not known how far it is, "" if it is known.
	Unread string
}

// Done returns about how much of the input is stored, from 0 to 1. ok is false if
// that is not known: what is compressed or comes out of a pipe has no length.
func (e *Entry) Done() (part float64, ok bool) {
	switch {
	case e.Complete():
		return 1, true
	case e.Problem != "" || e.Unread != "" || e.Fingerprint.Size <= 0 || e.Fingerprint.Unit == "":
		return 0, false
	}
	return min(e.far/float64(e.Fingerprint.Size), 1), true
}

// List returns the jobs of all tables of jobs in the database that the role may
// read, in the order in which they were begun. On Citus conn must lead to the
// coordinator.
func List(ctx context.Context, conn *pgx.Conn) ([]*Entry, error) {
	if err := citus.CheckCoordinator(ctx, conn); err != nil {
		return nil, err
	}
	list, err := readAll(ctx, conn)
	if err == nil {
		err = findTargets(ctx, conn, list)
	}
	if err == nil {
		err = findWorking(ctx, conn, list)
	}
	if err == nil {
		list, err = readProgress(ctx, conn, list)
	}
	if err != nil {
		return nil, fmt.Errorf("list the jobs: %w", err)
	}
	slices.SortStableFunc(list, func(a, b *Entry) int {
		return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// readAll reads all tables of jobs.
func readAll(ctx context.Context, conn *pgx.Conn) ([]*Entry, error) {
	rows, err := conn.Query(ctx, `SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = $1::text AND c.relkind = 'r' AND c.relpersistence <> 't'
		AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1`, jobsTable)
	if err != nil {
		return nil, err
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var list []*Entry
	for _, schema := range schemas {
		found, err := readJobs(ctx, conn, schema, "true")
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// readJobs reads those jobs of a schema that where names.
func readJobs(ctx context.Context, conn *pgx.Conn, schema, where string, args ...any) ([]*Entry, error) {
	table := pgx.Identifier{schema, jobsTable}.Sanitize()
	rows, err := conn.Query(ctx, `SELECT `+jobColumns+`, target FROM `+table+` WHERE `+where, args...)
	if err == nil {
		var list []*Entry
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Entry, error) {
			t := &catalog.Table{Schema: schema}
			job, err := scanJob(row, &t.Name)
			if err != nil {
				return nil, err
			}
			return &Entry{Job: *job, Target: Target{Table: t, Distribution: &citus.Distribution{Kind: job.Kind}}, Advanced: job.Finished}, nil
		})
		if err == nil || undefined(err) { // dropped at this moment
			return list, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", table, err)
}

// findTargets fills in the names and OIDs of the targets. It is a query of its own: a table
// of jobs may lie on a worker, where tables have other OIDs.
func findTargets(ctx context.Context, conn *pgx.Conn, list []*Entry) error {
	var schemas, names []string
	for _, e := range list {
		schemas, names = append(schemas, e.Target.Table.Schema), append(names, e.Target.Table.Name)
	}
	rows, err := conn.Query(ctx, `SELECT name, coalesce(to_regclass(name)::oid, 0) FROM (
		SELECT format('%I.%I', s, t) AS name, n FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(s, t, n)) AS named ORDER BY n`, schemas, names)
	if err != nil {
		return err
	}
	i := 0
	var name string
	var oid uint32
	_, err = pgx.ForEachRow(rows, []any{&name, &oid}, func() error {
		e := list[i]
		i++
		e.Table, e.Target.Table.OID = name, oid
		switch {
		case e.Complete() || oid == e.TableOID:
		case oid == 0:
			e.Problem = "the table is gone"
		default:
			e.Problem = "the table was made anew or rebuilt since"
		}
		return nil
	})
	return err
}

// findWorking sees which jobs are locked.
func findWorking(ctx context.Context, conn *pgx.Conn, list []*Entry) error {
	rows, err := conn.Query(ctx, `SELECT (classid::bigint << 32) | objid::bigint FROM pg_catalog.pg_locks
		WHERE locktype = 'advisory' AND objsubid = 1 AND granted
		AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`)
	if err != nil {
		return err
	}
	locks, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, e := range list {
		e.Working = slices.ContainsFunc(locks, func(lock int64) bool {
			return slices.Contains(e.lockKeys(), lock)
		})
	}
	return nil
}

// lockKeys returns the numbers of the advisory locks under which a process may be
// working on the job: that of the table of the name now, and of the one when the
// job began.
func (e *Entry) lockKeys() []int64 {
	return []int64{lockKey(e.Target.Table.OID, e.Name), lockKey(e.TableOID, e.Name)}
}

// readProgress fills in how far the unfinished jobs are. It leaves out what was
// forgotten meanwhile.
func readProgress(ctx context.Context, conn *pgx.Conn, list []*Entry) (left []*Entry, err error) {
	for _, e := range list {
		err := e.readMarks(ctx, conn)
		if undefined(err) { // complete or forgotten meanwhile?
			now, again := readJobs(ctx, conn, e.Target.Table.Schema, "id = $1::text", e.ID)
			if again != nil {
				return nil, again
			}
			if len(now) == 0 {
				continue
			}
			e.Problem = cmp.Or(e.Problem, "its progress table is gone, and with it how much is stored")
			if now[0].Complete() {
				now[0].Target, now[0].Table = e.Target, e.Table
				e = now[0]
			}
			err = nil
		}
		if pgErr, refused := errors.AsType[*pgconn.PgError](err); refused {
			e.Unread = pgErr.Message
		} else if err != nil {
			return nil, err
		}
		left = append(left, e)
	}
	return left, nil
}

// readMarks adds up the marks of an unfinished job. If a lane has n rows before its
// mark at p it has about n * size / p in all: that is where the mean comes from.
func (e *Entry) readMarks(ctx context.Context, conn *pgx.Conn) error {
	if e.Complete() {
		return nil
	}
	mark := "place"
	if e.Fingerprint.Unit == Blocks {
		mark = "chunk"
	}
	var lanes int64
	var advanced *time.Time
	err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), coalesce(sum(rows), 0)::bigint, coalesce(sum(rejected), 0)::bigint,
		coalesce(sum(updated), 0)::bigint, coalesce(sum(skipped), 0)::bigint, max(advanced),
		coalesce(sum((rows + rejected)::float8) FILTER (WHERE %[1]s > 0) / nullif(sum((rows + rejected)::float8 / nullif(%[1]s, 0)), 0), 0)
		FROM %[2]s`, mark, e.Progress)).Scan(&lanes, &e.Rows, &e.Rejected, &e.Updated, &e.Skipped, &advanced, &e.far)
	if err != nil {
		return err
	}
	if advanced != nil {
		e.Advanced = *advanced
	}
	if lanes == 0 {
		e.Problem = "its progress table is empty: a crash empties unlogged tables"
	}
	return nil
}

// undefined reports whether err says that a table does not exist.
func undefined(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code == "42P01" || pgErr.Code == "3F000")
}
