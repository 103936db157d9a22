package reject

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// newRejectLog returns the log of a job that keeps its rejected records in dir, and
// notes where.
func newRejectLog(dir, job string, noted *string) *rejectLog {
	return &rejectLog{
		names: names{dir: dir, table: "things", job: job}, input: "in.csv", pending: map[*lane.Batch]span{},
		note: func(path string) error { *noted = path; return nil },
	}
}

// keep writes a batch of one rejected record, which ends at that chunk.
func keep(g *rejectLog, chunk int64, during func() error) (*lane.Batch, error) {
	b := &lane.Batch{Reach: lane.Reach{To: ledger.Mark{Chunk: chunk}}, Rows: 1, Aside: lane.Section{Rows: 1}}
	return b, g.write(b, 0, func(fn func(lane.Cause, lane.Origin, []byte) error) error {
		if err := fn(lane.Cause{SQLState: fault.BadRecord, Reason: "test"}, lane.Origin{Line: chunk, Offset: chunk}, []byte("x")); err != nil {
			return err
		}
		return during()
	})
}

func nothing() error { return nil }

// visible returns the names in dir that do not begin with a dot.
func visible(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "[^.]*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range files {
		files[i] = filepath.Base(path)
	}
	return strings.Join(files, " ")
}

// TestRejectLogIsNeverEmpty holds that the file of rejected records can be seen when
// there is one in it and no longer than that, so that a run which is killed never
// leaves one that the next takes for another job's.
func TestRejectLogIsNeverEmpty(t *testing.T) {
	t.Parallel()
	dir, noted := t.TempDir(), ""
	g := newRejectLog(dir, "job", &noted)
	during := ""
	first, err := keep(g, 1, func() error { during = visible(t, dir); return nil })
	if err != nil || during != "" || visible(t, dir) != "things.rejects.jsonl" || noted != g.file() {
		t.Fatalf("%v; while it was written: %q; then: %q; noted %s", err, during, visible(t, dir), noted)
	}
	second, err := keep(g, 2, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*lane.Batch{first, second} {
		if err := g.undo(b); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 || g.file() != "" {
		t.Errorf("%v, %v: want nothing", all, err)
	}
	broken := errors.New("broken")
	if _, err := keep(g, 1, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 {
		t.Errorf("%v, %v: want nothing", all, err)
	}
	if _, err := keep(g, 1, nothing); err != nil || visible(t, dir) != "things.rejects.jsonl" {
		t.Errorf("%v: %q", err, visible(t, dir))
	}
	left, err := g.tempFile(dir) // by a run that was killed
	if err := errors.Join(err, left.Close(), g.sweep(dir)); err != nil {
		t.Fatal(err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v, %v: want one file", all, err)
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
}

// TestRejectLogOfAnother holds that a job whose file is gone leaves the file alone
// that another has made under its name.
func TestRejectLogOfAnother(t *testing.T) {
	t.Parallel()
	dir, noted := t.TempDir(), ""
	another := newRejectLog(dir, "another", &noted)
	if _, err := keep(another, 1, nothing); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(noted)
	if err != nil {
		t.Fatal(err)
	}
	mine := ""
	for _, rejected := range []int64{0, 1} {
		j := &ledger.Job{ID: "job", Name: "in.csv", Rejects: noted}
		g := newRejectLog(dir, "job", &mine)
		err := g.goOn(j, []ledger.Lane{{Mark: ledger.Mark{Chunk: 9}}}, rejected, func(lane.Cause, int64) {})
		if problem, ok := errors.AsType[*failure.JobError](err); ok != (rejected > 0) || ok && !strings.Contains(problem.Problem, "is not the file that it left") {
			t.Errorf("rejected %d: error %v", rejected, err)
		}
		if err != nil {
			continue
		}
		if _, err := keep(g, 1, nothing); err != nil || filepath.Base(mine) != "things.rejects.2.jsonl" {
			t.Errorf("%v, kept in %s", err, mine)
		}
	}
	if is, err := os.ReadFile(noted); err != nil || string(is) != string(was) {
		t.Errorf("%s: %q, was %q; %v", noted, is, was, err)
	}
	if err := another.close(); err != nil {
		t.Fatal(err)
	}
}
