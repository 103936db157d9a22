package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// An Orphan is a progress table whose job is gone: nothing goes on with it.
type Orphan struct {
	Schema, ID string // ID is that of its job, or of the set
	Table      string // quoted
	name       string
	// Users are the sessions that write to it: a load whose job was taken away from it.
	// Orphans fills them in.
	Users []server.Holder
	oid   uint32
}

// gone is the server's error for a table that is not there.
func gone() error {
	return &pgconn.PgError{Code: fault.UndefinedTable, Message: "the table does not exist"}
}

// Orphans returns the progress tables of no job that the role may drop.
func Orphans(ctx context.Context, conn *pgx.Conn) ([]*Orphan, error) {
	l, err := List(ctx, conn)
	if err != nil || len(l.Orphans) == 0 {
		return nil, err
	}
	var list []*Orphan
	err = server.Tx(ctx, conn, server.Read, func() error {
		list, err = droppable(ctx, conn, l.Orphans)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for progress tables of no job: %w", err)
	}
	return list, nil
}

// droppable returns those of the orphans that the role may drop, with their users: a load
// that works holds a lock on its progress table.
func droppable(ctx context.Context, conn *pgx.Conn, orphans []*Orphan) (list []*Orphan, err error) {
	var oids []uint32
	for _, o := range orphans {
		oids = append(oids, o.oid)
	}
	rows, err := conn.Query(ctx, `SELECT u.n, coalesce(l.pid, 0), coalesce(a.usename::pg_catalog.text, ''), coalesce(a.application_name, '')
		FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS u (oid, n)
		JOIN pg_catalog.pg_class c ON c.oid = u.oid AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
		LEFT JOIN pg_catalog.pg_locks l ON l.locktype = 'relation' AND l.relation = c.oid AND l.granted AND l.mode = 'RowExclusiveLock'
			AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
		LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid ORDER BY 1, 2`, oids)
	if err != nil {
		return nil, err
	}
	var n int64
	var h server.Holder
	_, err = pgx.ForEachRow(rows, []any{&n, &h.PID, &h.User, &h.Application}, func() error {
		o := orphans[n-1]
		if len(list) == 0 || list[len(list)-1] != o {
			list = append(list, o)
		}
		if h.PID != 0 {
			o.Users = append(o.Users, h)
		}
		return nil
	})
	return list, err
}

// orphans looks for progress tables of no job in schemas the jobs of which were read.
func (l *Listing) orphans(tables *allFound) {
	unknown := map[string]bool{} // schemas of which the jobs are not known
	for _, t := range tables.jobs {
		unknown[t.sql()] = t.why != "" || !t.readable
	}
	for _, alone := range l.LeftAlone {
		unknown[alone.Table] = true
	}
	jobs := map[string]bool{}
	for _, e := range l.Jobs {
		jobs[e.Progress] = true
		jobs[server.Shown(e.Target.Table.Schema, sharedPrefix+e.ID)] = true // its runs may be of a later version
	}
	for _, schema := range slices.Sorted(maps.Keys(tables.progress)) {
		if unknown[server.Shown(schema, jobsTable)] {
			continue
		}
		list := tables.progress[schema]
		for _, name := range slices.Sorted(maps.Keys(list)) {
			t := list[name]
			id, _ := isOurs(name)
			switch {
			case jobs[t.sql()]:
			case t.why != "":
				l.leaveAlone(t, t.why)
			case !t.trusted:
				l.leaveAlone(t, "belongs to "+t.owner)
			default:
				l.Orphans = append(l.Orphans, &Orphan{Schema: schema, ID: id, Table: t.sql(), name: name, oid: t.oid})
			}
		}
	}
}

// RemoveOrphan drops an orphan, unless it has a job by now, or a load works with it.
func RemoveOrphan(ctx context.Context, conn *pgx.Conn, o *Orphan) error {
	t := Target{Table: &catalog.Table{Schema: o.Schema}}
	err := server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := lockSchema(ctx, tx, t); err != nil {
			return err
		}
		if err := hasNoJob(ctx, tx, t, o.ID); err != nil {
			return err
		}
		// A load lets those pass who wait for its lock. So nobody waits here.
		err := server.Exec(ctx, conn.PgConn(), "LOCK TABLE "+o.Table+" IN ACCESS EXCLUSIVE MODE NOWAIT")
		if err != nil {
			return inUse(err)
		}
		return dropProgress(ctx, tx, t, o.job())
	})
	if undefined(err) { // it went by itself
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the left-over progress table %s: %w", o.Table, err)
	}
	return nil
}

// job returns a job whose progress table that is.
func (o *Orphan) job() *Job {
	return &Job{ID: o.ID, InSet: InSet{Of: o.ID, Shared: strings.HasPrefix(o.name, sharedPrefix)}}
}

// inUse says what an error of LOCK TABLE … NOWAIT means. Citus locks node after node, by
// host and port. Where another node than this one refuses, it does not say why.
func inUse(err error) error {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && pgErr.Code == fault.LockNotAvailable:
		return errors.New("it is in use")
	case ok && pgErr.Code == fault.InternalError:
		return fmt.Errorf("it is in use on a node, or the node does not answer: %w", err)
	}
	return err
}

// hasNoJob makes sure that no job of the schema has that id.
func hasNoJob(ctx context.Context, tx pgx.Tx, t Target, id string) error {
	there, err := isThere(ctx, tx, t)
	if err != nil || !there {
		return err
	}
	if err := guard(ctx, tx.Conn(), guardJobsSQL(t)); err != nil {
		return err
	}
	var job bool
	err = asOwner(ctx, tx, t.Jobs(), func() error {
		return tx.QueryRow(ctx, `SELECT pg_catalog.count(*) > 0 FROM `+t.Jobs()+` WHERE id = $1::pg_catalog.text`, id).Scan(&job)
	})
	if err != nil {
		return err
	}
	if job {
		return fmt.Errorf("it belongs to job %s", id)
	}
	return nil
}
