package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// lockRuns takes the locks of the jobs of the runs of a set, in a transaction in which no more of them
// come up. The error is ErrWorking if a process works on one.
func lockRuns(ctx context.Context, tx pgx.Tx, e *Entry) error {
	if e.Set == nil {
		return nil
	}
	var names []string
	err := asOwner(ctx, tx, e.Target.Jobs(), func() error {
		rows, err := tx.Query(ctx, `SELECT name FROM `+e.Target.Jobs()+` WHERE fingerprint->>'of' = $1::pg_catalog.text`, e.ID)
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		run := *e
		run.Name = name
		for _, key := range run.lockKeys() {
			err := takeJob(ctx, tx.Conn(), key, nil, nil)
			if _, locked := errors.AsType[*server.LockedError](err); locked {
				return ErrWorking
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteAll deletes jobs by del, which is deleteJobs, and with sets their parts, and their runs, which are jobs, too. It
// returns the jobs that have a progress table.
func deleteAll(ctx context.Context, tx pgx.Tx, t Target, of []string, del func([]string) (jobs []*Job, sets []string, err error)) (jobs []*Job, err error) {
	jobs, sets, err := del(of)
	if err != nil || len(sets) == 0 {
		return jobs, err
	}
	runs, err := deleteMembers(ctx, tx, t, sets)
	if err != nil {
		return nil, err
	}
	more, _, err := del(runs)
	return append(jobs, more...), err
}

// deleteMembers deletes the parts and runs of sets, and returns the ids of the runs.
func deleteMembers(ctx context.Context, tx pgx.Tx, t Target, sets []string) (runs []string, err error) {
	there, err := haveSets(ctx, tx, t)
	if err != nil || !there {
		return nil, err
	}
	err = asOwner(ctx, tx, t.runs(), func() error {
		rows, err := tx.Query(ctx, `DELETE FROM `+t.runs()+` WHERE of = ANY ($1::pg_catalog.text[]) RETURNING id`, sets)
		if err == nil {
			runs, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = asOwner(ctx, tx, t.parts(), func() error {
		_, err := tx.Exec(ctx, `DELETE FROM `+t.parts()+` WHERE of = ANY ($1::pg_catalog.text[])`, sets)
		return err
	})
	if err != nil {
		return nil, err
	}
	return runs, deleteRejects(ctx, tx, t, sets)
}

// followSet moves the parts and the closed runs of a set from the schema that the target was in to that
// in which it is. Its open runs are jobs of their own: as long as there is one the set stays.
func followSet(ctx context.Context, tx pgx.Tx, t Target, e *Entry) error {
	if e.Of != "" {
		return fmt.Errorf("it is a run of job %s", e.Of)
	}
	if e.Set == nil {
		return nil
	}
	if err := prepareSets(ctx, tx, t); err != nil {
		return err
	}
	there, err := haveSets(ctx, tx, e.Target)
	if err != nil || !there {
		return err
	}
	var open int
	if err := tx.QueryRow(ctx, `SELECT pg_catalog.count(*) FROM `+e.Target.runs()+` WHERE of = $1::pg_catalog.text AND closed IS NULL`, e.ID).Scan(&open); err != nil {
		return err
	}
	if open > 0 {
		return fmt.Errorf("%d of its runs are open: move the table back to schema %s, and let the load end there", open, e.Target.Table.Schema)
	}
	return errors.Join(move(ctx, tx, e.Target.runs(), t.runs(), runsShape, e.ID), move(ctx, tx, e.Target.parts(), t.parts(), partsShape, e.ID),
		followRejects(ctx, tx, t, e.Target, e.ID))
}

// move moves the rows of a set from a table of sets to another one.
func move(ctx context.Context, tx pgx.Tx, from, to string, s shape, set string) error {
	columns := s.names()
	_, err := tx.Exec(ctx, `WITH gone AS (DELETE FROM `+from+` WHERE of = $1::pg_catalog.text RETURNING `+columns+`) INSERT INTO `+to+` (`+columns+`) SELECT `+columns+` FROM gone`, set)
	return err
}
