package job

import (
	"context"

	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// A Run is the run of a set, as its job has to know it.
type Run struct {
	Set   *ledger.Job
	By    ledger.Owner
	Alone bool // no other run of the set may be open
	ID    string
	Reads string      // how its parts are read: see ledger.Form.Manner
	Is    *ledger.Run // nil until it is in the ledger
	// Ends says of the parts of the run what is known of them, when all are read.
	// The lanes are at that place then, at the end of the last one, and have had so many records, those
	// of earlier processes included.
	Ends func(at ledger.Place) []ledger.PartRows
}

// OpenRun returns the job of a run: that which the ledger has, or where the run is not there yet a
// new one, which Enter enters. first is the first chunk of one of its parts, nil if none has any.
func (o *Opening) OpenRun(ctx context.Context, run *Run, first *input.Chunk) (j *Job, err error) {
	j = &Job{Opening: o, Target: o.opt.Ledger, run: run}
	j.Marks = &ofRun{&pieces{j}}
	print := ledger.Fingerprint{Size: -1, Reads: o.In.Form, Shares: o.In.Shares, Replace: o.opt.Replacing}
	err = o.t.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		if j.Found, err = o.t.Look(ctx, conn); err != nil {
			return err
		}
		if err := o.addShards(ctx, conn, j.Found); err != nil {
			return err
		}
		if run.Is != nil {
			return o.goOnWith(ctx, conn, j, print)
		}
		entry := &ledger.Job{ID: run.ID, Fingerprint: print, Files: j.Found}
		o.newJob(j, entry, first)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return j, nil
}

// goOnWith makes j the job of a run that was taken over, or of this process's own after what it
// remembers has turned out to be wrong.
func (o *Opening) goOnWith(ctx context.Context, conn *pgx.Conn, j *Job, now ledger.Fingerprint) error {
	found, err := ledger.Find(ctx, conn, j.Target, j.run.Is.Name)
	if err != nil {
		return err
	}
	for _, was := range found {
		if was.ID == j.run.Is.ID && was.Other == nil {
			j.Job = was
		}
	}
	if j.Job == nil {
		return ledger.ErrEpoch
	}
	j.Epoch = j.run.Is.Epoch
	changed := j.Fingerprint.Reading(now)
	switch {
	case j.TableOID != o.t.Table.OID:
		return &failure.JobError{Job: j.run.Set.Name, Problem: "the table was rebuilt since parts of it were begun, and their rows may be there", Do: failure.Anew}
	case changed != "":
		return &failure.JobError{Job: j.run.Set.Name, Problem: "an earlier run began to load parts of it, and since then " + changed, Do: "load them as they were, or " + failure.Anew}
	case j.Kind != o.t.Distribution.Kind:
		return &failure.JobError{Job: j.run.Set.Name, Problem: "the table is distributed otherwise now than when parts of it were begun", Do: failure.Anew}
	}
	has, err := o.t.CountRows(ctx, conn, 1)
	if err != nil {
		return err
	}
	goOn, err := (&examination{o, conn, j}).resumeJob(ctx, now, has)
	if err == nil && !goOn {
		err = j.lanesMissing()
	}
	for _, l := range j.Lanes {
		if err == nil && l.Epoch != j.Epoch {
			err = ledger.ErrEpoch
		}
	}
	return err
}

// enterRun enters a new run, and its job. again says that an earlier try may have done so, the
// answer to which was lost: then the run is there, and another process may have it by now.
func (j *Job) enterRun(ctx context.Context, conn *pgx.Conn, again bool) error {
	if again {
		is, err := ledger.ReadRun(ctx, conn, j.Target, j.ID)
		switch {
		case err != nil:
			return err
		case is != nil && !is.New():
			return ledger.ErrEpoch
		case is != nil:
			j.run.Is = is
			return nil
		}
	}
	return j.t.Settled(ctx, conn, j.run.Set.Name, func() (err error) {
		j.Manner = j.run.Reads
		j.run.Is, err = ledger.OpenRun(ctx, conn, j.Target, j.run.Set, j.Job, j.Lanes, j.samples, j.run.By, j.run.Alone)
		return err
	})
}

// ofRun are the marks of a run: in pieces, and of its epoch.
type ofRun struct{ *pieces }

func (r *ofRun) IsComplete(ctx context.Context) (done bool, err error) {
	err = r.j.t.OnControl(ctx, func(conn *pgx.Conn) error {
		now, err := ledger.ReadRun(ctx, conn, r.j.Target, r.j.ID)
		done = now != nil && !now.Open()
		return err
	})
	return done, err
}

func (r *ofRun) End(ctx context.Context, conn *pgx.Conn, end ledger.Mark, place ledger.Place) error {
	return ledger.CloseRun(ctx, conn, r.j.Target, r.j.run.Is, r.j.Job, r.j.bytes(), r.j.run.Ends(place), func(lanes []ledger.Lane) error { return r.atEnd(lanes, end, place) })
}

// bytes returns how much of the input was read, decompressed, as far as the feed knows.
func (j *Job) bytes() int64 {
	done, _ := j.In.Feed.Far()
	return done
}
