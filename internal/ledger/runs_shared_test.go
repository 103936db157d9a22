package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// marksTables returns the progress tables of the schema, those of single jobs, too.
func marksTables(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return pgtest.Query(t, conn, `SELECT relname FROM pg_class WHERE relname ~ '^shardload_(progress|marks)_[a-z2-7]{16}$' AND relkind = 'r'
		AND relnamespace = current_schema::regnamespace ORDER BY 1`)
}

func noMarksLeft(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if got := marksTables(t, conn); len(got) > 0 {
		t.Errorf("progress tables are left: %q", got)
	}
}

// The runs of a set keep their marks in one table, beside each other, each run its own. It is there as
// long as one of them is open.
func TestRunsShareMarks(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		conn, target := newTable(t, dsn)
		set, seen := enterSet(t, conn, target, "the set", someParts(8)...)
		one, oneJob := openRun(t, conn, target, set, 1)
		two, twoJob := openRun(t, conn, target, set, 2)
		table := "shardload_marks_" + set.ID
		if got := marksTables(t, conn); !slices.Equal(got, []string{table}) || oneJob.Progress != twoJob.Progress {
			t.Fatalf("tables %q, marks in %s and %s; want one, %s", got, oneJob.Progress, twoJob.Progress, table)
		}
		claim(t, conn, target, one, seen, ledger.Limit{Parts: 1})
		claim(t, conn, target, two, seen, ledger.Limit{Parts: 1})
		before := readLanes(t, conn, target, twoJob)
		for _, l := range readLanes(t, conn, target, oneJob) {
			if n := update(t, conn, markSQL(target, oneJob.Progress, l, ledger.Step{To: ledger.Mark{Chunk: 5}, Rows: 3})); n != 1 {
				t.Errorf("lane %d: %d marks moved", l.Number, n)
			}
		}
		if got := readLanes(t, conn, target, twoJob); !slices.Equal(got, before) {
			t.Errorf("the other run's marks are %+v, and were %+v", got, before)
		}
		open, err := ledger.OpenRuns(ctx, conn, target, set.ID)
		if err != nil || len(open.Runs) != 2 {
			t.Fatalf("%+v, %v", open, err)
		}
		// Whoever waits for marks, or takes a run over, does not wait for those of others.
		busy := pgtest.Connect(t, dsn)
		pgtest.Exec(t, busy, "BEGIN", markSQL(target, twoJob.Progress, before[0], ledger.Step{To: ledger.Mark{Chunk: 1}}))
		if err := ledger.Settle(ctx, conn, target, oneJob); err != nil {
			t.Error(err)
		}
		lost := *oneJob
		one, _, err = ledger.TakeOver(ctx, conn, target, &open.Runs[0].Run, oneJob, ledger.Owner{Host: "there", PID: 3})
		if err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, busy, "COMMIT")
		if got := readLanes(t, conn, target, twoJob); got[0].Mark.Chunk != 1 || got[0].Epoch != 1 {
			t.Errorf("the other run's mark is %+v", got[0])
		}
		if err := closeRun(t, conn, target, one, oneJob, 0); err != nil {
			t.Fatal(err)
		}
		if got := pgtest.Query(t, conn, "SELECT DISTINCT run FROM "+twoJob.Progress); !slices.Equal(got, []string{two.ID}) {
			t.Errorf("marks of %q are left, want those of %s", got, two.ID)
		}
		for _, j := range []*ledger.Job{&lost, oneJob} {
			if _, err := ledger.Lanes(ctx, conn, target, j); !errors.Is(err, ledger.ErrEpoch) {
				t.Errorf("marks of the closed run: error %v", err)
			}
		}
		if err := closeRun(t, conn, target, two, twoJob, 0); err != nil {
			t.Fatal(err)
		}
		noMarksLeft(t, conn)
		openRun(t, conn, target, set, 4)
		openRun(t, conn, target, set, 5)
		if err := ledger.Forget(ctx, conn, findEntry(t, conn, set.ID)); err != nil {
			t.Fatal(err)
		}
		noMarksLeft(t, conn)
	})
}

// Runs are opened and closed by many at once: the table of their marks comes and goes, and nobody's marks
// with it.
func TestRunsComeAndGo(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, target := newTable(t, dsn)
		set, _ := enterSet(t, conn, target, "the set", someParts(1)...)
		const workers, runs = 4, 5
		var g errgroup.Group
		for i := range workers {
			mine := pgtest.Connect(t, dsn)
			g.Go(func() (err error) {
				for range runs {
					err = errors.Join(err, comeAndGo(context.Background(), mine, target, set, i))
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		noMarksLeft(t, conn)
		want := fmt.Sprint(10 * workers * runs * len(newLanes(target)))
		if got := pgtest.Query(t, conn, "SELECT rows FROM shardload_jobs"); !slices.Equal(got, []string{want}) {
			t.Errorf("%q rows, want %s", got, want)
		}
	})
}

// comeAndGo opens a run of the set, moves its marks, and closes it.
func comeAndGo(ctx context.Context, conn *pgx.Conn, target ledger.Target, set *ledger.Job, pid int) error {
	j := &ledger.Job{ID: ledger.NewID(), Fingerprint: ledger.Fingerprint{Size: -1}}
	r, err := ledger.OpenRun(ctx, conn, target, set, j, newLanes(target), nil, ledger.Owner{Host: "here", PID: pid}, false)
	if err != nil {
		return err
	}
	return moveAndClose(ctx, conn, target, r, j, ledger.Mark{Chunk: 1})
}

// A run that an earlier version began has a table of its own, and is ended as it is.
func TestRunWithItsOwnMarks(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		conn, target := newTable(t, dsn)
		set, seen := enterSet(t, conn, target, "the set", someParts(2)...)
		r, j := openRun(t, conn, target, set, 1)
		claim(t, conn, target, r, seen, ledger.Limit{Parts: 1})
		other, _ := create(t, conn, target, "for the shape of its table")
		own := "shardload_progress_" + r.ID
		columns := pgtest.Query(t, conn, "SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = '"+other.Progress+"'::regclass AND attnum > 0")[0]
		pgtest.Exec(t, conn, "ALTER TABLE "+other.Progress+" RENAME TO "+own, "TRUNCATE "+own,
			"INSERT INTO "+own+" ("+columns+") SELECT "+columns+" FROM "+j.Progress, "DROP TABLE "+j.Progress,
			"DELETE FROM shardload_jobs WHERE id = '"+other.ID+"'",
			"UPDATE shardload_jobs SET fingerprint = jsonb_set(fingerprint - 'shared', '{version}', '4') WHERE id = '"+r.ID+"'")
		if was := find(t, conn, target, r.Name); was == nil || was.Shared {
			t.Fatalf("%+v", was)
		} else {
			j = was
		}
		open, err := ledger.OpenRuns(ctx, conn, target, set.ID)
		if err != nil || len(open.Runs) != 1 {
			t.Fatalf("%+v, %v", open, err)
		}
		r, _, err = ledger.TakeOver(ctx, conn, target, &open.Runs[0].Run, j, ledger.Owner{Host: "there", PID: 2})
		if err != nil {
			t.Fatal(err)
		}
		beside, besideJob := openRun(t, conn, target, set, 3)
		if got := marksTables(t, conn); len(got) != 2 {
			t.Errorf("tables %q", got)
		}
		claim(t, conn, target, beside, seen, ledger.Limit{Parts: 1})
		for _, err := range []error{closeRun(t, conn, target, r, j, 0), closeRun(t, conn, target, beside, besideJob, 0)} {
			if err != nil {
				t.Error(err)
			}
		}
		noMarksLeft(t, conn)
	})
}

// A table that runs share is left over when their set's job is gone.
func TestOrphanOfRuns(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, target := newTable(t, dsn)
		set, _ := enterSet(t, conn, target, "the set", someParts(1)...)
		_, j := openRun(t, conn, target, set, 1)
		if list := orphansOf(t, conn, target); len(list) > 0 {
			t.Errorf("orphans are %v, want none", list)
		}
		// Of a later version's run nothing is known but its id.
		pgtest.Exec(t, conn, "UPDATE shardload_jobs SET fingerprint = '{\"version\": 1000}' WHERE id = '"+j.ID+"'")
		if list := orphansOf(t, conn, target); len(list) > 0 {
			t.Errorf("orphans are %v, want none of a later version", list)
		}
		pgtest.Exec(t, conn, "DELETE FROM shardload_jobs")
		list := orphansOf(t, conn, target)
		if len(list) != 1 || list[j.Progress] == nil {
			t.Fatalf("orphans are %v, want %s", list, j.Progress)
		}
		if err := ledger.RemoveOrphan(t.Context(), conn, list[j.Progress]); err != nil {
			t.Error(err)
		}
		noMarksLeft(t, conn)
	})
}
