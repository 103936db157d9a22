package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// enterSet enters a set of that name with those parts, and returns it with what was seen.
func enterSet(t testing.TB, conn *pgx.Conn, target ledger.Target, name string, parts ...ledger.Part) (*ledger.Job, *ledger.Seen) {
	t.Helper()
	set := &ledger.Job{ID: ledger.NewID(), Name: name, Fingerprint: ledger.Fingerprint{Size: -1}, InSet: ledger.InSet{Set: &ledger.Set{Named: []string{name}}}}
	was, err := ledger.EnterSet(t.Context(), conn, target, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	if was != nil {
		set = was
	}
	return set, addParts(t, conn, target, set, parts...)
}

func addParts(t testing.TB, conn *pgx.Conn, target ledger.Target, set *ledger.Job, parts ...ledger.Part) *ledger.Seen {
	t.Helper()
	seen, err := ledger.AddParts(t.Context(), conn, target, set.ID, parts)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// somePart returns n parts, in order.
func someParts(n int) (parts []ledger.Part) {
	for i := range n {
		parts = append(parts, ledger.Part{Name: fmt.Sprintf("dir/part-%06d.csv", i), Size: int64(100 + i), Tag: "2026"})
	}
	return parts
}

func openRun(t testing.TB, conn *pgx.Conn, target ledger.Target, set *ledger.Job, pid int) (*ledger.Run, *ledger.Job) {
	t.Helper()
	j := &ledger.Job{ID: ledger.NewID(), Fingerprint: ledger.Fingerprint{Size: -1}}
	r, err := ledger.OpenRun(t.Context(), conn, target, set, j, newLanes(target), nil, ledger.Owner{Host: "here", PID: pid}, false)
	if err != nil {
		t.Fatal(err)
	}
	return r, j
}

func claim(t testing.TB, conn *pgx.Conn, target ledger.Target, r *ledger.Run, seen *ledger.Seen, most ledger.Limit) (names []string) {
	t.Helper()
	parts, err := ledger.Claim(t.Context(), conn, target, r, seen, most)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		names = append(names, fmt.Sprintf("%d:%s", p.Seq, strings.TrimSuffix(strings.TrimPrefix(p.Name, "dir/part-00000"), ".csv")))
	}
	return names
}

// closeRun moves all marks to the end of the part with that number, as a load of ten rows in each lane
// does, and closes the run.
func closeRun(t testing.TB, conn *pgx.Conn, target ledger.Target, r *ledger.Run, j *ledger.Job, seq int32) error {
	t.Helper()
	ctx := context.Background()
	return moveAndClose(ctx, conn, target, r, j, ledger.Mark{Chunk: ledger.Chunk(seq+1, 0)})
}

// moveAndClose does what closeRun does, in any goroutine.
func moveAndClose(ctx context.Context, conn *pgx.Conn, target ledger.Target, r *ledger.Run, j *ledger.Job, end ledger.Mark) error {
	lanes, err := ledger.Lanes(ctx, conn, target, j)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		tag, err := conn.Exec(ctx, markSQL(target, j.Progress, l, ledger.Step{From: l.Mark, To: end, Rows: 10}))
		if err != nil || tag.RowsAffected() != 1 {
			return fmt.Errorf("lane %d: %v, %w", l.Number, tag, err)
		}
	}
	return closeAt(ctx, conn, target, r, j, end)
}

func closeAt(ctx context.Context, conn *pgx.Conn, target ledger.Target, r *ledger.Run, j *ledger.Job, end ledger.Mark) error {
	return pgx.BeginFunc(ctx, conn, func(pgx.Tx) error {
		return ledger.CloseRun(ctx, conn, target, r, j, 1000, []ledger.PartRows{{Seq: 0, Rows: 10}}, func(lanes []ledger.Lane) error {
			for _, l := range lanes {
				if l.Mark != end {
					return fmt.Errorf("lane %d is at %v", l.Number, l.Mark)
				}
			}
			return nil
		})
	})
}

func TestSetFromBeginningToEnd(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		conn := pgtest.Connect(t, dsn)
		pgtest.Exec(t, conn, "CREATE TABLE target (k int, v text)")
		distribute(t, conn, "target")
		target := targetOf(t, conn, "target")
		set, seen := enterSet(t, conn, target, "the set", someParts(7)...)
		if seen.PartCounts != (ledger.PartCounts{New: 7}) || seen.Left() != 7 {
			t.Errorf("new: %+v", seen.PartCounts)
		}
		again, other := enterSet(t, conn, target, "the set", someParts(8)...)
		if again.ID != set.ID || again.Storing() || other.PartCounts != (ledger.PartCounts{New: 1, Waiting: 7}) {
			t.Errorf("again: %+v, %+v", again, other.PartCounts)
		}
		one, oneJob := openRun(t, conn, target, set, 1)
		two, twoJob := openRun(t, conn, target, set, 2)
		if got := claim(t, conn, target, one, seen, ledger.Limit{Parts: 3}); !slices.Equal(got, []string{"0:0", "1:1", "2:2"}) {
			t.Errorf("one has %q", got)
		}
		if got := claim(t, conn, target, two, other, ledger.Limit{Parts: 3, Bytes: 104}); !slices.Equal(got, []string{"0:3", "1:4"}) {
			t.Errorf("two has %q", got)
		}
		if got := claim(t, conn, target, one, seen, ledger.Limit{Parts: 10}); !slices.Equal(got, []string{"3:5", "4:6"}) {
			t.Errorf("one has %q more", got)
		}
		if got := claim(t, conn, target, one, seen, ledger.Limit{Parts: 10}); got != nil {
			t.Errorf("one, who does not see it, has %q", got)
		}
		if err := ledger.Release(ctx, conn, target, one, oneJob, 3); err != nil {
			t.Error(err)
		}
		if err := ledger.Fail(ctx, conn, target, one, oneJob, 2, "it's broken"); err != nil {
			t.Error(err)
		}
		if err := closeRun(t, conn, target, one, oneJob, 1); err != nil {
			t.Fatal(err)
		}
		if ended, err := ledger.EndSet(ctx, conn, target, set.ID); ended || err != nil {
			t.Errorf("ended %t, %v, with parts left", ended, err)
		}
		other.Rewind()
		if got := claim(t, conn, target, two, other, ledger.Limit{Parts: 10}); !slices.Equal(got, []string{"2:5", "3:6", "4:7"}) {
			t.Errorf("two has %q in the end", got)
		}
		stand, err := ledger.Stand(ctx, conn, target, set.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := ledger.PartCounts{Loaded: 2, Taken: 5, Failed: 1}
		if stand.PartCounts != want || stand.Open() != 1 || len(stand.Runs) != 2 || stand.Runs[0].Parts != 2 || stand.Runs[1].Parts != 5 || stand.Runs[1].PID != 2 {
			t.Errorf("standing %+v", stand)
		}
		if err := ledger.RetryFailed(ctx, conn, target, set.ID); err != nil {
			t.Error(err)
		}
		other.Rewind()
		if got := claim(t, conn, target, two, other, ledger.Limit{Parts: 10}); !slices.Equal(got, []string{"5:2"}) {
			t.Errorf("of what had failed two has %q", got)
		}
		if ended, err := ledger.EndSet(ctx, conn, target, set.ID); ended || err != nil {
			t.Errorf("ended %t, %v, with an open run", ended, err)
		}
		if err := closeRun(t, conn, target, two, twoJob, 5); err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{true, false} {
			if ended, err := ledger.EndSet(ctx, conn, target, set.ID); ended != want || err != nil {
				t.Errorf("call %d: ended %t, %v", i, ended, err)
			}
		}
		done := find(t, conn, target, "the set")
		if n := int64(20 * len(newLanes(target))); done == nil || !done.Complete() || done.Rows != n || done.Bytes != 2000 {
			t.Errorf("%+v, want %d rows", done, n)
		}
		if left := pgtest.Query(t, conn, "SELECT id FROM shardload_jobs"); !slices.Equal(left, []string{set.ID}) {
			t.Errorf("jobs: %q", left)
		}
		noMarksLeft(t, conn)
		changed := someParts(9)
		changed[1].Size++
		seen = addParts(t, conn, target, set, changed...)
		wantChanged := []ledger.ChangedPart{{Part: changed[1], Was: someParts(2)[1], Loaded: true}}
		if diff := cmp.Diff(wantChanged, seen.Changed); diff != "" || seen.PartCounts != (ledger.PartCounts{Loaded: 8, New: 1}) || seen.Left() != 1 {
			t.Errorf("a rerun sees %+v, changed (-want +got):\n%s", seen.PartCounts, diff)
		}
		if find(t, conn, target, "the set").Complete() {
			t.Error("a set with a new part is complete")
		}
	})
}

// A process that has lost its run can do nothing for it any more.
func TestTakeOver(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		conn, batch := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
		pgtest.Exec(t, conn, "CREATE TABLE target (k int, v text)")
		distribute(t, conn, "target")
		target := targetOf(t, conn, "target")
		set, seen := enterSet(t, conn, target, "the set", someParts(5)...)
		old, j := openRun(t, conn, target, set, 1)
		claim(t, conn, target, old, seen, ledger.Limit{Parts: 2})
		lanes := readLanes(t, conn, target, j)
		step := ledger.Step{To: ledger.Mark{Chunk: ledger.Chunk(1, 3)}, Rows: 1}
		update(t, conn, markSQL(target, j.Progress, lanes[1], step))
		// It is frozen between the mark and the COMMIT.
		pgtest.Exec(t, batch, "BEGIN", "SET LOCAL application_name = '"+old.Application()+"'", markSQL(target, j.Progress, lanes[0], step))

		// So is its fence, which has the marks locked.
		fence := pgtest.Connect(t, dsn)
		pgtest.Exec(t, fence, "BEGIN")
		if err := ledger.CheckProgress(ctx, fence, target, j); err != nil {
			t.Fatal(err)
		}

		open, err := ledger.OpenRuns(ctx, conn, target, set.ID)
		if err != nil || len(open.Runs) != 1 || open.Runs[0].Locked {
			t.Fatalf("%+v, %v", open, err)
		}
		now, parts, err := ledger.TakeOver(ctx, conn, target, &open.Runs[0].Run, j, ledger.Owner{Host: "there", PID: 2})
		if err != nil {
			t.Fatal(err)
		}
		if now.Epoch != 2 || now.Next != 2 || len(parts) != 2 || parts[1].Seq != 1 || parts[1].Size != 101 {
			t.Errorf("%+v with %+v", now, parts)
		}
		if _, err := batch.Exec(ctx, "COMMIT"); err == nil {
			t.Error("the frozen batch was committed")
		}
		if _, err := fence.Exec(ctx, "COMMIT"); err == nil {
			t.Error("the session of the fence goes on")
		}
		after := readLanes(t, conn, target, j)
		for i, l := range after {
			if l.Epoch != 2 || l.Mark.Chunk != []int64{0, step.To.Chunk, 0, 0}[i] {
				t.Errorf("lane %+v", l)
			}
		}
		if n := update(t, conn, markSQL(target, j.Progress, lanes[2], step)); n != 0 {
			t.Error("a batch of the old epoch moved a mark")
		}
		for what, err := range map[string]error{
			"beat":    second(ledger.Beat(ctx, conn, target, old, ledger.Totals{})),
			"claim":   second(ledger.Claim(ctx, conn, target, old, seen, ledger.Limit{Parts: 1})),
			"release": ledger.Release(ctx, conn, target, old, j, 0),
			"fail":    ledger.Fail(ctx, conn, target, old, j, 0, "because"),
			"leave":   ledger.Leave(ctx, conn, target, old, ""),
			"close":   closeAt(ctx, conn, target, old, j, step.To),
		} {
			if !errors.Is(err, ledger.ErrEpoch) {
				t.Errorf("%s: error %v", what, err)
			}
		}
		if _, _, err := ledger.TakeOver(ctx, conn, target, &open.Runs[0].Run, j, ledger.Owner{}); !errors.Is(err, ledger.ErrNotLost) {
			t.Errorf("taken over twice: error %v", err)
		}
		if pulse, err := ledger.Beat(ctx, conn, target, now, ledger.Totals{Rows: 7}); err != nil || pulse != (ledger.Pulse{Live: 1, Rows: 7, All: 7}) {
			t.Errorf("%+v, %v", pulse, err)
		}
		if err := ledger.Release(ctx, conn, target, now, j, 1); !errors.Is(err, ledger.ErrReached) {
			t.Errorf("released what a lane has reached: error %v", err)
		}
		if got := claim(t, conn, target, now, seen, ledger.Limit{Parts: 2}); !slices.Equal(got, []string{"2:2", "3:3"}) {
			t.Errorf("claimed %q", got)
		}
		if err := closeRun(t, conn, target, now, j, 3); err != nil {
			t.Error(err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// An answer to a COMMIT that was lost loses no part.
func TestLostClaim(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Plain(t))
	pgtest.Exec(t, conn, "CREATE TABLE target (k int)")
	target := targetOf(t, conn, "target")
	set, seen := enterSet(t, conn, target, "set", someParts(4)...)
	r, _ := openRun(t, conn, target, set, 1)
	forgetful := *r
	want := claim(t, conn, target, r, seen, ledger.Limit{Parts: 2})
	if got := claim(t, conn, target, &forgetful, seen, ledger.Limit{Parts: 2}); !slices.Equal(got, want) {
		t.Errorf("claimed %q, want %q", got, want)
	}
	if got := claim(t, conn, target, &forgetful, seen, ledger.Limit{Parts: 2}); !slices.Equal(got, []string{"2:2", "3:3"}) {
		t.Errorf("then %q", got)
	}
}

// A run is not closed over parts that its owner does not know of: nobody has read them.
func TestUnreadParts(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Plain(t))
	pgtest.Exec(t, conn, "CREATE TABLE target (k int)")
	target := targetOf(t, conn, "target")
	set, seen := enterSet(t, conn, target, "set", someParts(4)...)
	r, j := openRun(t, conn, target, set, 1)
	another := *r
	claim(t, conn, target, r, seen, ledger.Limit{Parts: 2})
	seen.Rewind()
	another.Next = r.Next
	claim(t, conn, target, &another, seen, ledger.Limit{Parts: 1})
	if err := closeRun(t, conn, target, r, j, 1); !errors.Is(err, ledger.ErrUnread) {
		t.Fatalf("closed over a part that was not read: %v", err)
	}
	parts, err := ledger.RunParts(t.Context(), conn, target, r)
	if err != nil || len(parts) != 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	if err := closeRun(t, conn, target, r, j, 2); err != nil {
		t.Error(err)
	}
}

// Whoever comes to the end of a set learns why a run of another process has failed.
func TestRunFails(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Plain(t))
	pgtest.Exec(t, conn, "CREATE TABLE target (k int)")
	target := targetOf(t, conn, "target")
	set, seen := enterSet(t, conn, target, "set", someParts(2)...)
	r, _ := openRun(t, conn, target, set, 1)
	claim(t, conn, target, r, seen, ledger.Limit{})
	if err := ledger.Leave(t.Context(), conn, target, r, "b.csv:7: bad"); err != nil {
		t.Fatal(err)
	}
	failed, err := ledger.FailedParts(t.Context(), conn, target, set.ID, 9)
	if diff := cmp.Diff([]ledger.FailedPart{{Why: "b.csv:7: bad"}}, failed); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestOneRunAlone(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Plain(t))
	pgtest.Exec(t, conn, "CREATE TABLE target (k int)")
	target := targetOf(t, conn, "target")
	set, _ := enterSet(t, conn, target, "set", someParts(1)...)
	openRun(t, conn, target, set, 17)
	_, err := ledger.OpenRun(t.Context(), conn, target, set, &ledger.Job{ID: ledger.NewID()}, newLanes(target), nil, ledger.Owner{}, true)
	if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || busy.Run.PID != 17 {
		t.Errorf("error %v", err)
	}
}

// Of many processes that are to empty the table for a set one does.
func TestSetEmptiesOnce(t *testing.T) {
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	pgtest.Exec(t, conn, "CREATE TABLE target (k int)", "CREATE TABLE emptied (k int)")
	target := targetOf(t, conn, "target")
	errs := make(chan error)
	ids := make(chan string, 4)
	for range 4 {
		conn := pgtest.Connect(t, dsn)
		go func() {
			set := &ledger.Job{ID: ledger.NewID(), Name: "set", InSet: ledger.InSet{Set: &ledger.Set{}}}
			was, err := ledger.EnterSet(t.Context(), conn, target, set, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO "+pgx.Identifier{target.Table.Schema, "emptied"}.Sanitize()+" VALUES (1)")
				return err
			})
			if was != nil {
				set = was
			}
			ids <- set.ID
			errs <- err
		}()
	}
	first := ""
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
		id := <-ids
		if first == "" {
			first = id
		}
		if id != first {
			t.Errorf("sets %s and %s", first, id)
		}
	}
	if n := pgtest.Query(t, conn, "SELECT count(*) FROM emptied"); n[0] != "1" {
		t.Errorf("emptied %s times", n)
	}
}

func TestForgetSet(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		conn, fence := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
		pgtest.Exec(t, conn, "CREATE TABLE target (k int)")
		distribute(t, conn, "target")
		target := targetOf(t, conn, "target")
		set, _ := enterSet(t, conn, target, "set", someParts(3)...)
		kept, _ := enterSet(t, conn, target, "other set", someParts(2)...)
		r, j := openRun(t, conn, target, set, 1)
		rejectOne(t, conn, target, j)
		pgtest.Exec(t, conn, "INSERT INTO shardload_rejects VALUES ('"+set.ID+"', 'an earlier run', 0, 1, 0, 0, 0, 1, 1, 'entry')")
		entry := func(id string) *ledger.Entry {
			l, err := ledger.List(ctx, conn)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range l.Jobs {
				if e.ID == id {
					return e
				}
			}
			t.Fatalf("%s is not in the list", id)
			return nil
		}
		listed := entry(set.ID)
		if len(listed.Runs) != 1 || listed.Runs[0].ID != r.ID || listed.Rows != 0 || listed.Problem != "" || listed.Unread != "" {
			t.Fatalf("listed as %+v", listed)
		}
		if err := ledger.Forget(ctx, conn, listed.Runs[0]); err == nil {
			t.Error("a run was forgotten without its set")
		}
		pgtest.Exec(t, fence, "BEGIN")
		if err := ledger.LockJob(ctx, fence, target, r.Name, nil); err != nil {
			t.Fatal(err)
		}
		if open, err := ledger.OpenRuns(ctx, conn, target, set.ID); err != nil || len(open.Runs) != 1 || !open.Runs[0].Locked {
			t.Errorf("%+v, %v", open, err)
		}
		if err := ledger.Forget(ctx, conn, entry(set.ID)); !errors.Is(err, ledger.ErrWorking) {
			t.Errorf("forgotten while a process works on it: error %v", err)
		}
		pgtest.Exec(t, fence, "ROLLBACK")
		if err := ledger.Forget(ctx, conn, entry(set.ID)); err != nil {
			t.Fatal(err)
		}
		left := pgtest.Query(t, conn, "SELECT id FROM shardload_jobs UNION ALL SELECT id FROM shardload_runs UNION ALL SELECT DISTINCT of FROM shardload_parts ORDER BY 1")
		if !slices.Equal(left, []string{kept.ID, kept.ID}) {
			t.Errorf("left: %q", left)
		}
		if left := pgtest.Query(t, conn, "SELECT relname FROM pg_class WHERE relname LIKE 'shardload_rejects_%' AND relkind = 'r' UNION ALL SELECT of FROM shardload_rejects"); len(left) > 0 {
			t.Errorf("of rejected records are left: %q", left)
		}
		if _, err := ledger.AddParts(ctx, conn, target, set.ID, someParts(1)); !errors.Is(err, ledger.ErrSetGone) {
			t.Errorf("added a part to a set that is gone: error %v", err)
		}
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return ledger.ForgetTable(ctx, tx, target) }); err != nil {
			t.Fatal(err)
		}
		if left := pgtest.Query(t, conn, "SELECT of FROM shardload_parts"); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	begun, nowhere := time.Unix(0, 0), ledger.Owner{PID: -1}
	type look struct {
		after        time.Duration
		epoch, beat  int64
		locked, lost bool
	}
	for name, c := range map[string]struct {
		run   ledger.Run
		looks []look
	}{
		"frozen":      {ledger.Run{}, []look{{0, 1, 7, true, false}, {fault.BeatLost - 1, 1, 7, true, false}, {fault.BeatLost, 1, 7, true, true}}},
		"beats":       {ledger.Run{}, []look{{0, 1, 7, true, false}, {fault.BeatLost, 1, 8, true, false}, {2*fault.BeatLost - 1, 1, 8, true, false}}},
		"taken over":  {ledger.Run{}, []look{{0, 1, 7, true, false}, {fault.BeatLost, 2, 7, true, false}}},
		"killed":      {ledger.Run{}, []look{{0, 1, 7, true, false}, {1, 1, 7, false, false}, {1 + fault.LockGone, 1, 7, false, false}, {1 + fault.LockIdle, 1, 7, false, true}}},
		"gone":        {ledger.Run{Owner: nowhere}, []look{{0, 1, 7, true, false}, {1, 1, 7, false, false}, {1 + fault.LockGone, 1, 7, false, true}}},
		"open for it": {ledger.Run{}, []look{{0, 1, 7, false, false}, {1, 1, 7, true, false}, {fault.LockGone, 1, 7, false, false}}},
		"released":    {ledger.Run{Released: true}, []look{{0, 1, 7, true, true}}},
		"failed":      {ledger.Run{Released: true, Failed: "so"}, []look{{0, 1, 7, false, false}, {fault.BeatLost, 1, 7, false, false}}},
		"closed":      {ledger.Run{Closed: begun.Add(1)}, []look{{0, 1, 7, false, false}, {fault.BeatLost, 1, 7, false, false}}},
	} {
		var w ledger.Watch
		for i, l := range c.looks {
			c.run.ID, c.run.Epoch, c.run.Beat = "run", l.epoch, l.beat
			if lost := w.Lost(&c.run, l.locked, c.run.Owner == nowhere, begun.Add(l.after)); lost != l.lost {
				t.Errorf("%s: look %d: lost %t, want %t", name, i, lost, l.lost)
			}
		}
	}
}
