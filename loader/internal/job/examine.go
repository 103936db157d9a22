package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/target"
	"shardload/loader/waiting"
)

// An examination decides about a job of the input that was found in the ledger.
type examination struct {
	*Opening
	conn *pgx.Conn
	j    *Job
}

// examine reports whether the job that was found is to go on. It returns an error
// if there is nothing to do, or if going on would lose or double rows.
func (x *examination) examine(ctx context.Context, entry *ledger.Job, now ledger.Fingerprint) (goOn bool, err error) {
	was := x.j.Job
	changed := was.Fingerprint.Reading(now)
	kin, how := sameInput, ""
	if was.Complete() {
		if kin, how, err = x.compare(ctx, now); err != nil {
			return false, err
		}
		kin = x.onlyAppended(kin, was)
	}
	if kin == otherInput {
		if was.Rows > 0 && was.Other == nil {
			x.t.Log.Warn(fmt.Sprintf("%s: other content was loaded under this name, %s; this is taken for more records", was.Name, term.Plural(was.Rows, "row")))
		}
		return false, nil
	}
	refused := &failure.ChangedInputError{Job: was.Name, ID: was.ID, When: failure.ChangedComplete, How: how, Rows: was.Rows}
	has, err := x.t.CountRows(ctx, x.conn, was.Added())
	switch {
	case err != nil:
		return false, err
	case was.TableOID != x.t.Table.OID && has == 0:
		return false, nil // dropped and made anew
	case was.TableOID != x.t.Table.OID && x.allOthers(ctx):
		return false, nil // dropped and made anew, and then filled by other jobs
	case was.Other != nil:
		return false, &failure.JobError{Job: was.Name, Problem: fmt.Sprintf("an earlier run loaded it into the table that is %s now and had the name of %s then, and rows are here that no job has stored: it is not known which of the two has its rows", was.Other, x.t.Table), Do: "if the other one has them " + failure.Beside}
	case was.TableOID != x.t.Table.OID:
		return false, &failure.JobError{Job: was.Name, Problem: "the table was rebuilt since this input was begun, and its rows may be there", Do: failure.Anew + ", or, if a deep verification shows none of them there, forget job " + was.ID + " and load it"}
	case was.Complete() && has < was.Added():
		return false, &failure.JobError{Job: was.Name, Problem: fmt.Sprintf("it was loaded completely, %s, but the table has %d now", term.Plural(was.Added(), "row"), has), Do: failure.Anew + ", or " + failure.Beside}
	case was.Complete() && !was.Fingerprint.Reads.Same(now.Reads):
		return false, &failure.JobError{Job: was.Name, Problem: "it was loaded completely, and " + changed, Do: failure.Beside + ", or " + failure.Anew}
	case kin == editedInput:
		return false, refused
	case kin == anewInput:
		refused.When = failure.ChangedOther
		return false, refused
	case kin == grownInput:
		refused.When = failure.ChangedGrown
		if err := x.checkFile(ctx, was.Added()); err != nil {
			return false, err
		}
		return false, x.appended(ctx, x.j, entry, refused)
	case was.Complete():
		if err := x.checkFile(ctx, was.Added()); err != nil {
			return false, err
		}
		return false, &failure.CompleteError{
			Job: was.Name, Rows: was.Rows, When: was.Finished.Local().Format("2006-01-02 15:04"), Rejected: was.Rejected, Rejects: was.Rejects, Lately: was.Rejected,
			Updated: was.Updated, Skipped: was.Skipped, Filtered: was.Filtered,
		}
	case changed != "":
		return false, &failure.JobError{Job: was.Name, Problem: "an earlier run began to load it, and since then " + changed, Do: "load what it was, or " + failure.Beside + ", or " + failure.Anew}
	case was.Kind != x.t.Distribution.Kind:
		return false, &failure.JobError{Job: was.Name, Problem: fmt.Sprintf("the table was %s when this input was begun and is %s now", was.Kind, x.t.Distribution.Kind), Do: failure.Anew}
	}
	return x.resumeJob(ctx, now, has)
}

// allOthers reports whether all rows of the table are those that jobs other than j have
// stored since the table is there. Rows are counted before marks are read, so that what
// other loads store meanwhile makes no difference. It says no in doubt.
func (x *examination) allOthers(ctx context.Context) bool {
	has, err := x.t.CountRows(ctx, x.conn, target.CountLimit-1)
	if err != nil || has >= target.CountLimit-1 && x.t.Server.Citus == "" {
		return false
	}
	others, err := ledger.AddedByOthers(ctx, x.conn, x.j.Target, x.j.ID)
	return err == nil && has <= others
}

// resumeJob reads the marks of an unfinished job of a table that has that many rows,
// or at least some. It reports false if the job has lost its marks with all rows.
func (x *examination) resumeJob(ctx context.Context, now ledger.Fingerprint, has int64) (goOn bool, err error) {
	err = x.readLanes(ctx)
	switch {
	case errors.Is(err, ledger.ErrMarksGone) && has == 0:
		return false, nil // a crash has emptied both tables, if they are unlogged
	case errors.Is(err, ledger.ErrMarksGone):
		return false, x.j.lanesMissing()
	case err != nil:
		return false, err
	}
	slices.SortFunc(x.j.Lanes, func(a, b ledger.Lane) int {
		return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.Number, b.Number))
	})
	if err := x.j.checkLanes(); err != nil {
		return false, err
	}
	if err := x.checkStored(ctx); err != nil {
		return false, err
	}
	return true, x.prove(ctx, now)
}

// settleMarks waits until no transaction has marks of j locked. Where one is prepared,
// and Citus does not finish it, that is an error; others end with their processes.
func (x *examination) settleMarks(ctx context.Context) error {
	for {
		err := ledger.Settle(ctx, x.conn, x.j.Target, x.j.Job)
		if !errors.Is(err, ledger.ErrLocked) {
			return err
		}
		x.t.Log.Info("a transaction of an earlier run, or a move of a shard, is not over yet; the load waits for it", "table", x.t.Table.String())
		end := x.t.Watch.Waits.Begin(waiting.Wait{For: "a transaction of an earlier run, or a move of a shard"})
		err = x.t.Settle(ctx, x.conn, x.j.Name, "")
		if end(); err != nil {
			return err
		}
	}
}

// readLanes reads the job's lanes. Those whose shard was split are divided.
//
// A batch that an earlier run was committing when it was killed is awaited first: its
// rejected records are in their file, and must not be taken for ones that were not
// stored.
func (x *examination) readLanes(ctx context.Context) (err error) {
	if err = x.settleMarks(ctx); err == nil {
		x.j.Lanes, err = ledger.Lanes(ctx, x.conn, x.j.Target, x.j.Job)
	}
	if fault.Is(err, fault.UndefinedColumn) {
		if err = ledger.AddColumns(ctx, x.conn, x.j.Target, x.j.Job); err == nil {
			x.j.Lanes, err = ledger.Lanes(ctx, x.conn, x.j.Target, x.j.Job)
		}
	}
	if fault.Is(err, fault.UndefinedTable) || errors.Is(err, ledger.ErrMarksGone) {
		// On a node that has not heard of the COMMIT which made them they are not there, either.
		if err := x.t.Settle(ctx, x.conn, x.j.Name, ""); err != nil {
			return err
		}
		x.j.Lanes, err = ledger.Lanes(ctx, x.conn, x.j.Target, x.j.Job)
	}
	if fault.Is(err, fault.UndefinedTable) {
		return &failure.JobError{Job: x.j.Name, Problem: "an earlier run began to load it, and the table of its progress is gone", Do: failure.Anew}
	}
	if err != nil || x.j.Kind != citus.Hash {
		return err
	}
	now, err := citus.Distribute(ctx, x.conn, x.t.Table.OID)
	if err != nil {
		return err
	}
	if changed, err := ledger.Split(ctx, x.conn, x.j.Target, x.j.Job, x.j.Lanes, now.Shards); err != nil || !changed {
		return err
	}
	x.j.Lanes, err = ledger.Lanes(ctx, x.conn, x.j.Target, x.j.Job)
	return err
}

// checkStored makes sure that the table has at least as many rows as the marks say
// were stored.
func (x *examination) checkStored(ctx context.Context) error {
	rows, merged := x.j.Before()
	stored := rows - merged.Updated - merged.Skipped
	if stored == 0 {
		return nil
	}
	has, err := x.t.CountRows(ctx, x.conn, stored)
	if err != nil {
		return err
	}
	if has >= stored {
		return x.checkFile(ctx, stored)
	}
	now, do := fmt.Sprintf("it has %d now", has), failure.Anew
	switch {
	case has == 0:
		now, do = "it is empty now", failure.Fresh
	case x.j.FileNode != x.t.Table.RelFileNode:
		now = fmt.Sprintf("it was emptied or rewritten since, and has %d now", has)
	}
	return &failure.JobError{Job: x.j.Name, Problem: fmt.Sprintf("an earlier run stored %s in the table, and %s", term.Plural(stored, "row"), now), Do: do}
}

// checkFile makes sure that the files of the table, of its partitions and of its shards
// are the ones into which j has stored that many rows: in others there may be other rows, as
// many. A shard that was moved has other files, which tell nothing.
func (x *examination) checkFile(ctx context.Context, stored int64) error {
	change := x.j.Files.Changed(x.j.Found)
	switch {
	case stored == 0, change == ledger.Same && x.j.FileNode == x.t.Table.RelFileNode:
		return nil
	case change == ledger.Moved && x.j.FileNode == x.t.Table.RelFileNode:
		x.j.Files = x.j.Found
		return ledger.SetFiles(ctx, x.conn, x.j.Target, x.j.Job)
	}
	if !x.opt.Rewritten {
		return &failure.JobError{
			Job: x.j.Name, Problem: fmt.Sprintf("an earlier run stored %s, and the table, a partition or a shard of it was rewritten since: emptied and filled, detached, or by VACUUM FULL, CLUSTER or ALTER TABLE", term.Plural(stored, "row")),
			Do: "go on with Config.Rewritten if it has these rows still (a deep verification tells), or " + failure.Anew,
		}
	}
	x.j.FileNode, x.j.Files = x.t.Table.RelFileNode, x.j.Found
	return ledger.SetFiles(ctx, x.conn, x.j.Target, x.j.Job)
}

// checkLanes makes sure that every row of the input belongs to one of the job's
// lanes, which are in the order of their ranges and numbers. Rows of progress may be
// missing after a crash, if they are unlogged, or because somebody removed them.
func (j *Job) checkLanes() error {
	hashed := j.Kind == citus.Hash
	next := int64(math.MinInt32) // the first hash that no lane has yet
	for i, l := range j.Lanes {
		if hashed && int64(l.Min) != next || !hashed && int(l.Number) != i {
			return j.lanesMissing()
		}
		next = int64(l.Max) + 1
	}
	want := decode.Shares
	if j.Kind == citus.Single {
		want = 1
	}
	if hashed && next != math.MaxInt32+1 || !hashed && len(j.Lanes) != want {
		return j.lanesMissing()
	}
	return nil
}

func (j *Job) lanesMissing() error {
	why := "rows of " + j.Progress + " are missing"
	if j.Target.Table.Persistence == 'u' {
		why += ", as after a crash of a server, which empties unlogged tables"
	}
	return &failure.JobError{Job: j.Name, Problem: "an earlier run began to load it, and its progress is incomplete: " + why, Do: failure.Anew}
}

// compareLength reads a stream to its end, to see whether it is as long as the one
// that is loaded completely and begins like it. It returns done if it is.
func (o *Opening) compareLength(ctx context.Context, done *failure.CompleteError, was *ledger.Job, first *input.Chunk) error {
	length := first.Size
	for buf := []byte(nil); ; {
		c, err := o.In.Next(ctx, buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		length += c.Size
		buf = c.Data
	}
	if length == was.Bytes {
		return done
	}
	return &failure.JobError{
		Job: was.Name, Problem: fmt.Sprintf("it begins like the input that was loaded completely under this name, but has %d bytes, and that one had %d", length, was.Bytes),
		Do: failure.Beside + ", or " + failure.Anew,
	}
}
