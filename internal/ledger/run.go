package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// An Owner is the process that works on a run.
type Owner struct {
	Host string
	PID  int
}

// A Run is one process's growing list of parts of a set, loaded through one pipeline. Its marks are
// those of the job with its ID, whose Mark.Chunk is Chunk(seq, n): chunk n of the part of that number.
type Run struct {
	ID   string // and that of its job
	Of   string // the ID of the set's job
	Name string // of its job
	// Epoch is counted up by whoever takes the run over. Beat is counted up by its owner.
	Epoch, Beat int64
	Owner
	Began, Beaten time.Time
	Closed        time.Time // zero while it is open
	// Next is the number that the next part gets which it claims.
	Next     int32
	Released bool   // its owner has left it, for anybody to go on with
	Failed   string // why it was given up, "" if it was not
	Totals          // as its owner said with its last beat
}

// Chunk returns the number that chunk n of the part with that number has in marks.
func Chunk(seq int32, n int64) int64 { return int64(seq)<<32 | n }

// OfChunk returns what Chunk has made the number of.
func OfChunk(chunk int64) (seq int32, n int64) { return int32(chunk >> 32), chunk & (1<<32 - 1) }

// Application returns the application_name of all sessions that work on the run: its batches, its
// fence, and those on which it claims and beats. Whoever takes it over ends them.
func (r *Run) Application() string { return application(r.ID, r.Epoch) }

func application(run string, epoch int64) string { return fmt.Sprintf("shardload %s.%d", run, epoch) }

// Application returns that of the run of which j is the job, if this process has it, and else "".
func (j *Job) Application() string {
	if j.Of == "" || j.Epoch == 0 {
		return ""
	}
	return application(j.ID, j.Epoch)
}

// Open reports whether the parts of the run are not loaded yet.
func (r *Run) Open() bool { return r.Closed.IsZero() }

// New reports whether the process that has entered the run has it still.
func (r *Run) New() bool { return r.Open() && r.Epoch == firstEpoch }

// firstEpoch is that in which a run is entered.
const firstEpoch = 1

// ErrEpoch says that another process has taken a run over, or that it was closed or forgotten:
// nothing more is stored of it here.
var ErrEpoch = errors.New("another process has taken the run over, or it is closed")

// A BusyError says that a run is open where only one may be.
type BusyError struct{ Run *Run }

func (e *BusyError) Error() string {
	return fmt.Sprintf("process %d on %s has a run of the set, and only one may be open at a time", e.Run.PID, e.Run.Host)
}

// OpenRun makes a run of the set, as Create makes a job. j.ID is the run's; j.Name and j.Of are filled
// in, and the lanes' epoch. If alone is true no other run of the set may be open; the error is a
// *BusyError if one is. The error is ErrSetGone if the set was forgotten; one that is ended, which a part has been
// added to since, is not.
func OpenRun(ctx context.Context, conn *pgx.Conn, t Target, set *Job, j *Job, lanes []Lane, samples []string, by Owner, alone bool) (*Run, error) {
	j.Name, j.Of, j.Shared = RunName(set.Name, j.ID), set.ID, true
	r := &Run{ID: j.ID, Of: set.ID, Name: j.Name, Epoch: firstEpoch, Owner: by}
	j.Epoch = r.Epoch
	for i := range lanes {
		lanes[i].Epoch = r.Epoch
	}
	err := create(ctx, conn, t, j, lanes, samples, func(tx pgx.Tx) error {
		if err := prepareSets(ctx, tx, t); err != nil {
			return err
		}
		ended, err := holdSet(ctx, tx.Conn(), t, set.ID)
		if err == nil && ended {
			err = ErrSetGone
		}
		if err != nil {
			return err
		}
		if alone {
			if err := onlyRun(ctx, tx, t, set.ID); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, `INSERT INTO `+t.runs()+` (id, of, epoch, host, pid, reads) VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.int8, $4::pg_catalog.text, $5::pg_catalog.int8, nullif($6::pg_catalog.text, ''))
			RETURNING began, beaten`, r.ID, r.Of, r.Epoch, r.Host, r.PID, j.Manner).Scan(&r.Began, &r.Beaten)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// onlyRun returns a *BusyError if a run of the set is open, in a transaction that has its row locked.
func onlyRun(ctx context.Context, tx pgx.Tx, t Target, set string) error {
	runs, err := readRuns(ctx, tx.Conn(), t, `r.of = $1::pg_catalog.text AND r.closed IS NULL LIMIT 1`, set)
	if err == nil && len(runs) > 0 {
		err = &BusyError{Run: runs[0]}
	}
	return err
}

// readRuns returns the runs for which where holds, in conn's transaction.
func readRuns(ctx context.Context, conn *pgx.Conn, t Target, where string, args ...any) ([]*Run, error) {
	rows, err := conn.Query(ctx, `SELECT r.id, r.of, coalesce(j.name, ''), r.epoch, r.beat, r.host, r.pid, r.began, r.beaten, r.closed, r.next, r.released, coalesce(r.failed, ''),
		r.rows, r.rejected, r.updated, r.skipped, r.filtered, r.bytes FROM `+t.runs()+` AS r LEFT JOIN `+t.Jobs()+` AS j ON j.id = r.id WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Run, error) {
		r := &Run{}
		var closed *time.Time
		err := row.Scan(&r.ID, &r.Of, &r.Name, &r.Epoch, &r.Beat, &r.Host, &r.PID, &r.Began, &r.Beaten, &closed, &r.Next, &r.Released, &r.Failed,
			&r.Rows, &r.Rejected, &r.Updated, &r.Skipped, &r.Filtered, &r.Bytes)
		if closed != nil {
			r.Closed = *closed
		}
		return r, err
	})
}

// ReadRun returns a run as it is now, nil if it was forgotten.
func ReadRun(ctx context.Context, conn *pgx.Conn, t Target, id string) (r *Run, err error) {
	err = guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
		runs, err := readRuns(ctx, conn, t, `r.id = $1::pg_catalog.text`, id)
		if len(runs) > 0 {
			r = runs[0]
		}
		return err
	})
	if err != nil {
		return nil, explain(err, t, "look for a run")
	}
	return r, nil
}

// stillOf returns ErrEpoch if this process does not have the run any more of which j is the job.
func stillOf(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	r, err := ReadRun(ctx, conn, t, j.ID)
	if err == nil && (r == nil || !r.Open() || r.Epoch != j.Epoch) {
		err = ErrEpoch
	}
	return err
}

// asOwnerOf runs fn in a transaction that has the run's row locked, under guards, if the run is
// still open and of our epoch. The error is ErrEpoch if not. next is the number of the run's next
// part, as it is there. A process that is frozen in it is ended by its application_name.
func (r *Run) asOwnerOf(ctx context.Context, conn *pgx.Conn, t Target, guards []string, fn func(next int32) error) error {
	guards = append([]string{"SET LOCAL application_name = " + server.Literal(r.Application())}, guards...)
	return guardedBy(ctx, conn, guards, "COMMIT", func() error {
		var next int32
		err := conn.QueryRow(ctx, `SELECT next FROM `+t.runs()+` WHERE id = $1::pg_catalog.text AND epoch = $2::pg_catalog.int8 AND closed IS NULL FOR UPDATE`, r.ID, r.Epoch).Scan(&next)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrEpoch
		}
		if err != nil {
			return err
		}
		return fn(next)
	})
}

// A Pulse is what a beat tells of the set.
type Pulse struct {
	Live int // open runs that beat, this one among them
	// What all runs have stored and rejected, as far as they have said, since the set was ended last.
	Rows, Rejected int64
	All            int64 // rows that all runs have stored, ever
}

// Beat says that the run's owner is alive, and what it has stored so far. The error is ErrEpoch if it
// has lost the run: then it stops. It is called every fault.BeatEvery.
func Beat(ctx context.Context, conn *pgx.Conn, t Target, r *Run, so Totals) (p Pulse, err error) {
	err = r.asOwnerOf(ctx, conn, t, guardRuns(t, writing), func(int32) error {
		err := conn.QueryRow(ctx, `UPDATE `+t.runs()+` SET beat = beat + 1, beaten = pg_catalog.now(), rows = $2::pg_catalog.int8, rejected = $3::pg_catalog.int8, updated = $4::pg_catalog.int8,
			skipped = $5::pg_catalog.int8, filtered = $6::pg_catalog.int8, bytes = $7::pg_catalog.int8, released = false WHERE id = $1::pg_catalog.text RETURNING beat, beaten`,
			r.ID, so.Rows, so.Rejected, so.Updated, so.Skipped, so.Filtered, so.Bytes).Scan(&r.Beat, &r.Beaten)
		if err != nil {
			return err
		}
		r.Totals, r.Released = so, false
		return conn.QueryRow(ctx, `SELECT pg_catalog.count(*) FILTER (WHERE closed IS NULL AND NOT released AND beaten > pg_catalog.now() - interval '`+fault.BeatLost.String()+`'),
			coalesce(pg_catalog.sum(rows) FILTER (WHERE NOT ended), 0)::pg_catalog.int8, coalesce(pg_catalog.sum(rejected) FILTER (WHERE NOT ended), 0)::pg_catalog.int8,
			coalesce(pg_catalog.sum(rows), 0)::pg_catalog.int8 FROM `+t.runs()+` WHERE of = $1::pg_catalog.text`, r.Of).Scan(&p.Live, &p.Rows, &p.Rejected, &p.All)
	})
	if err != nil {
		return p, explain(err, t, "say that the run goes on")
	}
	return p, nil
}
