package loader_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestRenamedAside holds that a table which was renamed, and whose name another one has now,
// keeps its jobs: those that are complete, and those that go on.
func TestRenamedAside(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		small, smaller := loader.File(numbered(t, 100_000, 300)), loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "small"}
		path, rows := flowFile(t, 3000)
		large := pieces(t, dsn)
		if _, err := run(t, smaller, small, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, large, loader.File(path), 5); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		renameAside(t, conn, "flowing", "old")
		into := func(table string, cfg loader.Config, in loader.Input) error {
			cfg.Table = table
			_, err := run(t, cfg, in, 0)
			return err
		}
		if err := into("flowing", smaller, small); err != nil {
			t.Fatalf("into the new table: %v", err)
		}
		holds(t, conn, "flowing", 300)
		if err := into("old", smaller, small); !isComplete(err) {
			t.Errorf("into the renamed table: %v, want a CompleteError", err)
		}
		if err := into("flowing", large, loader.File(path)); err != nil {
			t.Fatalf("into the new table, in pieces: %v", err)
		}
		holds(t, conn, "flowing", 300+rows)
		if err := into("old", large, loader.File(path)); err != nil {
			t.Fatalf("into the renamed table, in pieces: %v", err)
		}
		holds(t, conn, "old", 300+rows)
		for _, table := range []string{"flowing", "old"} {
			if err := errors.Join(into(table, smaller, small), into(table, large, loader.File(path))); !isComplete(err) {
				t.Errorf("%s once more: %v", table, err)
			}
			holds(t, conn, table, 300+rows)
		}
	})
}

// TestRenamedInTurn holds that tables which take each other's names keep their jobs, also
// when one of them is emptied.
func TestRenamedInTurn(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		in := loader.File(numbered(t, 0, 300))
		load := func(table string) error {
			_, err := run(t, loader.Config{Conn: parse(t, dsn), Table: table, Job: "in"}, in, 0)
			return err
		}
		for _, name := range []string{"one", "two", "three"} {
			if err := load("flowing"); err != nil {
				t.Fatal(err)
			}
			renameAside(t, conn, "flowing", name)
		}
		for _, names := range [][2]string{{"one", "swapped"}, {"two", "one"}, {"swapped", "two"}} {
			exec(t, conn, "ALTER TABLE "+names[0]+" RENAME TO "+names[1])
		}
		if err := loader.Truncate(t.Context(), parse(t, dsn), "one"); err != nil {
			t.Fatal(err)
		}
		if err := load("one"); err != nil {
			t.Fatalf("into the table that was emptied: %v", err)
		}
		for _, table := range []string{"one", "two", "three"} {
			if err := load(table); !isComplete(err) {
				t.Errorf("into %s: %v, want a CompleteError", table, err)
			}
			holds(t, conn, table, 300)
		}
		for _, e := range jobsOf(t, conn) {
			if e.Problem != "" || e.Table == "" {
				t.Errorf("status says of %s, %s: %s", e.ID, e.Table, e.Problem)
			}
		}
	})
}

// TestRenamedBesideRows holds that a job of a table which was renamed is not taken for
// that of the table which has its name now, and has rows that nobody accounts for: in a
// database that was restored another table may have the OID by chance.
func TestRenamedBesideRows(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "in"}
	in := loader.File(numbered(t, 0, 300))
	if _, err := run(t, cfg, in, 0); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "CREATE TABLE chance (k int); UPDATE shardload_jobs SET target_oid = 'chance'::regclass")
	if _, refused := errors.AsType[*loader.JobError](second(run(t, cfg, in, 0))); !refused {
		t.Error("rows that may be the job's are not seen")
	}
	holds(t, conn, "flowing", 300)
}

func second[T any](_ T, err error) error { return err }

// renameAside renames a table, and makes a new one of its name.
func renameAside(t *testing.T, conn *pgx.Conn, table, to string) {
	t.Helper()
	exec(t, conn, "ALTER TABLE "+table+" RENAME TO "+to)
	exec(t, conn, "CREATE TABLE "+table+" (LIKE "+to+" INCLUDING ALL)")
	exec(t, conn, "ALTER TABLE "+table+" REPLICA IDENTITY FULL")
	distribute(t, conn, table, "tenant")
}

// holds makes sure that a table has that many rows, each once.
func holds(t *testing.T, conn *pgx.Conn, table string, rows int) {
	t.Helper()
	if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM "+table)[0]; got != fmt.Sprintf("%[1]d|%[1]d", rows) {
		t.Errorf("%s: rows|ids %s, want %d", table, got, rows)
	}
}
