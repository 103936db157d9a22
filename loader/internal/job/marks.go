package job

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// Marks say what of an input is stored. They are stored with the rows, in one transaction.
// There are three kinds: in pieces, where each lane has a mark, which moves with each batch;
// whole, where the job's entry in the ledger comes with all of its rows; and none.
type Marks interface {
	// AtOnce reports whether everything is stored in one transaction.
	AtOnce() bool
	// Tell reports whether they tell afterwards if a batch is stored.
	Tell() bool
	// SQL returns the statements that mark b as stored, and how many they are. table is
	// the progress table as b's server has it.
	SQL(table string, b *lane.Batch) (sql string, statements int, err error)
	// CorrectSQL returns the statement that corrects what those of SQL have counted before
	// it was known what becomes of the rows of b, "" if that was right. rejects is the path
	// of the file of rejected records, "" for none.
	CorrectSQL(table string, b *lane.Batch, rejects string) string
	// Number returns the number of a lane in the ledger.
	Number(lane int) int32
	// Stored asks the coordinator if b is stored, now that no transaction that could still
	// store b is under way: the server has just answered another try to move the mark.
	Stored(ctx context.Context, b *lane.Batch) (yes bool, err error)
	// Settle makes sure, on conn, that what a COMMIT has left undone on other nodes is done.
	Settle(ctx context.Context, conn *pgx.Conn) error
	// HoldsMoves reports whether moves of shards are to be held off while a batch is
	// committed.
	HoldsMoves() bool
	// LeftBehind returns a StartOverError if rows are missing together with their marks: a
	// shard was moved away from what was only prepared there. It is stored once more. end
	// is the mark of the end of the input, which is at place.
	LeftBehind(ctx context.Context, end ledger.Mark, place ledger.Place) error
	// IsComplete reports whether the ledger has the job as complete, by an earlier try to
	// end it.
	IsComplete(ctx context.Context) (bool, error)
	// End ends the job, in conn's transaction, if the marks that the coordinator reads are
	// those of the end of the input, which is at place.
	End(ctx context.Context, conn *pgx.Conn, end ledger.Mark, place ledger.Place) error
}

// mark gives j the marks of its kind.
func (j *Job) mark() {
	j.Marks = &pieces{j}
	if j.In.Whole {
		j.Marks = &whole{j}
	}
}

// None returns the job of a load that keeps no progress. It was opened by o.
func None(o *Opening) *Job { return &Job{Job: &ledger.Job{}, Opening: o, Marks: none{}} }

// none are no marks.
type none struct{}

func (none) AtOnce() bool                                                    { return false }
func (none) Tell() bool                                                      { return false }
func (none) SQL(string, *lane.Batch) (string, int, error)                    { return "", 0, nil }
func (none) CorrectSQL(string, *lane.Batch, string) string                   { return "" }
func (none) Number(lane int) int32                                           { return int32(lane) }
func (none) Stored(context.Context, *lane.Batch) (bool, error)               { return false, nil }
func (none) Settle(context.Context, *pgx.Conn) error                         { return nil }
func (none) HoldsMoves() bool                                                { return false }
func (none) LeftBehind(context.Context, ledger.Mark, ledger.Place) error     { return nil }
func (none) IsComplete(context.Context) (bool, error)                        { return false, nil }
func (none) End(context.Context, *pgx.Conn, ledger.Mark, ledger.Place) error { return nil }

// whole is the mark of a job that is stored in one transaction: its own entry in the ledger.
type whole struct{ j *Job }

func (w *whole) AtOnce() bool { return true }

func (w *whole) Tell() bool { return true }

func (w *whole) SQL(_ string, b *lane.Batch) (sql string, statements int, err error) {
	done := *w.j.Job
	done.Fingerprint.Sum = b.Place.Sum
	sql, err = ledger.DoneSQL(w.j.Target, &done, b.Rows-b.Aside.Rows, b.Place.Offset)
	return "; " + sql, ledger.DoneStatements, err
}

func (w *whole) CorrectSQL(_ string, b *lane.Batch, rejects string) string {
	if b.Rejects() == 0 && b.Merged == (ledger.Merged{}) {
		return ""
	}
	return ledger.CorrectDoneSQL(w.j.Target, w.j.Job, b.Stored(), b.Rejects(), b.Merged, rejects)
}

func (w *whole) Number(lane int) int32 { return int32(lane) }

// Stored is true: the entry is in the ledger, or the server would not have said so.
func (w *whole) Stored(ctx context.Context, _ *lane.Batch) (yes bool, err error) {
	return true, w.j.t.OnControl(ctx, func(conn *pgx.Conn) error { return w.Settle(ctx, conn) })
}

// Settle takes time, in which rows of some nodes are there and not those of others: at the
// end it is seen whether they still are.
func (w *whole) Settle(ctx context.Context, conn *pgx.Conn) error {
	w.j.waited.Store(true)
	return w.j.settleWhole(ctx, conn, w.j.Job)
}

// HoldsMoves: whoever does not own the table may not hold them off.
func (w *whole) HoldsMoves() bool { return !w.j.Target.OnePhase() && w.j.t.MayLock() }

func (w *whole) LeftBehind(context.Context, ledger.Mark, ledger.Place) error { return nil }

func (w *whole) IsComplete(context.Context) (bool, error) { return false, nil }

func (w *whole) End(context.Context, *pgx.Conn, ledger.Mark, ledger.Place) error { return nil }

// pieces are the marks of a job that is stored in pieces: rows of its table of progress.
type pieces struct{ j *Job }

func (p *pieces) AtOnce() bool { return false }

func (p *pieces) Tell() bool { return true }

func (p *pieces) SQL(table string, b *lane.Batch) (sql string, statements int, err error) {
	step := ledger.Step{From: b.From, To: b.To, Place: b.Place, Within: b.Within, Rows: b.Rows - b.Aside.Rows, Rejected: b.Aside.Rows}
	sql, statements = ledger.UpdateSQL(p.j.Target, table, p.j.Lanes[b.Lane], step)
	if name := p.j.Application(); name != "" { // by which who takes the run over ends the session
		sql, statements = "SET LOCAL application_name = "+server.Literal(name)+"; "+sql, statements+1
	}
	return "; " + sql, statements, nil
}

func (p *pieces) CorrectSQL(table string, b *lane.Batch, _ string) string {
	if len(b.Refused) == 0 && b.Merged == (ledger.Merged{}) {
		return ""
	}
	return ledger.CorrectSQL(p.j.Target, table, p.j.Lanes[b.Lane], b.To, int64(len(b.Refused)), b.Merged)
}

func (p *pieces) Number(lane int) int32 { return p.j.Lanes[lane].Number }

func (p *pieces) Stored(ctx context.Context, b *lane.Batch) (yes bool, err error) {
	number := p.Number(b.Lane)
	was := p.j.Lanes[b.Lane]
	var mark *ledger.Mark
	same := false // the lane
	err = p.j.t.OnControl(ctx, func(conn *pgx.Conn) error {
		lanes, err := ledger.Lanes(ctx, conn, p.j.Target, p.j.Job)
		for _, l := range lanes {
			if l.Number == number {
				mark, same = &l.Mark, l.Epoch == was.Epoch && l.Min == was.Min && l.Max == was.Max
			}
		}
		return err
	})
	switch {
	case err != nil:
		return false, err
	case mark == nil:
		return false, &StartOverError{"the progress of a lane is gone"}
	case !same:
		return false, &StartOverError{fmt.Sprintf("another process goes on with the job, or has divided lane %d", number)}
	case *mark == b.To:
		return true, nil
	case *mark == b.From:
		return false, nil // the row was elsewhere, and is now where it is looked for
	}
	return false, &StartOverError{fmt.Sprintf("lane %d is at chunk %d, not %d: a server has forgotten what it said was stored, or another process goes on with the job",
		number, mark.Chunk, b.From.Chunk)}
}

func (p *pieces) Settle(context.Context, *pgx.Conn) error { return nil }

func (p *pieces) HoldsMoves() bool { return false }

func (p *pieces) LeftBehind(ctx context.Context, end ledger.Mark, place ledger.Place) error {
	return p.j.t.OnControl(ctx, func(conn *pgx.Conn) error {
		lanes, err := ledger.Lanes(ctx, conn, p.j.Target, p.j.Job)
		if err != nil {
			return err
		}
		return p.atEnd(lanes, end, place)
	})
}

func (p *pieces) IsComplete(ctx context.Context) (done bool, err error) {
	err = p.j.t.OnControl(ctx, func(conn *pgx.Conn) error {
		now, err := p.j.entered(ctx, conn)
		done = now != nil && now.Complete()
		return err
	})
	return done, err
}

func (p *pieces) End(ctx context.Context, conn *pgx.Conn, end ledger.Mark, place ledger.Place) error {
	p.j.Fingerprint.Sum = place.Sum
	return ledger.Complete(ctx, conn, p.j.Target, p.j.Job, place.Offset, func(lanes []ledger.Lane) error { return p.atEnd(lanes, end, place) })
}

// atEnd returns an error if marks, as the coordinator has read them, are not those of the
// end of the input.
func (p *pieces) atEnd(lanes []ledger.Lane, end ledger.Mark, place ledger.Place) error {
	if len(lanes) != len(p.j.Lanes) {
		return &StartOverError{fmt.Sprintf("%s of progress are there, and were %d", term.Plural(len(lanes), "row"), len(p.j.Lanes))}
	}
	for _, l := range lanes {
		if l.Mark != end {
			return &StartOverError{fmt.Sprintf("a server has forgotten rows that it said were stored: lane %d is at chunk %d of %d", l.Number, l.Mark.Chunk, end.Chunk)}
		}
	}
	if n := records(lanes); n != place.Records {
		return &failure.JobError{Job: p.j.Name, Problem: fmt.Sprintf("the input has %s, but %d are stored or rejected", term.Plural(place.Records, "record"), n), Do: "a deep verification tells which rows differ; " + failure.Anew}
	}
	return nil
}
