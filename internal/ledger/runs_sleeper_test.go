package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// A process that sleeps between making a batch and sending it finds no mark when it wakes up, if another one has
// taken the run over, and given back what the batch is of; or if the lane was divided.
func TestSleeperStoresNothing(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		conn := pgtest.Connect(t, dsn)
		pgtest.Exec(t, conn, "CREATE TABLE target (k int, v text)")
		distribute(t, conn, "target")
		target := targetOf(t, conn, "target")
		set, seen := enterSet(t, conn, target, "the set", someParts(3)...)
		old, j := openRun(t, conn, target, set, 1)
		claim(t, conn, target, old, seen, ledger.Limit{Parts: 2})
		lanes := readLanes(t, conn, target, j)
		step := ledger.Step{To: ledger.Mark{Chunk: ledger.Chunk(1, 2)}, Rows: 5}
		asleep, again := markSQL(target, j.Progress, lanes[0], step), markSQL(target, j.Progress, lanes[1], step)

		now, _, err := ledger.TakeOver(ctx, conn, target, old, j, ledger.Owner{Host: "there", PID: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.Release(ctx, conn, target, now, j, 1); err != nil {
			t.Fatal(err)
		}
		if n := update(t, conn, asleep); n != 0 {
			t.Error("a batch of an earlier epoch moved a mark into a part that was released")
		}

		lanes = readLanes(t, conn, target, j)
		asleep = markSQL(target, j.Progress, lanes[0], step)
		was, kept, child := lanes[0], lanes[0], lanes[0]
		if target.Sharded() {
			kept, child = divided(lanes[0])
		}
		child.Number = int32(len(lanes))
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if err := ledger.CheckProgress(ctx, conn, target, j); err != nil {
				return err
			}
			if !target.Sharded() {
				kept.Max, child.Min, child.Max = 7, 8, 9
			}
			return ledger.SplitLane(ctx, tx, target, j, was, []ledger.Lane{kept, child})
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := update(t, conn, asleep); n != 0 {
			t.Error("a batch of a lane moved its mark after the lane was divided")
		}
		lanes = readLanes(t, conn, target, j)
		for _, l := range lanes {
			if l.Epoch != 2 {
				t.Errorf("lane %+v", l)
			}
		}
		i := slices.IndexFunc(lanes, func(l ledger.Lane) bool { return l.Number == child.Number })
		for _, l := range []ledger.Lane{lanes[0], lanes[i]} {
			if n := update(t, conn, markSQL(target, j.Progress, l, step)); n != 1 {
				t.Errorf("the mark of lane %d was not moved", l.Number)
			}
		}
		if n := update(t, conn, again); n != 0 {
			t.Error("a batch of an earlier epoch moved a mark")
		}
	})
}

// divided returns the halves of a lane, the one with its key first. The other one has none so far.
func divided(l ledger.Lane) (kept, child ledger.Lane) {
	middle := int32((int64(l.Min) + int64(l.Max)) / 2)
	low, high := l, l
	low.Max, high.Min = middle, middle+1
	if l.KeyHash <= middle {
		high.Key = ""
		return low, high
	}
	low.Key = ""
	return high, low
}

// Marks of a version without epochs are gone on with.
func TestMarksWithoutEpoch(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		pgtest.Exec(t, conn, "CREATE TABLE target (k int, v text)")
		distribute(t, conn, "target")
		target := targetOf(t, conn, "target")
		j, _ := create(t, conn, target, "job")
		pgtest.Exec(t, conn, "ALTER TABLE "+j.Progress+" DROP COLUMN epoch")
		if _, err := ledger.Lanes(t.Context(), conn, target, j); err == nil || !strings.Contains(err.Error(), "epoch") {
			t.Fatalf("error %v", err)
		}
		if err := ledger.AddColumns(t.Context(), conn, target, j); err != nil {
			t.Fatal(err)
		}
		lanes := readLanes(t, conn, target, j)
		if n := update(t, conn, markSQL(target, j.Progress, lanes[0], ledger.Step{To: ledger.Mark{Chunk: 1}})); n != 1 {
			t.Error(fmt.Sprint(n, " marks moved"))
		}
	})
}
