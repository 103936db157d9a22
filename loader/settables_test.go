package loader_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestSetsOfChangedTables holds that a set whose table has lost rows, or has others, is refused, that one of which the
// table was made anew is loaded anew, and that a set follows its table.
func TestSetsOfChangedTables(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.put(20, "a.csv", "b.csv", "c.csv")
		ab := s.set("a.csv", "b.csv")
		s.load(ab, 0, 2)

		exec(t, s.conn, "ALTER TABLE flowing RENAME TO renamed")
		s.cfg.Table = "renamed"
		s.done(ab)
		exec(t, s.conn, flowing)
		distribute(t, s.conn, "flowing", "tenant")
		s.cfg.Table = "flowing"
		s.load(ab, 0, 2) // another table
		s.once("a.csv", "b.csv")
		exec(t, s.conn, "DROP TABLE renamed")

		here, there := query(t, s.conn, "SELECT current_schema()")[0], otherSchema(t, s.conn)
		exec(t, s.conn, "ALTER TABLE flowing SET SCHEMA "+there)
		s.cfg.Table = there + ".flowing"
		s.done(s.file("a.csv"))
		s.done(ab)
		exec(t, s.conn, "ALTER TABLE "+there+".flowing SET SCHEMA "+here)
		s.cfg.Table = "flowing"
		s.done(ab)

		exec(t, s.conn, "DELETE FROM flowing WHERE id < 5")
		s.refuse(ab, "but the table has 35 now")
		s.refuse(s.set("a.csv", "b.csv", "c.csv"), "but the table has 35 now")
		exec(t, s.conn, "TRUNCATE flowing")
		s.refuse(ab, "but the table has 0 now")
		exec(t, s.conn, "INSERT INTO flowing SELECT i, i % 7, 'others', i, now() FROM generate_series(-100, -1) AS i")
		s.refuse(ab, "was rewritten since")

		exec(t, s.conn, "DROP TABLE flowing")
		exec(t, s.conn, flowing)
		distribute(t, s.conn, "flowing", "tenant")
		s.load(ab, 0, 2)
		s.once("a.csv", "b.csv")
		exec(t, s.conn, "DROP TABLE flowing")
		exec(t, s.conn, flowing)
		distribute(t, s.conn, "flowing", "tenant")
		exec(t, s.conn, "INSERT INTO flowing SELECT i, i % 7, 'restored', i, now() FROM generate_series(0, 39) AS i")
		s.refuse(ab, "was rebuilt since")
		s.refuse(s.file("a.csv"), "was rebuilt since")
		s.refuse(s.set("a.csv", "b.csv", "c.csv"), "was rebuilt since")
	})
}

// TestPartsThatChange holds that a part which changes after it was loaded, or goes, is not loaded again, nor
// keeps others from being loaded.
func TestPartsThatChange(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.put(20, "a.csv", "b.csv", "c.csv", "d.csv", "e.csv")
		s.load(s.set("a.csv", "b.csv"), 0, 2)
		s.write("a.csv", s.read("a.csv")+"9000,1,more,1,2026-01-01 00:00:00+00\n")
		res, err := run(t, s.cfg, s.set("a.csv", "b.csv", "c.csv"), 0)
		if changed, ok := errors.AsType[*loader.ChangedInputError](err); !ok || filepath.Base(changed.Job) != "a.csv" || res.Parts.Loaded != 1 {
			t.Errorf("grown: %v, parts %+v", err, res.Parts)
		}
		s.once("a.csv", "b.csv", "c.csv")

		moved := filepath.Join(filepath.Dir(s.dir), "moved")
		if err := os.Rename(s.dir, moved); err != nil {
			t.Fatal(err)
		}
		s.dir = moved
		s.refuse(s.set("b.csv", "c.csv"), "it was renamed")
		s.once("a.csv", "b.csv", "c.csv")
		s.refuse(s.file("b.csv"), "it was renamed")
		s.cfg.Job = "once more"
		s.load(s.set("b.csv", "c.csv"), 0, 2)
	})
}

// TestPartsThatChangeMeanwhile holds that a set which is gone on with refuses a file whose stored beginning is another by
// now, takes one that has grown after it, and says so of one that is gone.
func TestPartsThatChangeMeanwhile(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.cfg = pieces(t, dsn).WithChunkSize(16 << 10)
		s.cfg.Job = ""
		s.put(30_000, "a.csv")
		s.put(20, "b.csv", "c.csv")
		in := s.set("a.csv", "b.csv")
		if _, err := run(t, s.cfg, in, 100); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		was := s.read("a.csv")
		s.write("a.csv", strings.Replace(was, "name 3,", "nome 3,", 1))
		_, err := run(t, s.cfg, in, 0)
		if changed, ok := errors.AsType[*loader.ChangedInputError](err); !ok || changed.When != loader.ChangedBegun {
			t.Errorf("%v, want that a.csv was changed", err)
		}
		s.write("a.csv", was+"30040,1,name 30040,30040,2026-01-01 00:00:00+00\n")
		s.rows["a.csv"]++
		if _, err := run(t, s.cfg, in, 0); err != nil {
			t.Error(err)
		}
		s.done(s.set("a.csv", "b.csv"))
		s.once("a.csv", "b.csv")

		abc := s.set("a.csv", "b.csv", "c.csv")
		if err := os.Remove(filepath.Join(s.dir, "c.csv")); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, s.cfg, abc, 0); err == nil || !strings.Contains(err.Error(), "c.csv") {
			t.Errorf("%v, want that c.csv is gone", err)
		}
		s.once("a.csv", "b.csv")
	})
}
