package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// targetOf looks the table of that name up.
func targetOf(t *testing.T, conn *pgx.Conn, table string) ledger.Target {
	t.Helper()
	ctx := context.Background()
	info, err := catalog.Lookup(ctx, conn, table)
	if err != nil {
		t.Fatal(err)
	}
	d := &citus.Distribution{Kind: citus.Local}
	if version, err := citus.Version(ctx, conn); err != nil {
		t.Fatal(err)
	} else if version != "" {
		if d, err = citus.Distribute(ctx, conn, info.OID); err != nil {
			t.Fatal(err)
		}
	}
	return ledger.Target{Table: info, Distribution: d}
}

// distribute distributes the table by its column k, where the server has Citus.
func distribute(t *testing.T, conn *pgx.Conn, table string) {
	t.Helper()
	if strings.Contains(t.Name(), "/citus") {
		pgtest.Exec(t, conn, `SELECT create_distributed_table('`+table+`', 'k', shard_count => 4, colocate_with => 'none')`)
	}
}

// newLanes returns a lane for each shard, or three.
func newLanes(target ledger.Target) []ledger.Lane {
	lanes := make([]ledger.Lane, 3)
	if target.Sharded() {
		lanes = make([]ledger.Lane, len(target.Distribution.Shards))
	}
	for i := range lanes {
		lanes[i] = ledger.Lane{Number: int32(i), Place: ledger.Place{Line: 1}}
		if target.Distribution.Kind == citus.Hash {
			lanes[i].Min, lanes[i].Max = target.Distribution.Shards[i].Min, target.Distribution.Shards[i].Max
		}
	}
	return lanes
}

var print = ledger.Fingerprint{Size: 1000, Head: "h", Tail: "t", Reads: ledger.Form{Format: "text", Delimiter: "\t", Null: `\N`, Encoding: "UTF8", Chunk: 1}, Unit: ledger.Bytes}

// newJob returns a job of that name, which replaces those that there are.
func newJob(t *testing.T, conn *pgx.Conn, target ledger.Target, name string) *ledger.Job {
	t.Helper()
	j := &ledger.Job{ID: ledger.NewID(), Name: name, Fingerprint: print}
	found, err := ledger.Find(context.Background(), conn, target, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, was := range found {
		j.Replaces = append(j.Replaces, was.ID)
	}
	return j
}

// create makes a job of that name, and returns it with its lanes.
func create(t *testing.T, conn *pgx.Conn, target ledger.Target, name string) (*ledger.Job, []ledger.Lane) {
	t.Helper()
	j := newJob(t, conn, target, name)
	if err := ledger.Create(context.Background(), conn, target, j, newLanes(target), nil); err != nil {
		t.Fatal(err)
	}
	return j, readLanes(t, conn, target, j)
}

// find returns the first job that Find finds, nil for none.
func find(t *testing.T, conn *pgx.Conn, target ledger.Target, name string) *ledger.Job {
	t.Helper()
	found, err := ledger.Find(context.Background(), conn, target, name)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

func readLanes(t *testing.T, conn *pgx.Conn, target ledger.Target, j *ledger.Job) []ledger.Lane {
	t.Helper()
	lanes, err := ledger.Lanes(context.Background(), conn, target, j)
	if err != nil {
		t.Fatal(err)
	}
	return lanes
}

// update runs a statement, and returns how many rows it changed.
func update(t *testing.T, conn *pgx.Conn, sql string) int64 {
	t.Helper()
	tag, err := conn.Exec(context.Background(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return tag.RowsAffected()
}

// markSQL is the one statement that moves a mark of a target without checked keys.
func markSQL(target ledger.Target, progress string, l ledger.Lane, s ledger.Step) string {
	sql, _ := ledger.UpdateSQL(target, progress, l, s)
	return sql
}

// finish moves all marks to the end, each with ten rows and one rejected, and
// completes the job.
func finish(t *testing.T, conn *pgx.Conn, target ledger.Target, j *ledger.Job, lanes []ledger.Lane) {
	t.Helper()
	end := ledger.Mark{Chunk: 7}
	for _, l := range lanes {
		step := ledger.Step{From: l.Mark, To: end, Place: ledger.Place{Offset: 500, Line: 50}, Rows: 10, Rejected: 1}
		if n := update(t, conn, markSQL(target, j.Progress, l, step)); n != 1 {
			t.Fatalf("lane %d: %d marks moved, want 1", l.Number, n)
		}
	}
	ctx := context.Background()
	err := pgx.BeginFunc(ctx, conn, func(pgx.Tx) error {
		return ledger.Complete(ctx, conn, target, j, 500, func(lanes []ledger.Lane) error {
			for _, l := range lanes {
				if l.Mark != end {
					return fmt.Errorf("lane %d is at %v", l.Number, l.Mark)
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A name that needs every kind of quoting, as a job's, a table's or a schema's.
const awkward = `It's "1" \ ä;--`

func TestJobFromBeginningToEnd(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn := pgtest.Connect(t, dsn)
		schema, table := pgx.Identifier{awkward}.Sanitize(), pgx.Identifier{awkward, awkward}.Sanitize()
		pgtest.Exec(t, conn, "CREATE SCHEMA "+schema, "CREATE TABLE "+table+" (k int, v text)")
		t.Cleanup(func() { pgtest.Exec(t, conn, "DROP SCHEMA "+schema+" CASCADE") })
		if strings.Contains(t.Name(), "/citus") {
			pgtest.Exec(t, conn, "SELECT create_distributed_table('"+strings.ReplaceAll(table, "'", "''")+"', 'k', shard_count => 4, colocate_with => 'none')")
		}
		target := targetOf(t, conn, table)
		if j := find(t, conn, target, awkward); j != nil {
			t.Fatalf("before there is a table of jobs: %v", j)
		}
		made, lanes := create(t, conn, target, awkward)
		found := find(t, conn, target, awkward)
		if diff := cmp.Diff(made, found, cmpopts.IgnoreFields(ledger.Job{}, "Begun", "Replaces")); diff != "" {
			t.Errorf("found another job than was made (-made +found):\n%s", diff)
		}
		for i, l := range lanes {
			if l.Number != int32(i) || l.Mark != (ledger.Mark{}) || !l.Home() {
				t.Errorf("new lane %+v", l)
			}
		}
		if err := ledger.SetRejects(ctx, conn, target, made, awkward); err != nil {
			t.Fatal(err)
		}
		finish(t, conn, target, made, lanes)
		done := find(t, conn, target, awkward)
		if done == nil || !done.Complete() || done.Progress != "" || done.Rejects != awkward {
			t.Fatalf("%+v; want a complete job without progress", done)
		}
		if n := int64(len(lanes)); done.Rows != 10*n || done.Rejected != n || done.Bytes != 500 {
			t.Errorf("%d rows, %d rejected, %d bytes; want %d, %d, 500", done.Rows, done.Rejected, done.Bytes, 10*n, n)
		}
		if left := tables(t, conn, awkward); !slices.Equal(left, []string{awkward, "shardload_jobs"}) {
			t.Errorf("left behind: %q", left)
		}
	})
}

// tables returns the names of a schema's tables.
func tables(t *testing.T, conn *pgx.Conn, schema string) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), `SELECT relname::text COLLATE "C" FROM pg_class WHERE relkind = 'r' AND relnamespace = quote_ident($1)::regnamespace ORDER BY 1`, schema)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// newTable makes the table t, distributed where there is Citus.
func newTable(t *testing.T, dsn string) (*pgx.Conn, ledger.Target) {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	pgtest.Exec(t, conn, "CREATE TABLE t (k int, v text)")
	distribute(t, conn, "t")
	return conn, targetOf(t, conn, "t")
}

func TestMarksMoveByComparison(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, target := newTable(t, dsn)
		j, lanes := create(t, conn, target, "in")
		first := ledger.Step{To: ledger.Mark{Chunk: 1, Records: 2}, Place: ledger.Place{Offset: 100, Line: 9}, Rows: 3, Rejected: 4}
		second := ledger.Step{From: first.To, To: ledger.Mark{Chunk: 5}, Place: ledger.Place{Offset: 200, Line: 19}, Rows: 5, Rejected: 6}
		for _, try := range []struct {
			step ledger.Step
			want int64
		}{{second, 0}, {first, 1}, {first, 0}, {second, 1}, {second, 0}} {
			if n := update(t, conn, markSQL(target, j.Progress, lanes[1], try.step)); n != try.want {
				t.Errorf("from %v to %v: %d marks moved, want %d", try.step.From, try.step.To, n, try.want)
			}
		}
		want := slices.Clone(lanes)
		want[1].Mark, want[1].Place, want[1].Rows, want[1].Rejected = second.To, second.Place, 8, 10
		if diff := cmp.Diff(want, readLanes(t, conn, target, j)); diff != "" {
			t.Errorf("lanes (-want +got):\n%s", diff)
		}
	})
}

// A second mover waits for the first, whose COMMIT may have lost its answer, and
// then finds that the mark is not where it was.
func TestMoverWaitsForAnother(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, target := newTable(t, dsn)
		j, lanes := create(t, conn, target, "in")
		sql := markSQL(target, j.Progress, lanes[0], ledger.Step{To: ledger.Mark{Chunk: 1}, Rows: 1})
		pgtest.Exec(t, conn, "BEGIN", sql)
		other := pgtest.Connect(t, dsn)
		moved := make(chan int64)
		go func() {
			tag, err := other.Exec(context.Background(), sql)
			if err != nil {
				t.Error(err)
			}
			moved <- tag.RowsAffected()
		}()
		select {
		case n := <-moved:
			t.Fatalf("%d marks moved beside another transaction", n)
		default: // it may not have begun to wait: the result is the same
		}
		pgtest.Exec(t, conn, "COMMIT")
		if n := <-moved; n != 0 {
			t.Errorf("%d marks moved a second time", n)
		}
	})
}

func TestCompleteAsksTheMarks(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn, target := newTable(t, dsn)
		j, lanes := create(t, conn, target, "in")
		refused := errors.New("not yet")
		err := pgx.BeginFunc(ctx, conn, func(pgx.Tx) error {
			return ledger.Complete(ctx, conn, target, j, 1, func([]ledger.Lane) error { return refused })
		})
		if !errors.Is(err, refused) {
			t.Errorf("error %v, want the one of check", err)
		}
		if diff := cmp.Diff(lanes, readLanes(t, conn, target, j)); diff != "" {
			t.Errorf("the job changed:\n%s", diff)
		}
	})
}

// Several processes that begin jobs at once make one table of jobs, and each its
// own progress. Of the same name only one job is made.
func TestConcurrentCreators(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, target := newTable(t, dsn)
		const creators = 6
		errs := make([]error, creators)
		var wg sync.WaitGroup
		for i := range creators {
			c := pgtest.Connect(t, dsn)
			wg.Go(func() {
				j := &ledger.Job{ID: ledger.NewID(), Name: fmt.Sprint(i % (creators - 1)), Fingerprint: print}
				errs[i] = ledger.Create(context.Background(), c, target, j, newLanes(target), nil)
			})
		}
		wg.Wait()
		taken := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
		if len(taken) != 1 || !ledger.IsTaken(taken[0]) {
			t.Fatalf("errors %v, want one that IsTaken", taken)
		}
		list, err := ledger.List(context.Background(), conn)
		if err != nil || len(list.Jobs) != creators-1 {
			t.Fatalf("%+v, %v; want %d jobs", list, err, creators-1)
		}
		if n := len(tables(t, conn, target.Table.Schema)); n != creators-1+2 {
			t.Errorf("%d tables, want one a job and two", n)
		}
	})
}

// A job that is stored in one transaction is entered once, whoever tries again.
func TestDone(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn, target := newTable(t, dsn)
		if err := ledger.Prepare(ctx, conn, target); err != nil {
			t.Fatal(err)
		}
		enter := func(id string, replaces ...string) error {
			sql, err := ledger.DoneSQL(target, &ledger.Job{ID: id, Name: awkward, Fingerprint: print, Replaces: replaces}, 5, 50)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
			return err
		}
		finish := func(id string) {
			t.Helper()
			if target.OnePhase() {
				return
			}
			sql := "BEGIN; " + ledger.FinishSQL(target, &ledger.Job{ID: id}) + "; COMMIT"
			if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
		}
		if err := enter("a"); err != nil {
			t.Fatal(err)
		}
		finish("a")
		if err := enter("a"); !ledger.IsDone(err) || ledger.IsTaken(err) {
			t.Errorf("a second time: error %v, want one that IsDone", err)
		}
		if err := enter("b", "another"); !ledger.IsTaken(err) || ledger.IsDone(err) {
			t.Errorf("a job of the name that did not see the one before: error %v, want one that IsTaken", err)
		}
		if err := enter("b", "a"); err != nil {
			t.Errorf("a later job of the name: %v", err)
		}
		finish("b")
		j := find(t, conn, target, awkward)
		if j == nil || j.ID != "b" || !j.Complete() || j.Rows != 5 || j.Bytes != 50 || !reflect.DeepEqual(j.Fingerprint, print) {
			t.Fatalf("%+v", j)
		}
		pgtest.Exec(t, conn, ledger.CorrectDoneSQL(target, j, 3, 2, ledger.Merged{Updated: 1, Skipped: 1}, "t.rejects.jsonl"))
		if j = find(t, conn, target, awkward); j.Rows != 3 || j.Rejected != 2 || j.Added() != 1 || j.Rejects != "t.rejects.jsonl" {
			t.Errorf("corrected: %+v", j)
		}
		unfinished := &ledger.Job{ID: ledger.NewID(), Name: awkward, Fingerprint: print, Replaces: []string{"a"}}
		if err := ledger.Create(ctx, conn, target, unfinished, newLanes(target), nil); !ledger.IsTaken(err) {
			t.Errorf("over a job that it did not see: error %v, want one that IsTaken", err)
		}
		unfinished.Replaces = []string{"b"}
		if err := ledger.Create(ctx, conn, target, unfinished, newLanes(target), nil); err != nil {
			t.Fatal(err)
		}
		if err := enter("c", unfinished.ID); !ledger.IsTaken(err) {
			t.Errorf("over an unfinished job: error %v, want one that IsTaken", err)
		}
	})
}

// A crash empties unlogged tables. What is left of the marks is no progress.
func TestUnlogged(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		pgtest.Exec(t, conn, "CREATE UNLOGGED TABLE t (k int)")
		distribute(t, conn, "t")
		target := targetOf(t, conn, "t")
		j, lanes := create(t, conn, target, "in")
		if got := pgtest.Query(t, conn, "SELECT relpersistence FROM pg_class WHERE oid = '"+j.Progress+"'::regclass"); got[0] != "u" {
			t.Errorf("the progress of an unlogged table has persistence %s", got)
		}
		for _, where := range []string{fmt.Sprintf("lane = %d", lanes[1].Number), "true"} {
			if where != "true" && j.Kind != citus.Hash {
				continue // on one server all is lost or nothing
			}
			pgtest.Exec(t, conn, "DELETE FROM "+j.Progress+" WHERE "+where)
			if _, err := ledger.Lanes(context.Background(), conn, target, j); err == nil || !strings.Contains(err.Error(), "load it anew") {
				t.Errorf("without the rows where %s: error %v, want one that says what to do", where, err)
			}
		}
	})
}

// The table of jobs and the progress go where the target is, whatever the search
// path has first, and are heaps whatever the default is.
func TestPlace(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, target := newTable(t, dsn)
		other := "other_" + strings.ToLower(ledger.NewID())
		pgtest.Exec(t, conn, "CREATE SCHEMA "+other, "CREATE TABLE "+other+".shardload_jobs (mine int)",
			"CREATE ACCESS METHOD "+other+" TYPE TABLE HANDLER heap_tableam_handler", "SET default_table_access_method = "+other,
			"SET search_path = "+other+", pg_temp")
		t.Cleanup(func() {
			pgtest.Exec(t, conn, "RESET default_table_access_method", "DROP SCHEMA "+other+" CASCADE", "DROP ACCESS METHOD "+other)
		})
		j, _ := create(t, conn, target, "in")
		got := pgtest.Query(t, conn, fmt.Sprintf(`SELECT DISTINCT a.amname, c.relnamespace::regnamespace FROM pg_class c JOIN pg_am a ON a.oid = c.relam
			WHERE c.oid IN ('%s'::regclass, '%s'::regclass)`, j.Progress, target.Jobs()))
		if want := "heap|" + target.Table.Schema; len(got) != 1 || got[0] != want {
			t.Errorf("access method and schema are %q, want %q", got, want)
		}
	})
}

// A role that may not create tables is told what it needs, and nothing is left.
func TestDenied(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn, target := newTable(t, dsn)
		role := "clerk_" + ledger.NewID()
		pgtest.Exec(t, conn, "CREATE ROLE "+role, "GRANT USAGE ON SCHEMA "+target.Table.Schema+" TO "+role, "GRANT ALL ON t TO "+role)
		t.Cleanup(func() { pgtest.Exec(t, conn, "RESET ROLE", "DROP OWNED BY "+role, "DROP ROLE "+role) })
		if strings.Contains(t.Name(), "/postgres") {
			pgtest.Exec(t, conn, "REVOKE CREATE ON SCHEMA "+target.Table.Schema+" FROM PUBLIC") // before version 15
		}
		denied := func(what string, err error) {
			t.Helper()
			if e, ok := errors.AsType[*ledger.DeniedError](err); !ok || e.Table != target.Jobs() || e.Message == "" {
				t.Errorf("%s: error %v, want a DeniedError", what, err)
			}
		}
		as := func(role string, do func()) {
			pgtest.Exec(t, conn, "SET ROLE "+role)
			defer pgtest.Exec(t, conn, "RESET ROLE")
			do()
		}
		j := &ledger.Job{ID: ledger.NewID(), Name: "in", Fingerprint: print}
		as(role, func() {
			denied("prepare", ledger.Prepare(ctx, conn, target))
			denied("create", ledger.Create(ctx, conn, target, j, newLanes(target), nil))
		})
		create(t, conn, target, "in")
		as(role, func() {
			_, err := ledger.Find(ctx, conn, target, "in")
			denied("find another's", err)
			list, err := ledger.List(ctx, conn)
			if err != nil || len(list.Jobs) != 0 || len(list.Unreadable) != 1 || list.Unreadable[0].Table != target.Jobs() || !strings.Contains(list.Unreadable[0].Do, "GRANT SELECT ON "+target.Jobs()+" TO ") {
				t.Errorf("a list of what may not be read: %+v, %v", list, err)
			}
		})
	})
}

func TestChanged(t *testing.T) {
	for _, c := range []struct {
		now  ledger.Fingerprint
		want string
	}{
		{print, ""},
		{ledger.Fingerprint{Size: 1000, Head: "h", Tail: "t", Reads: print.Reads}, ""}, // as older versions wrote it
		{ledger.Fingerprint{Size: 999, Head: "h", Tail: "t", Reads: print.Reads}, "it had 1000 bytes, and has 999 now"},
		{ledger.Fingerprint{Size: 1000, Head: "x", Tail: "t", Reads: print.Reads}, "its beginning is another"},
		{ledger.Fingerprint{Size: 1000, Head: "h", Tail: "x", Reads: print.Reads}, "its end is another"},
		{ledger.Fingerprint{Size: 999, Reads: ledger.Form{Format: "csv", Delimiter: ",", Encoding: "UTF8", Header: true}}, `it was read with delimiter '\t', null "\\N", encoding UTF8, without a header, format text, chunks of 1, and is now with delimiter ',', null "", encoding UTF8, with a header, chunks of 0`},
	} {
		if got := print.Changed(c.now); got != c.want {
			t.Errorf("%+v: %q, want %q", c.now, got, c.want)
		}
	}
}

func TestMarkOrder(t *testing.T) {
	marks := []ledger.Mark{{}, {Records: 1}, {Chunk: 1}, {Chunk: 1, Records: 1}, {Chunk: math.MaxInt64}}
	for i, a := range marks {
		for j, b := range marks {
			if a.Before(b) != (i < j) {
				t.Errorf("%v before %v: %v", a, b, a.Before(b))
			}
		}
	}
}
