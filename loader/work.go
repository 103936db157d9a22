package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/term"
)

// work loads parts as long as there are some that nobody has, goes on with what others leave, and
// waits for those who go on.
func (of *roster) work(ctx context.Context, res *Result) error {
	for poll := fault.FirstRunPoll; ; {
		r, open, err := of.next(ctx)
		if err != nil {
			return err
		}
		if r == nil && open == 0 {
			return nil
		}
		if r != nil {
			if err := of.run(ctx, r, res); err != nil {
				return err
			}
			poll = fault.FirstRunPoll
			continue
		}
		if poll == fault.FirstRunPoll {
			of.l.cfg.Log.Info(fmt.Sprintf("%s: nothing is left to begin; waiting for %s that other processes have begun", of.in.name, term.Plural(open, "run")))
		}
		of.clock.begin(partCopying) // which others do
		select {
		case <-time.After(poll):
			poll = min(2*poll, fault.LockGone)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// next returns what this process does next: a run that has lost its owner, or a new one for parts that
// nobody has. If it is nil, so many runs of others are open.
func (of *roster) next(ctx context.Context) (r *running, open int, err error) {
	err = of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		now, err := ledger.OpenRuns(ctx, conn, of.target, of.set.ID)
		if err != nil {
			return err
		}
		of.hearing.begin(of.l, now)
		of.hearing.hear(of.l, now.Rows, 0)
		open = 0
		failed, runs := false, now.Runs
		for i := range runs {
			if runs[i].Failed != "" {
				failed = true
				continue
			}
			open++
			if !of.watch.Lost(&runs[i].Run, runs[i].Locked, isGone(runs[i].Owner), time.Now()) {
				continue
			}
			if err := of.l.deferral.begin(ctx, nil); err != nil {
				return err
			}
			if r, err = of.takeOver(ctx, conn, &runs[i].Run); err != nil || r != nil {
				return err
			}
		}
		if open > 0 && of.l.cfg.OnConflict == ConflictUpdate {
			return nil // one at a time
		}
		of.seen.Rewind()
		names, err := ledger.Waiting(ctx, conn, of.target, of.seen, 1)
		if err == nil && len(names) == 0 && open == 0 && !failed {
			open, err = ofOthers(ctx, of, conn)
		}
		if err != nil || len(names) == 0 {
			return err
		}
		if err := of.l.deferral.begin(ctx, nil); err != nil {
			return err
		}
		r = of.newRunning(nil, nil)
		return nil
	})
	return r, open, err
}

// ofOthers returns 1 if another process has begun, or released, a part between two looks of this one, else 0.
func ofOthers(ctx context.Context, of *roster, conn *pgx.Conn) (open int, err error) {
	now, err := ledger.CountParts(ctx, conn, of.target, of.set.ID, of.parts)
	if err == nil && now.Taken+now.Waiting > 0 {
		open = 1
	}
	return open, err
}

// takeOver takes a run over that has lost its owner. It returns nil if another process was first.
func (of *roster) takeOver(ctx context.Context, conn *pgx.Conn, seen *ledger.Run) (*running, error) {
	found, err := ledger.Find(ctx, conn, of.target, seen.Name)
	if err != nil {
		return nil, err
	}
	j := slices.IndexFunc(found, func(j *ledger.Job) bool { return j.ID == seen.ID })
	if j < 0 {
		return nil, nil // it was closed just now
	}
	is, parts, err := ledger.TakeOver(ctx, conn, of.target, seen, found[j], of.by)
	if errors.Is(err, ledger.ErrNotLost) || errors.Is(err, ledger.ErrEpoch) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	of.l.cfg.Log.Info(fmt.Sprintf("%s: going on with what process %d on %s has left: %s", of.in.name, seen.PID, seen.Host, term.Plural(len(parts), "file")))
	r := of.newRunning(is, parts)
	r.job = found[j]
	return r, nil
}

// run loads a run. What is wrong with its parts alone is no error.
func (of *roster) run(ctx context.Context, r *running, res *Result) error {
	c := &counts{}
	begun := time.Now()
	err := of.persist(ctx, r, c)
	done := resultOf(c, time.Since(begun))
	of.l.current.Store(nil)
	of.l.past.add(done)
	of.done += done.Before + done.Rows
	res.join(done)
	if err == nil {
		res.Parts.Loaded += r.loaded()
	}
	if _, busy := errors.AsType[*ledger.BusyError](err); busy {
		return nil // it is waited for
	}
	switch {
	case errors.Is(err, ledger.ErrSetGone) && r.Is == nil:
		return nil // others have loaded the last parts, and ended the set, or it is found to be forgotten
	case errors.Is(err, ledger.ErrEpoch):
		of.l.cfg.Log.Warn(of.in.name + ": another process has taken over what this one was loading; going on with the rest")
		return nil
	case err == nil || r.Is == nil:
		return err
	}
	if _, ok := errors.AsType[*PartError](err); ok {
		return of.leave(ctx, r, err)
	}
	if row := ofRecord(err); row != nil {
		return of.leave(ctx, r, &PartError{row.File, err})
	}
	return errors.Join(err, of.release(ctx, r))
}

// persist loads a run, from its marks as often as what the load remembers turns out to be wrong.
func (of *roster) persist(ctx context.Context, r *running, c *counts) error {
	for stuck := 0; ; {
		rows, batch := c.Rows.Load(), c.Batch.Load()
		err := r.once(ctx, of.in, c)
		if stuck++; c.Rows.Load() > rows || c.Batch.Load() != batch {
			stuck = 0
		}
		left, leaveErr := of.leaveOut(ctx, r, err)
		if leaveErr != nil {
			return errors.Join(err, leaveErr)
		}
		if !left && !again(c, err) || r.Is == nil {
			return err
		}
		if stuck == fault.StartOvers {
			return fmt.Errorf("began anew %d times, with nothing stored between; the last time because %w", fault.StartOvers, err)
		}
		of.l.cfg.Log.Info("going on from the marks in the database", "because", err)
		err = of.l.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
			r.given, err = ledger.RunParts(ctx, conn, of.target, r.Is)
			return err
		})
		if err != nil {
			return err
		}
	}
}

// once is an attempt, which ends when another process has the run.
func (r *running) once(ctx context.Context, in Input, c *counts) error {
	ctx, r.lost = context.WithCancelCause(ctx)
	defer r.lost(nil)
	err := r.attempt(ctx, in, c)
	if lost := context.Cause(ctx); err != nil && errors.Is(lost, ledger.ErrEpoch) {
		return lost // what is cut off for it says only that it is cut off
	}
	return err
}

// leaveOut leaves out of the run the part that err is about, if nothing of it is stored, and reports
// whether the run can go on without it.
func (of *roster) leaveOut(ctx context.Context, r *running, err error) (left bool, failed error) {
	row := ofRecord(err)
	if row == nil || r.Is == nil || ctx.Err() != nil {
		return false, nil
	}
	failed = of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		parts, err := ledger.RunParts(ctx, conn, of.target, r.Is)
		at := slices.IndexFunc(parts, func(p ledger.Claimed) bool { return of.input(p.Name).name == row.File })
		if err != nil || at < 0 {
			return err
		}
		err = ledger.Fail(ctx, conn, of.target, r.Is, r.job, parts[at].Seq, row.Error())
		if errors.Is(err, ledger.ErrReached) {
			return nil
		}
		left = err == nil
		return err
	})
	if left {
		of.note(row.File, row)
	}
	return left, failed
}

// note notes that a part is not loaded.
func (of *roster) note(name string, why error) {
	of.l.cfg.Log.Error("not loaded", "error", &PartError{name, why})
	of.mu.Lock()
	defer of.mu.Unlock()
	if !slices.ContainsFunc(of.failures, func(f *PartError) bool { return f.Part == name }) { // another process may have it tried again
		of.failures = append(of.failures, &PartError{name, why})
	}
}

// leave leaves a run that cannot go on for one of its parts: what it has not reached others may load.
func (of *roster) leave(ctx context.Context, r *running, why error) error {
	err := of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		lanes, err := ledger.Lanes(ctx, conn, of.target, r.job)
		if err != nil {
			return err
		}
		reached := int32(-1)
		for _, l := range lanes {
			reached = max(reached, reachedBy(l.Mark))
		}
		if err := ledger.Release(ctx, conn, of.target, r.Is, r.job, reached+1); err != nil {
			return err
		}
		return ledger.Leave(ctx, conn, of.target, r.Is, why.Error())
	})
	if errors.Is(err, ledger.ErrEpoch) {
		return nil
	}
	of.note(partName(why), why)
	return err
}

// partName returns the part of a *PartError.
func partName(err error) string {
	if p, ok := errors.AsType[*PartError](err); ok {
		return p.Part
	}
	return ""
}

// release leaves a run to whoever comes first: this process ends.
func (of *roster) release(ctx context.Context, r *running) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fault.CommitGrace)
	defer cancel()
	err := of.l.target.OnControl(ctx, func(conn *pgx.Conn) error { return ledger.Leave(ctx, conn, of.target, r.Is, "") })
	if errors.Is(err, ledger.ErrEpoch) || errors.Is(err, context.DeadlineExceeded) {
		return nil // it is found out by others
	}
	return err
}
