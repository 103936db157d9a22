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
	"shardload/internal/fault"
	"shardload/internal/server"
)

// An Entry is a job in a list, and how far it is.
type Entry struct {
	Job
	// Target is the table by the schema of its table of jobs and its name when the job was
	// begun, and by its OID, or that of what has the name now: 0 if nothing has.
	Target Target
	Table  string // the name that it has now, as people write it: quoted where it must be
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
	// Runs are the open runs of a set, which are not in the list themselves. Rows and other counts of the
	// set are those of all of its runs; Stand says more.
	Runs []*Entry
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

// An Unreadable is a table of jobs that the role may not read.
type Unreadable struct {
	Table string // quoted
	Do    string // the statements that allow it
}

// A Listing is what List finds.
type Listing struct {
	Jobs []*Entry
	// Unreadable are the tables of jobs that the role may not read.
	Unreadable []Unreadable
	// LeftAlone are tables with a name of ours that are not used.
	LeftAlone []UntrustedError
	// Orphans are progress tables of no job.
	Orphans []*Orphan
}

// List returns the jobs of all tables of jobs in the database that the role may
// read, in the order in which they were begun. On Citus conn must lead to the
// coordinator.
//
// Whoever may make tables decides what is in them, and in the database of many people
// that is anybody: they are read by COPY, which reads nothing but tables and runs no
// code of theirs, and what they hold is data.
func List(ctx context.Context, conn *pgx.Conn) (*Listing, error) {
	if err := citus.CheckCoordinator(ctx, conn); err != nil {
		return nil, err
	}
	l := &Listing{}
	err := l.read(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("list the jobs: %w", err)
	}
	l.foldRuns()
	slices.SortStableFunc(l.Jobs, func(a, b *Entry) int {
		return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.ID, b.ID))
	})
	return l, nil
}

func (l *Listing) read(ctx context.Context, conn *pgx.Conn) error {
	tables, err := findTables(ctx, conn)
	if err != nil {
		return err
	}
	for _, t := range tables.jobs {
		if err := l.readJobs(ctx, conn, t); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, *pgx.Conn) error{l.findTargets, l.findWorking} {
		if err := server.Tx(ctx, conn, server.Read, func() error { return step(ctx, conn) }); err != nil {
			return err
		}
	}
	l.orphans(tables)
	return l.readProgress(ctx, conn, tables)
}

// leaveAlone notes that a table is not used.
func (l *Listing) leaveAlone(t *found, why string) {
	l.LeftAlone = append(l.LeftAlone, UntrustedError{Table: t.sql(), Reason: why})
}

// readJobs reads a table of jobs.
func (l *Listing) readJobs(ctx context.Context, conn *pgx.Conn, t *found) error {
	switch {
	case t.why != "":
		l.leaveAlone(t, t.why)
		return nil
	case !t.readable:
		l.Unreadable = append(l.Unreadable, Unreadable{Table: t.sql(), Do: t.grant()})
		return nil
	}
	list, err := t.entries(ctx, conn)
	large, isLarge := errors.AsType[*UntrustedError](err)
	switch {
	case undefined(err): // dropped at this moment
		return nil
	case isLarge:
		l.leaveAlone(t, large.Reason)
		return nil
	case passable(err, conn):
		l.leaveAlone(t, "cannot be read: "+unreadReason(err))
		return nil
	}
	l.Jobs = append(l.Jobs, list...)
	return err
}

// passable reports whether err is of one table alone.
func passable(err error, conn *pgx.Conn) bool { return err != nil && !conn.IsClosed() }

// findTargets fills in the names and OIDs of the targets: those that have the OID of the
// job, by the names that they have now, or, where they are gone, what has their names. A job counts only if its table
// of jobs belongs to somebody whom the role trusts about this target.
func (l *Listing) findTargets(ctx context.Context, conn *pgx.Conn) error {
	var schemas, names []string
	var jobs, tables []uint32
	for _, e := range l.Jobs {
		schemas, names, jobs = append(schemas, e.Target.Table.Schema), append(names, e.Target.Table.Name), append(jobs, e.Target.Table.OID)
		tables = append(tables, e.TableOID)
	}
	rows, err := conn.Query(ctx, `SELECT u.n, pg_catalog.format('%I.%I', coalesce(own_s.nspname::pg_catalog.text, u.s), coalesce(own.relname::pg_catalog.text, u.t)),
		coalesce(own.oid, it.oid, 0), coalesce(`+ownerSQL("coalesce(own.oid, it.oid)")+`, false), coalesce(o.rolname::pg_catalog.text, '')
		FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.oid[]), pg_catalog.unnest($4::pg_catalog.oid[]))
			WITH ORDINALITY AS u (s, t, jobs, target, n)
		LEFT JOIN pg_catalog.pg_class c ON c.oid = u.jobs LEFT JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
		LEFT JOIN (pg_catalog.pg_class own JOIN pg_catalog.pg_namespace own_s ON own_s.oid = own.relnamespace) ON own.oid = u.target AND own.relkind IN ('r', 'p')
		LEFT JOIN (pg_catalog.pg_namespace s JOIN pg_catalog.pg_class it ON it.relnamespace = s.oid) ON s.nspname::pg_catalog.text = u.s AND it.relname::pg_catalog.text = u.t
		ORDER BY u.n`, schemas, names, jobs, tables)
	if err != nil {
		return err
	}
	var n int64
	var name, owner string
	var oid uint32
	var trusted bool
	var left []*Entry
	_, err = pgx.ForEachRow(rows, []any{&n, &name, &oid, &trusted, &owner}, func() error {
		e := l.Jobs[n-1]
		e.Table, e.Target.Table.OID = name, oid
		if !trusted {
			l.distrust(e, owner)
			return nil
		}
		left = append(left, e)
		switch {
		case e.Complete() || oid == e.TableOID || e.Problem != "":
		case oid == 0:
			e.Problem = "the table is gone"
		default:
			e.Problem = "the table was made anew or rebuilt since"
		}
		return nil
	})
	l.Jobs = left
	return err
}

// distrust leaves the table of jobs alone that has e.
func (l *Listing) distrust(e *Entry, owner string) {
	alone := UntrustedError{Table: e.Target.Jobs(), Reason: "belongs to " + owner}
	if !slices.Contains(l.LeftAlone, alone) {
		l.LeftAlone = append(l.LeftAlone, alone)
	}
}

// findWorking sees which jobs are locked.
func (l *Listing) findWorking(ctx context.Context, conn *pgx.Conn) error {
	locks, err := advisoryLocks(ctx, conn)
	if err != nil {
		return err
	}
	for _, e := range l.Jobs {
		e.Working = slices.ContainsFunc(e.lockKeys(), func(lock int64) bool { return locks[lock] })
	}
	return nil
}

// lockKeys returns the numbers of the advisory locks under which a process may be
// working on the job: that of the table of the name now, and of the one when the
// job began.
func (e *Entry) lockKeys() []int64 {
	return []int64{jobLock(e.Target.Table.OID, e.Name), jobLock(e.TableOID, e.Name)}
}

// readProgress fills in how far the unfinished jobs are. It leaves out what was
// forgotten meanwhile.
func (l *Listing) readProgress(ctx context.Context, conn *pgx.Conn, tables *allFound) error {
	var left []*Entry
	for _, e := range l.Jobs {
		if e.Storing() {
			e.Unread = "it is stored in one transaction, and the load has not seen yet that all nodes have committed it; loading it again looks"
		}
		if e.Complete() || e.Progress == "" {
			left = append(left, e)
			continue
		}
		t := tables.marksOf(e)
		err := e.readMarks(ctx, conn, t)
		if undefined(err) { // complete or forgotten meanwhile?
			now, again := e.reread(ctx, conn)
			if again != nil {
				return again
			}
			if now == nil {
				continue
			}
			e, err = now, nil
		}
		if passable(err, conn) {
			e.Unread, err = unreadReason(err), nil
		}
		if err != nil {
			return err
		}
		left = append(left, e)
	}
	l.Jobs = left
	return nil
}

// unreadReason says why marks could not be read.
func unreadReason(err error) string {
	if fault.Is(err, fault.LockNotAvailable) {
		return "another session has it locked"
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Message
	}
	return err.Error()
}

// reread returns e as it is after its progress table was found to be gone, nil if it is
// forgotten.
func (e *Entry) reread(ctx context.Context, conn *pgx.Conn) (*Entry, error) {
	tables, err := findTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	var list []*Entry
	for _, t := range tables.jobs {
		if t.schema == e.Target.Table.Schema && t.why == "" && t.readable {
			list, err = t.entries(ctx, conn)
		}
	}
	if err != nil && !undefined(err) {
		return nil, err
	}
	for _, now := range list {
		if now.ID != e.ID {
			continue
		}
		if now.Complete() {
			now.Target, now.Table = e.Target, e.Table
			return now, nil
		}
		err := e.readMarks(ctx, conn, tables.marksOf(e)) // if it has just begun
		if undefined(err) {
			e.Problem, err = cmp.Or(e.Problem, "its progress table is gone, and with it how much is stored"), nil
		}
		return e, err
	}
	return nil, nil
}

// undefined reports whether err says that a table does not exist.
func undefined(err error) bool {
	return fault.Is(err, fault.UndefinedTable, fault.NoSchema)
}

// newEntry returns the entry of a job of a schema.
func newEntry(job *Job, schema, target string, jobs uint32) *Entry {
	t := &catalog.Table{Schema: schema, Name: target, OID: jobs} // until the target is looked up
	return &Entry{Job: *job, Target: Target{Table: t, Distribution: &citus.Distribution{Kind: job.Kind}}, Advanced: job.Finished}
}
