package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// rejectOne stores a rejected record of a run, which its first lane counts.
func rejectOne(t *testing.T, conn *pgx.Conn, target ledger.Target, j *ledger.Job) {
	t.Helper()
	ctx := t.Context()
	for range 2 { // it is there already
		if err := ledger.MakeRejects(ctx, conn, target, j, []byte("the form")); err != nil {
			t.Fatal(err)
		}
	}
	lanes, err := ledger.Lanes(ctx, conn, target, j)
	if err != nil {
		t.Fatal(err)
	}
	insert := ledger.InsertRejectsSQL(target, j.Aside.Table, lanes[0], lanes[0].Mark, 0, []ledger.Reject{{Seq: 3, Line: 7, Place: 70, Entry: []byte("it's \\ one\xff\x00")}})
	count := fmt.Sprintf("UPDATE %s SET rejected = 1 WHERE lane = %d", j.Progress, lanes[0].Number)
	pgtest.Exec(t, conn, "BEGIN", insert, count, "COMMIT")
	var got []string
	err = ledger.RunRejects(ctx, conn, target, j, func(entry []byte) error { got = append(got, string(entry)); return nil })
	if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", []string{"it's \\ one\xff\x00"}) {
		t.Errorf("kept beside the marks: %q, %v", got, err)
	}
}

// takeOne takes the record of rejectOne out of the database, at the second try.
func takeOne(t *testing.T, conn *pgx.Conn, target ledger.Target, set, run string) {
	t.Helper()
	failed := errors.New("the disk is full")
	var got []string
	for _, fails := range []error{failed, nil, nil} {
		err := ledger.TakeRejects(t.Context(), conn, target, set, func(forms map[string][]byte, next func(func(string, []byte) error) error) (string, error) {
			got = append(got, string(forms[run]))
			err := next(func(of string, entry []byte) error {
				got = append(got, fmt.Sprint(of == run, " ", string(entry)))
				return nil
			})
			return "/some/file", errors.Join(err, fails)
		})
		if !errors.Is(err, fails) {
			t.Fatal(err)
		}
	}
	each := []string{"the form", "true it's \\ one\xff\x00"}
	if want := fmt.Sprintf("%q", append(each, each...)); fmt.Sprintf("%q", got) != want {
		t.Errorf("taken %q, want %s", got, want)
	}
}

// Where the marks count another number of rejected records than are kept, the run is not closed.
func TestRejectsAreCounted(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		pgtest.Exec(t, conn, "CREATE TABLE target (k int, v text)")
		distribute(t, conn, "target")
		target := targetOf(t, conn, "target")
		set, _ := enterSet(t, conn, target, "set", someParts(1)...)
		r, j := openRun(t, conn, target, set, 1)
		rejectOne(t, conn, target, j)
		pgtest.Exec(t, conn, "DELETE FROM "+j.Aside.Table)
		if err := closeRun(t, conn, target, r, j, 0); err == nil {
			t.Error("a run was closed that has lost a rejected record")
		}
	})
}
