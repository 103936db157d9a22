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
	del := func(of []string) (ids, sets []string, err error) {
		err = asOwner(ctx, tx, e.Target.Jobs(), func() (err error) {
			ids, sets, err = deleteJobs(ctx, tx, e.Target, of)
			return err
		})
		return ids, sets, err
	}
	ids, err := deleteAll(ctx, tx, e.Target, []string{e.ID}, del)
	for _, id := range ids {
		if err != nil {
			break
		}
		var table string
		if table, err = progressTable(e.Target.Table.Schema, id); err == nil {
			err = asOwner(ctx, tx, table, func() error { return dropProgress(ctx, tx, e.Target, id) })
		}
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
	ids, err := deleteAll(ctx, tx, t, ids, func(of []string) (ids, sets []string, err error) { return deleteJobs(ctx, tx, t, of) })
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := dropProgress(ctx, tx, t, id); err != nil {
			return err
		}
	}
	return nil
}

// deleteJobs deletes jobs as forget does, and returns the ids of those that have a
// progress table, and of those that are sets.
func deleteJobs(ctx context.Context, tx pgx.Tx, t Target, of []string) (ids, sets []string, err error) {
	rows, err := tx.Query(ctx, `DELETE FROM `+t.Jobs()+` WHERE id = ANY ($1::pg_catalog.text[]) RETURNING id, progress IS NOT NULL, (fingerprint->'set') IS NOT NULL`, of)
	if err != nil {
		return nil, nil, err
	}
	var id string
	var progress, set bool
	_, err = pgx.ForEachRow(rows, []any{&id, &progress, &set}, func() error {
		if progress && validID.MatchString(id) {
			ids = append(ids, id)
		}
		if set {
			sets = append(sets, id)
		}
		return nil
	})
	return ids, sets, err
}

// dropProgress drops the progress table of that job, if it is there and ours, and the table of its
// rejected records.
func dropProgress(ctx context.Context, tx pgx.Tx, t Target, id string) error {
	if err := dropAside(ctx, tx, t, id); err != nil {
		return err
	}
	table, err := ownProgress(ctx, tx, t, id)
	if err != nil || table == "" {
		return err
	}
	return server.Exec(ctx, tx.Conn().PgConn(), "DROP TABLE "+table)
}

// ownProgress returns the progress table of that job, "" if it is not there. It is an error
// if it is not ours.
func ownProgress(ctx context.Context, tx pgx.Tx, t Target, id string) (table string, err error) {
	if table, err = progressTable(t.Table.Schema, id); err != nil {
		return "", err
	}
	return ownTable(ctx, tx, t, table, progressShape)
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
