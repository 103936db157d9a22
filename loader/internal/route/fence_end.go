package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
)

// checkShards makes sure that no shard of the table was emptied or lost since the job
// was begun or last looked at. A shard that was moved meanwhile has other files: then
// the rows are counted.
func (f *Fence) checkShards(ctx context.Context, end End) error {
	if !end.Job.Tell() || f.nodes.Len() < 2 {
		return nil
	}
	now, err := f.t.Look(ctx, f.conn)
	if err != nil {
		return err
	}
	add, err := f.nodes.LookAtShards(ctx, f.conn, now)
	if err == nil {
		err = add()
	}
	if err != nil {
		return err
	}
	switch end.Job.Found.Changed(now) {
	case ledger.Rewritten:
		return f.changed("a shard of it was emptied or rewritten on its node, or a partition is gone there")
	case ledger.Moved:
		want := end.Added()
		has, err := f.t.CountRows(ctx, f.conn, want)
		if err != nil {
			return err
		}
		if has < want {
			if err := end.Job.LeftBehind(ctx, end.Lanes.Front().Mark(), end.Lanes.Front().Place()); err != nil {
				return err
			}
			return f.changed(fmt.Sprintf("it has %s, and %d were stored", term.Plural(has, "row"), want))
		}
	}
	end.Job.Files = now
	return nil
}

// finishWhole makes the job of a file that is stored in one transaction complete, and
// ends the fence's transaction.
func (f *Fence) finishWhole(ctx context.Context, end End) error {
	results, err := f.conn.PgConn().Exec(ctx, ledger.FinishSQL(end.Job.Target, end.Job.Job)+"; COMMIT").ReadAll()
	if err != nil {
		return fmt.Errorf("end the load of %s: %w", f.t.Table, err)
	}
	if results[len(results)-2].CommandTag.RowsAffected() != 1 && end.Lanes.Front().Added() > 0 { // an input without rows has entered none
		return &failure.JobError{Job: end.Job.Name, Problem: "it is stored, and its job was forgotten meanwhile", Do: "if it is to be known as loaded, " + failure.Anew}
	}
	return nil
}

// An End is what the end of a load is judged by.
type End struct {
	Input string
	Job   *job.Job
	Lanes *lane.Lanes
	// Added returns how many rows of the table are the job's.
	Added func() int64
}

// Finish makes sure that the table is still the same and that everything is
// stored, as the marks say, and ends the job. The fence is open afterwards.
func (f *Fence) Finish(ctx context.Context, end End) error {
	defer time.AfterFunc(fault.SlowEnd, func() {
		f.t.Log.Info("all rows are stored, and the end of the job takes long: a shard of its colocation group that is being moved or split would hold it up", "table", f.t.Table.String())
	}).Stop()
	return f.t.Persist(ctx, func() error {
		if f.conn.IsClosed() || f.conn.PgConn().TxStatus() != 'T' {
			// The answer to its COMMIT may be all that is missing, or that may still be
			// under way: then the lock waits for it.
			if done, err := end.Job.IsComplete(ctx); err != nil || done {
				return err
			}
			lockErr := f.lock(ctx)
			if done, err := end.Job.IsComplete(ctx); err != nil || done {
				return err
			}
			if lockErr != nil {
				return lockErr
			}
		}
		if err := f.check(ctx); err != nil {
			return err
		}
		whole := end.Job.AtOnce() && !end.Job.Target.OnePhase()
		if !whole || end.Job.Waited() {
			if err := f.checkShards(ctx, end); err != nil {
				return err
			}
		}
		if whole {
			return f.finishWhole(ctx, end)
		}
		if err := end.Job.End(ctx, f.conn, end.Lanes.Front().Mark(), end.Lanes.Front().Place()); err != nil {
			return f.unlocked(ctx, end, err)
		}
		if err := server.Exec(ctx, f.conn.PgConn(), "COMMIT"); err != nil {
			return fmt.Errorf("end the load of %s: %w", f.t.Table, err)
		}
		return nil
	})
}

// unlocked returns err. If it says that a transaction has marks locked it sees to it that
// none is prepared any more: then the end is tried again.
func (f *Fence) unlocked(ctx context.Context, end End, err error) error {
	if !errors.Is(err, ledger.ErrLocked) {
		return err
	}
	settled := f.t.OnControl(ctx, func(conn *pgx.Conn) error { return f.t.Settle(ctx, conn, end.Input, err.Error()) })
	if settled != nil {
		return settled
	}
	return err
}
