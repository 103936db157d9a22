package job

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
)

// settleWhole makes a job complete that is Storing: its rows are there once no node has
// them prepared any more, unless a shard was moved before that: a move with its writers
// held up leaves behind what is prepared.
func (o *Opening) settleWhole(ctx context.Context, conn *pgx.Conn, j *ledger.Job) error {
	if err := o.t.Settle(ctx, conn, j.Name, ""); err != nil {
		return err
	}
	files, err := o.t.Look(ctx, conn)
	if err != nil {
		return err
	}
	if j.Files.Changed(files) == ledger.Moved && !o.opt.Rewritten {
		return &failure.JobError{
			Job: j.Name, Problem: "a server failed when it was being stored, and a shard was moved or split before it was seen that all is there: some of its rows may be missing",
			Do: "a deep verification tells; if nothing is missing go on with Config.Rewritten, else " + failure.Anew,
		}
	}
	if err = server.Start(ctx, conn.PgConn(), server.Write); err == nil {
		err = server.Exec(ctx, conn.PgConn(), ledger.FinishSQL(o.opt.Ledger, j)+"; COMMIT")
	}
	if err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	return nil
}

// Waited reports whether it was waited for what a COMMIT has left undone.
func (j *Job) Waited() bool { return j.waited.Load() }

// LookAgain notes where the rows of the table lie now.
func (j *Job) LookAgain(ctx context.Context) error {
	return j.t.OnControl(ctx, func(conn *pgx.Conn) error {
		files, err := j.t.Look(ctx, conn)
		if err == nil {
			err = j.addShards(ctx, conn, files)
		}
		if err == nil {
			j.Found, j.Files = files, files
		}
		return err
	})
}
