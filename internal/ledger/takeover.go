package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// The owner of a run is not told by a session or its locks: a process that is frozen keeps them, as its
// kernel answers for it, and one on a host that is gone keeps them for hours. It is told by its beat. Who
// sees that nothing has beaten for a while, by his own clock, counts the run's epoch up, ends the sessions
// of earlier ones as far as his role may, and counts up the epoch of the marks. A batch of an earlier epoch
// that is on its way is either stored before that, and seen in the marks, or finds no mark.

// A Watch tells which runs of others have lost their owners. The caller looks at all open ones now and
// then, at least every fault.BeatEvery, and keeps the clock.
type Watch struct{ seen map[string]sighting }

// A sighting is when a run was seen first as it still is.
type sighting struct {
	epoch, beat int64
	since       time.Time
	unlocked    time.Time // since when nobody has had its job's lock; zero if somebody has
}

// Lost reports whether the run, as it was read at now, has lost its owner. locked says that a process has
// the lock of its job, and gone that the owner's process is certainly not there any more. A run that failed
// is not lost: see RetryFailed.
func (w *Watch) Lost(r *Run, locked, gone bool, now time.Time) bool {
	if w.seen == nil {
		w.seen = map[string]sighting{}
	}
	s, ok := w.seen[r.ID]
	if !ok || s.epoch != r.Epoch || s.beat != r.Beat {
		s = sighting{epoch: r.Epoch, beat: r.Beat, since: now}
	}
	switch {
	case locked:
		s.unlocked = time.Time{}
	case s.unlocked.IsZero():
		s.unlocked = now
	}
	w.seen[r.ID] = s
	switch {
	case !r.Open() || r.Failed != "":
		return false
	case r.Released:
		return true
	case !locked && (gone && now.Sub(s.unlocked) >= fault.LockGone || now.Sub(s.unlocked) >= fault.LockIdle):
		return true // not at once: a fence lets go for a moment, and a load that begins anew for longer
	}
	return now.Sub(s.since) >= fault.BeatLost
}

// ErrNotLost says that a run is not as it was when it was taken for one without an owner.
var ErrNotLost = errors.New("the run goes on, or another process has taken it over")

// TakeOver makes by the owner of a run that has lost its own, if it is still as seen, and returns it with its
// parts in the order of their numbers. j is its job, whose lanes are read anew afterwards. What of its marks a transaction has locked that
// cannot be ended here is waited for; the error is ErrLocked after a while. After an error the run is
// taken over once more, by whoever sees it then.
func TakeOver(ctx context.Context, conn *pgx.Conn, t Target, seen *Run, j *Job, by Owner) (r *Run, parts []Claimed, err error) {
	if err := endSessions(ctx, conn, t, seen.ID, seen.Epoch); err != nil {
		return nil, nil, explain(err, t, "take a run over")
	}
	r = new(*seen)
	r.Owner, r.Epoch, r.Released = by, seen.Epoch+1, false
	guards := append([]string{
		"SET LOCAL application_name = " + server.Literal(r.Application()), fmt.Sprintf("SET LOCAL lock_timeout = %d", fault.MarksLimit.Milliseconds()),
	}, guardSets(t, writing)...)
	err = guardedBy(ctx, conn, guards, "COMMIT", func() error {
		err := conn.QueryRow(ctx, `UPDATE `+t.runs()+` SET epoch = epoch + 1, beat = beat + 1, beaten = pg_catalog.now(), host = $4::pg_catalog.text, pid = $5::pg_catalog.int8, released = false
			WHERE id = $1::pg_catalog.text AND epoch = $2::pg_catalog.int8 AND beat = $3::pg_catalog.int8 AND closed IS NULL RETURNING beat, beaten, next`,
			r.ID, seen.Epoch, seen.Beat, by.Host, by.PID).Scan(&r.Beat, &r.Beaten, &r.Next)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotLost
		}
		if err == nil {
			parts, err = r.partsFrom(ctx, conn, t, 0)
		}
		return err
	})
	if fault.Is(err, fault.LockNotAvailable) {
		err = fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err == nil {
		j.Epoch = r.Epoch
		err = errors.Join(endSessions(ctx, conn, t, r.ID, seen.Epoch), raise(ctx, conn, t, r, j))
	}
	if err != nil {
		return nil, nil, explain(err, t, "take a run over")
	}
	return r, parts, nil
}

// raise makes the epoch of all marks of a run its own. Of a run whose owner died as it entered them, or
// divided a lane, a node may not have heard of the COMMIT: there they come up when Citus finishes it.
func raise(ctx context.Context, conn *pgx.Conn, t Target, r *Run, j *Job) error {
	for settled := !t.Sharded(); ; settled = true {
		if err := raiseSeen(ctx, conn, t, r, j); err != nil || settled {
			return err
		}
		if _, err := Lanes(ctx, conn, t, j); !errors.Is(err, ErrMarksGone) {
			return err
		}
		left, err := citus.Settle(ctx, conn)
		if err == nil && left > 0 {
			err = fmt.Errorf("%w: %d transactions are prepared on the nodes", ErrLocked, left)
		}
		if err != nil {
			return err
		}
	}
}

// raiseSeen does what raise does, for the marks that are seen. A lane that the earlier owner has divided
// at the same time may have left a child that the statement did not see: from the commit on no more come
// up, so it looks again.
func raiseSeen(ctx context.Context, conn *pgx.Conn, t Target, r *Run, j *Job) error {
	for {
		var behind, ahead int64
		err := guarded(ctx, conn, guardProgress(t, writing, j), "COMMIT", func() error {
			// By the server's clock, and not lock_timeout, which Citus's sessions on the nodes do not have.
			return server.Exec(ctx, conn.PgConn(), fmt.Sprintf("SET LOCAL statement_timeout = %d; UPDATE %s SET epoch = %d WHERE epoch < %[3]d AND %s; SET LOCAL statement_timeout = 0",
				fault.MarksLimit.Milliseconds(), j.Progress, r.Epoch, j.ofRunSQL()))
		})
		if fault.Is(err, fault.Canceled) {
			return fmt.Errorf("%w: %w", ErrLocked, err)
		}
		if err != nil {
			return err
		}
		err = guarded(ctx, conn, guardProgress(t, reading, j), "ROLLBACK", func() error {
			return conn.QueryRow(ctx, fmt.Sprintf("SELECT pg_catalog.count(*) FILTER (WHERE epoch < %[1]d), pg_catalog.count(*) FILTER (WHERE epoch > %[1]d) FROM %[2]s WHERE %[3]s", r.Epoch, j.Progress, j.ofRunSQL())).Scan(&behind, &ahead)
		})
		switch {
		case err != nil:
			return err
		case ahead > 0:
			return ErrEpoch
		case behind == 0:
			return nil
		}
	}
}

// endSessions ends all sessions on all nodes that work on a run in an epoch up to that one, as far as the
// role may.
func endSessions(ctx context.Context, conn *pgx.Conn, t Target, run string, epoch int64) error {
	// Each of the conditions comes before what it makes safe.
	sql := fmt.Sprintf(`SELECT pg_catalog.count(CASE WHEN s.epoch OPERATOR(pg_catalog.<=) %d THEN pg_catalog.pg_terminate_backend(s.pid) END)::pg_catalog.text FROM (
		SELECT a.pid, CASE WHEN a.application_name OPERATOR(pg_catalog.~) %s AND pg_catalog.pg_has_role(a.usesysid, 'USAGE') AND (me.rolsuper OR NOT it.rolsuper)
			THEN pg_catalog.substr(a.application_name, %d)::pg_catalog.int8 END AS epoch
		FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles it ON it.oid OPERATOR(pg_catalog.=) a.usesysid JOIN pg_catalog.pg_roles me ON me.rolname OPERATOR(pg_catalog.=) current_user
		WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()) AS s`,
		epoch, server.Literal("^shardload "+run+"[.][0-9]{1,18}$"), len("shardload "+run+".")+1)
	var n string
	if err := server.Value(ctx, conn, &n, sql); err != nil {
		return err
	}
	if t.OnePhase() {
		return nil
	}
	return citus.OnWorkers(ctx, conn, sql)
}
