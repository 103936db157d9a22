package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// A Job is what a load knows of its job in the ledger, and how it is marked there.
type Job struct {
	*ledger.Job
	*Opening
	Marks
	Target ledger.Target
	// Lanes has the rows of the progress table, by lane, as they were when the load
	// began. It is empty if everything is stored in one transaction.
	Lanes []ledger.Lane
	// Fresh says that it is not in the ledger yet. samples are distribution values of
	// the input, as text.
	Fresh   bool
	samples []string
	waited  atomic.Bool  // for nodes that had it only prepared
	run     *Run         // of which it is the job, nil for none
	Found   ledger.Files // that have the table's rows, as they were behind the fence
}

// InPieces reports whether lanes have marks of their own.
func (j *Job) InPieces() bool { return len(j.Lanes) > 0 }

// Before returns how many rows earlier runs have stored, and which of them met one
// of the same key.
func (j *Job) Before() (rows int64, merged ledger.Merged) {
	for _, l := range j.Lanes {
		rows += l.Rows
		merged.Add(l.Merged)
	}
	return rows, merged
}

// records returns how many records are stored, rejected or filtered by lanes.
func records(lanes []ledger.Lane) (n int64) {
	for _, l := range lanes {
		n += l.Rows + l.Rejected + l.Filtered
	}
	return n
}

// Behind returns the lane whose mark is furthest behind.
func (j *Job) Behind() ledger.Lane {
	return slices.MinFunc(j.Lanes, func(a, b ledger.Lane) int {
		return cmp.Or(cmp.Compare(a.Mark.Chunk, b.Mark.Chunk), cmp.Compare(a.Number, b.Number))
	})
}

// hasKey reports whether rows of these columns have a key that no two rows may share.
func hasKey(columns []*catalog.Column, table *catalog.Table) bool {
	return slices.ContainsFunc(table.Keys, func(k catalog.Key) bool {
		for _, name := range k.Columns {
			column := table.Column(name)
			if !slices.Contains(columns, column) || !k.Primary && !column.NotNull && k.NullsDistinct {
				return false
			}
		}
		return true
	})
}

// Open finds the job of the input, by that name, or makes a new one, which Enter enters. first
// is the input's first chunk.
func (o *Opening) Open(ctx context.Context, name string, first *input.Chunk) (j *Job, err error) {
	j = &Job{Opening: o, Target: o.opt.Ledger}
	j.mark()
	print, err := o.In.Feed.Fingerprint(first)
	if err != nil {
		return nil, err
	}
	print.Reads, print.Shares = o.In.Form, o.In.Shares
	err = o.t.OnControl(ctx, func(conn *pgx.Conn) error { return o.find(ctx, conn, j, name, print, first) })
	if done, ok := errors.AsType[*failure.CompleteError](err); ok {
		done.Keyed = !o.opt.Keyed && !o.In.Lay.Staged() && hasKey(o.In.Lay.Loaded, o.In.Lay.Table)
		if print.Size < 0 {
			return nil, o.compareLength(ctx, done, j.Job, first)
		}
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

// find makes j the job of that name and input that is in the ledger, or a new one. The error
// is why it must not be loaded.
func (o *Opening) find(ctx context.Context, conn *pgx.Conn, j *Job, name string, print ledger.Fingerprint, first *input.Chunk) (err error) {
	if j.Found, err = o.t.Look(ctx, conn); err != nil {
		return err
	}
	found, err := o.findJobs(ctx, conn, j, name, print)
	if err != nil {
		return err
	}
	if len(found) > 0 || !o.In.Whole { // else it is read while the first rows are decoded
		if err := o.addShards(ctx, conn, j.Found); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		err := checkSets(ctx, o, conn, name, print)
		if err == nil {
			err = checkRenamed(ctx, o, conn, print)
		}
		if err != nil {
			return err
		}
	}
	entry := &ledger.Job{ID: ledger.NewID(), Name: name, Fingerprint: print, Files: j.Found}
	for _, was := range found {
		if was.Other != nil {
			continue
		}
		if !was.Single() {
			return &failure.JobError{Job: name, Problem: "the job of that name is one of several files", Do: "name all of them, or name another job"}
		}
		if o.In.Whole && !was.Complete() {
			return lane.ErrInPieces // it goes on, or its table of progress goes with it
		}
		entry.Replaces = append(entry.Replaces, was.ID)
	}
	if len(found) > 0 {
		j.Job = found[0]
		if err := o.checkReplaced(j.Job, print); err != nil {
			return err
		}
		goOn, err := (&examination{o, conn, j}).examine(ctx, entry, print)
		if err != nil || goOn {
			return err
		}
		if err := clearName(ctx, conn, j.Target, found); err != nil {
			return err
		}
	}
	if o.In.Whole {
		entry.ID = o.wholeID(name, print)
	}
	entry.Fingerprint.Replace = o.opt.Replacing
	o.newJob(j, entry, first)
	return nil
}

// clearName makes the name free that jobs of other tables have, for a new job.
func clearName(ctx context.Context, conn *pgx.Conn, t ledger.Target, found []*ledger.Job) error {
	for _, was := range found {
		if was.Other == nil {
			continue
		}
		if err := ledger.Retarget(ctx, conn, t, was); err != nil {
			return err
		}
	}
	return nil
}

// findJobs returns the jobs of that name. If one of them was stored by a run that has not
// seen the end of it, it is looked at now.
func (o *Opening) findJobs(ctx context.Context, conn *pgx.Conn, j *Job, name string, print ledger.Fingerprint) ([]*ledger.Job, error) {
	found, err := o.jobsOf(ctx, conn, j.Target, name, print)
	if err != nil {
		return nil, err
	}
	for _, was := range found {
		if !was.Storing() || was.TableOID != o.t.Table.OID {
			continue
		}
		if err := o.settleWhole(ctx, conn, was); err != nil {
			return nil, err
		}
		was.Finished = time.Now()
	}
	return found, nil
}

// wholeID returns the name of a job that is stored in one transaction: the same one
// whenever that is tried, and by whatever address the server is reached, so that a
// later try knows what an earlier one has left in the file of rejected records.
func (o *Opening) wholeID(name string, print ledger.Fingerprint) string {
	return ledger.IDOf(fmt.Appendf(nil, "%q %d %d %q %v", o.t.Cfg.Database, o.t.Table.OID, o.t.Table.RelFileNode, name, print))
}

// newJob makes j a new job, with the lanes of ld.
func (o *Opening) newJob(j *Job, entry *ledger.Job, first *input.Chunk) {
	j.Job, j.Fresh, j.Lanes = entry, true, j.Lanes[:0]
	if o.In.Whole {
		return
	}
	for i := range o.In.Lay.Router.Lanes {
		lane := ledger.Lane{Number: int32(i), Place: ledger.Place{Line: 1}}
		if from := entry.Fingerprint.From; from != nil {
			lane.Place = *from
		}
		if o.t.Distribution.Kind == citus.Hash {
			lane.Min, lane.Max = o.t.Distribution.Shards[i].Min, o.t.Distribution.Shards[i].Max
		}
		j.Lanes = append(j.Lanes, lane)
	}
	if from := entry.Fingerprint.From; from != nil {
		j.Lanes[0].Rows = from.Records // those of the job that this one goes on with
	}
	if o.t.Distribution.Kind == citus.Hash && !o.In.Lay.Router.Filled {
		j.samples = o.In.Lay.Values(first, o.In.Lay.Router.Keys[0], maxSamples)
	}
}

// Enter enters a new job in the ledger. One that is stored in one transaction
// enters itself when it is complete.
func (j *Job) Enter(ctx context.Context) error {
	if !j.Fresh {
		return nil
	}
	tried := false
	err := j.t.OnControl(ctx, func(conn *pgx.Conn) error {
		if j.In.Whole {
			add, err := j.opt.Shards(ctx, conn, j.Found)
			if err != nil {
				return err
			}
			return errors.Join(ledger.Prepare(ctx, conn, j.Target), add()) // while the nodes answer
		}
		if j.run != nil {
			again := tried
			tried = true
			return j.enterRun(ctx, conn, again)
		}
		if tried { // the answer to the COMMIT may be all that was lost
			entered, err := j.entered(ctx, conn)
			if err != nil || entered != nil {
				return err
			}
		}
		tried = true
		return j.t.Settled(ctx, conn, j.Name, func() error { return ledger.Create(ctx, conn, j.Target, j.Job, j.Lanes, j.samples) })
	})
	j.Fresh = err != nil
	return Overtaken(err)
}

// entered returns j as it is in the ledger, nil if it is not there.
func (j *Job) entered(ctx context.Context, conn *pgx.Conn) (*ledger.Job, error) {
	found, err := ledger.Find(ctx, conn, j.Target, j.Name)
	for _, now := range found {
		if now.ID == j.ID {
			return now, nil
		}
	}
	return nil, err
}

// Overtaken returns err, or, if it says that there is a job of the name which was not
// there when the load looked, that the load must begin anew: a run that was killed may
// have stored all of the input after all.
func Overtaken(err error) error {
	if ledger.IsTaken(err) {
		return &StartOverError{"an earlier run's job has come up meanwhile"}
	}
	return err
}

// AwaitEarlier waits for a transaction of an earlier run that is about to store all of the
// input.
func (j *Job) AwaitEarlier(ctx context.Context) error {
	done := false
	err := j.t.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		done, err = ledger.SettleDone(ctx, conn, j.Target, j.Job)
		return err
	})
	if err == nil && done {
		return &StartOverError{"an earlier run has just stored all of the input"}
	}
	return Overtaken(err)
}

// maxSamples is how many of the input's distribution values may become keys of the
// progress table.
const maxSamples = 1000

// A StartOverError says that what the load remembers is not what the database has:
// it must go on from the marks there.
type StartOverError struct{ Why string }

func (e *StartOverError) Error() string { return e.Why }
