package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// A set is what a command names: patterns, directories, several files. It is a job with a row
// in the table of jobs, and no marks of its own. Each of its parts is an input, and a row of
// shardload_parts. A process loads parts through a run: a job with marks like any other, which
// a row of shardload_runs ties to the set. So any number of processes work on a set:
//
//	EnterSet, AddParts, then OpenRun, Claim, Beat, … CloseRun, and at last EndSet.
//
// Each of these is a short transaction. A run has one owner at a time: who has its epoch. Its
// batches compare the epoch with that of their marks, as what is done here compares it with
// that of shardload_runs. See TakeOver.

// An InSet says that a job is a set, or a run of one. It is empty for a job of one input.
type InSet struct {
	Set *Set `json:"set,omitempty"`
	// Of is the ID of the set of which the job is a run.
	Of string `json:"of,omitempty"`
	// Shared says that the run's marks are in the table that all runs of the set share. Those of
	// earlier versions have tables of their own.
	Shared bool `json:"shared,omitempty"`
	// Lately is how many records of a set were rejected after it had been complete before, by what
	// has made it complete once more.
	Lately int64 `json:"lately,omitempty"`
	// Epoch is that in which this process has the run, 0 if it has not: OpenRun and TakeOver set it.
	Epoch int64 `json:"-"`
	// Manner is how a run that is opened reads its parts: see Form.Manner.
	Manner string `json:"-"`
	// Aside is where the rejected records of a run are, nil if none may be: MakeRejects sets it.
	Aside *Aside `json:"-"`
}

// A Set says what a set's parts come from.
type Set struct {
	Named []string `json:"named,omitempty"` // as the command names it
	// Base, with the name of a part after it, is the name under which that part would be a job of
	// its own: of files the directory that they have in common. "" if parts have no other names.
	Base string `json:"base,omitempty"`
}

// Single reports whether the job is neither a set nor a run of one.
func (s InSet) Single() bool { return s.Set == nil && s.Of == "" }

// version returns the first version that can go on with the job.
func (s InSet) version() int {
	switch {
	case s.Single():
		return 0
	case s.Shared:
		return sharedVersion
	}
	return setVersion
}

// ErrSetGone says that a set was forgotten, or ended by another process, meanwhile.
var ErrSetGone = errors.New("the job of the set was forgotten, or ended, meanwhile")

// EnterSet enters the job j of a set, with j.Set, and makes our tables if they are missing. If
// the target has a set of that name already it returns that one, to be compared by the caller,
// and changes nothing. Otherwise the jobs that j replaces are forgotten, and empty, which may be
// nil, is called in the same transaction, before the set is entered: so of any number of
// processes one empties the table. The error IsTaken if a job of the name is no set, or one of
// another table.
func EnterSet(ctx context.Context, conn *pgx.Conn, t Target, j *Job, empty func(context.Context, pgx.Tx) error) (was *Job, err error) {
	j.TableOID, j.FileNode, j.Kind, j.Progress = t.Table.OID, t.Table.RelFileNode, t.Distribution.Kind, ""
	err = server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := prepareSets(ctx, tx, t); err != nil {
			return err
		}
		if was, err = setNamed(ctx, tx, t, j.Name, j.Replaces); err != nil || was != nil {
			return err
		}
		if err := forget(ctx, tx, t, j.Replaces); err != nil {
			return err
		}
		if empty != nil {
			if err := empty(ctx, tx); err != nil {
				return err
			}
		}
		return insertJob(ctx, tx, t, j)
	}, makingSQL()...)
	if err != nil {
		return nil, explain(err, t, "keep a list of parts")
	}
	return was, nil
}

// EnterSetIn enters the job of a set in a transaction that has emptied the target and forgotten its jobs.
func EnterSetIn(ctx context.Context, tx pgx.Tx, t Target, j *Job) error {
	j.TableOID, j.Kind, j.Progress = t.Table.OID, t.Distribution.Kind, "" // its files are not known yet: see SetFiles
	err := prepareSets(ctx, tx, t)
	if err == nil {
		err = insertJob(ctx, tx, t, j)
	}
	if err != nil {
		return explain(err, t, "keep a list of parts")
	}
	return nil
}

// JobsNamed returns the target's jobs of that name in a transaction, under the lock in which they are made.
func JobsNamed(ctx context.Context, tx pgx.Tx, t Target, name string) ([]*Job, error) {
	if err := lock(ctx, tx.Conn(), t); err != nil {
		return nil, err
	}
	there, err := isThere(ctx, tx, t)
	if err != nil || !there {
		return nil, err
	}
	if err := guard(ctx, tx.Conn(), guardJobsSQL(t)); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+jobColumns+` FROM `+t.Jobs()+` WHERE target_oid = $1::pg_catalog.oid AND name = $2::pg_catalog.text`, t.Table.OID, name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Job, error) { return scanJob(row, t.Table.Schema) })
}

// HasSets reports whether there are tables of sets, in a transaction.
func HasSets(ctx context.Context, tx pgx.Tx, t Target) (bool, error) { return haveSets(ctx, tx, t) }

// setNamed returns the target's set of that name, nil if there is none, or if it is one of those
// that are replaced.
func setNamed(ctx context.Context, tx pgx.Tx, t Target, name string, replaces []string) (*Job, error) {
	rows, err := tx.Query(ctx, `SELECT `+jobColumns+` FROM `+t.Jobs()+` WHERE target_oid = $1::pg_catalog.oid AND name = $2::pg_catalog.text
		AND id <> ALL ($3::pg_catalog.text[])`, t.Table.OID, name, append([]string{}, replaces...))
	if err != nil {
		return nil, err
	}
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Job, error) { return scanJob(row, t.Table.Schema) })
	for _, j := range jobs {
		if err == nil && j.Set != nil {
			return j, nil
		}
	}
	return nil, err
}

// holdSet locks the row of a set, in conn's transaction, and says whether it is ended.
func holdSet(ctx context.Context, conn *pgx.Conn, t Target, set string) (ended bool, err error) {
	err = conn.QueryRow(ctx, `SELECT finished IS NOT NULL FROM `+t.Jobs()+` WHERE id = $1::pg_catalog.text FOR UPDATE`, set).Scan(&ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, ErrSetGone
	}
	return ended, err
}

// EndSet ends a set that has no part left to claim or that has failed, and no open run. It reports
// whether this call has ended it: of any number of processes one is told so. Where something is
// left, or another one was first, nothing happens; see Standing. The totals of the job are those of
// its runs.
func EndSet(ctx context.Context, conn *pgx.Conn, t Target, set string) (ended bool, err error) {
	err = guardedSets(ctx, conn, t, func() error {
		before, err := holdSet(ctx, conn, t, set)
		if err != nil || before {
			return err
		}
		// What others have added meanwhile is seen: they hold the row when they do.
		var left bool
		err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+t.runs()+` WHERE of = $1::pg_catalog.text AND closed IS NULL)
			OR EXISTS (SELECT FROM `+t.parts()+` WHERE of = $1::pg_catalog.text AND run IS NULL)`, set).Scan(&left)
		if err != nil || left {
			return err
		}
		ended = true
		return finishSet(ctx, conn, t, set)
	})
	if err != nil {
		return false, explain(err, t, "end the set")
	}
	return ended, nil
}

// finishSet makes a set complete, with the totals of its runs.
func finishSet(ctx context.Context, conn *pgx.Conn, t Target, set string) error {
	var filtered, lately int64
	err := conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.sum(filtered), 0)::pg_catalog.int8, coalesce(pg_catalog.sum(rejected) FILTER (WHERE NOT ended), 0)::pg_catalog.int8
		FROM `+t.runs()+` WHERE of = $1::pg_catalog.text`, set).Scan(&filtered, &lately)
	if err != nil {
		return err
	}
	if _, err = conn.Exec(ctx, `UPDATE `+t.runs()+` SET ended = true WHERE of = $1::pg_catalog.text AND NOT ended`, set); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET finished = pg_catalog.now(),
		fingerprint = fingerprint || `+server.Literal(fmt.Sprintf(`{"filtered": %d, "lately": %d}`, filtered, lately))+`::pg_catalog.jsonb WHERE id = $1::pg_catalog.text`, set)
	return err
}

// RunName returns the name of the job of a run.
func RunName(set, run string) string { return set + " run " + run }
