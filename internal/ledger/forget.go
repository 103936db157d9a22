package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// ErrWorking reports that a process is working on a job.
var ErrWorking = errors.New("a process is loading it")

// Forget removes a job and its progress. What it stored stays. If a process is
// working on the job the error is ErrWorking, and none begins to meanwhile.
func Forget(ctx context.Context, conn *pgx.Conn, e *Entry) error {
	if e.Of != "" {
		return fmt.Errorf("forget job %s: it is a run of job %s, and goes with that one", e.ID, e.Of)
	}
	err := server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, key := range e.lockKeys() {
			err := takeJob(ctx, conn, key, nil, nil)
			if _, locked := errors.AsType[*server.LockedError](err); locked {
				return ErrWorking
			}
			if err != nil {
				return err
			}
		}
		if err := lockSchema(ctx, tx, e.Target); err != nil {
			return err
		}
		if err := guard(ctx, conn, guardJobsSQL(e.Target)); err != nil {
			return err
		}
		if err := lockRuns(ctx, tx, e); err != nil {
			return err
		}
		return forgetShards(ctx, tx, e)
	})
	if err != nil {
		return fmt.Errorf("forget job %s: %w", e.ID, err)
	}
	return nil
}

// forgetShards removes the job, in a transaction that has found the table of jobs to be
// ours, on the coordinator: see asOwner.
func forgetShards(ctx context.Context, tx pgx.Tx, e *Entry) (err error) {
	del := func(of []string) (jobs []*Job, sets []string, err error) {
		err = asOwner(ctx, tx, e.Target.Jobs(), func() (err error) {
			jobs, sets, err = deleteJobs(ctx, tx, e.Target, of)
			return err
		})
		return jobs, sets, err
	}
	jobs, err := deleteAll(ctx, tx, e.Target, []string{e.ID}, del)
	for _, j := range jobs {
		if err != nil {
			break
		}
		err = asOwner(ctx, tx, j.Progress, func() error { return dropProgress(ctx, tx, e.Target, j) })
	}
	return err
}

// lockSchema does what lock does, in a schema that may be anybody's.
func lockSchema(ctx context.Context, tx pgx.Tx, t Target) error {
	if err := lock(ctx, tx.Conn(), t); err != nil {
		return err
	}
	return holdSchema(ctx, tx, t.Table.Schema)
}

// holdSchema keeps the owner of a schema from putting another one in its place between
// two statements of a superuser, who works here in schemas that nobody has told it to
// trust. Others cannot, and load there only what they chose to.
func holdSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	var hold bool
	err := tx.QueryRow(ctx, `SELECT NOT o.rolsuper AND me.rolsuper FROM pg_catalog.pg_namespace n
		JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner JOIN pg_catalog.pg_roles me ON me.rolname = current_user
		WHERE n.nspname = $1::pg_catalog.name`, schema).Scan(&hold)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // and so is everything in it
	}
	if err != nil || !hold {
		return err
	}
	return server.Exec(ctx, tx.Conn().PgConn(), "LOCK TABLE pg_catalog.pg_namespace IN SHARE MODE")
}

// ForgetTable removes all jobs of the target, in a transaction that empties it.
func ForgetTable(ctx context.Context, tx pgx.Tx, t Target) error {
	if err := lock(ctx, tx.Conn(), t); err != nil {
		return err
	}
	there, err := isThere(ctx, tx, t)
	if err != nil || !there {
		return err
	}
	if err := guard(ctx, tx.Conn(), guardJobsSQL(t)); err != nil {
		return err
	}
	ids, err := jobsToForget(ctx, tx, t)
	if err != nil {
		return err
	}
	return forget(ctx, tx, t, ids)
}

// forget removes the jobs of these ids, in a transaction that has found the table of
// jobs to be ours. Their progress tables are those that their ids name.
func forget(ctx context.Context, tx pgx.Tx, t Target, ids []string) error {
	jobs, err := deleteAll(ctx, tx, t, ids, func(of []string) (jobs []*Job, sets []string, err error) { return deleteJobs(ctx, tx, t, of) })
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := dropProgress(ctx, tx, t, j); err != nil {
			return err
		}
	}
	return nil
}

// deleteJobs deletes jobs as forget does, and returns those that have a progress table, as far as it is
// to be known, and the ids of those that are sets.
func deleteJobs(ctx context.Context, tx pgx.Tx, t Target, of []string) (jobs []*Job, sets []string, err error) {
	rows, err := tx.Query(ctx, `DELETE FROM `+t.Jobs()+` WHERE id = ANY ($1::pg_catalog.text[]) RETURNING id, progress IS NOT NULL, (fingerprint->'set') IS NOT NULL,
		coalesce(fingerprint->>'of', ''), coalesce(fingerprint->>'shared', '') = 'true'`, of)
	if err != nil {
		return nil, nil, err
	}
	var j Job
	var progress, set bool
	_, err = pgx.ForEachRow(rows, []any{&j.ID, &progress, &set, &j.Of, &j.Shared}, func() error {
		var no error // another id than we give has no table
		if j.Progress, no = j.progressTable(t.Table.Schema); progress && no == nil {
			jobs = append(jobs, new(j))
		}
		if set {
			sets = append(sets, j.ID)
		}
		return nil
	})
	return jobs, sets, err
}

// dropProgress drops the progress table of that job, if it is there and ours, and the table of its
// rejected records. A table that runs share goes with the first of them: they are forgotten together.
func dropProgress(ctx context.Context, tx pgx.Tx, t Target, j *Job) error {
	if err := dropAside(ctx, tx, t, j.ID); err != nil {
		return err
	}
	table, err := ownProgress(ctx, tx, t, j)
	if err != nil || table == "" {
		return err
	}
	return server.Exec(ctx, tx.Conn().PgConn(), "DROP TABLE "+table)
}

// ownProgress returns the progress table of that job, "" if it is not there. It is an error
// if it is not ours.
func ownProgress(ctx context.Context, tx pgx.Tx, t Target, j *Job) (table string, err error) {
	if table, err = j.progressTable(t.Table.Schema); err != nil {
		return "", err
	}
	return ownTable(ctx, tx, t, table, j.marksShape())
}

// ownTable returns table, "" if it is not there. It is an error if it is not ours, and of that shape.
func ownTable(ctx context.Context, tx pgx.Tx, t Target, table string, s shape) (string, error) {
	var why *string
	err := tx.QueryRow(ctx, `SELECT `+reasonSQL(s, fmt.Sprint(t.Table.OID), anyType)+fromOwned+` WHERE c.oid = pg_catalog.to_regclass($1::pg_catalog.text)`, table).Scan(&why)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if why != nil {
		return "", &UntrustedError{Table: table, Reason: *why}
	}
	return table, nil
}
