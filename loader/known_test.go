package loader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// A shelf is a directory of files with rows of their own, and the table that they are loaded into.
type shelf struct {
	t    *testing.T
	conn *pgx.Conn
	cfg  loader.Config
	dir  string
	rows map[string]int // of each file
	next int
}

func newShelf(t *testing.T, dsn string) *shelf {
	t.Helper()
	conn := makeFlowing(t, dsn)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{t: t, conn: conn, cfg: loader.Config{Conn: parse(t, dsn), Table: "flowing"}, dir: dir, rows: map[string]int{}}
}

// put writes files of so many rows each, as of long ago.
func (s *shelf) put(rows int, names ...string) {
	s.t.Helper()
	for _, name := range names {
		var text strings.Builder
		text.WriteString("id,tenant,name,n,at\n")
		for range rows {
			fmt.Fprintf(&text, "%d,%d,name %[1]d,%[1]d,2026-01-01 00:00:00+00\n", s.next, s.next%7)
			s.next++
		}
		s.rows[name] = rows
		s.write(name, text.String())
	}
}

func (s *shelf) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	write(s.t, path, text)
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// set returns the set of these files.
func (s *shelf) set(names ...string) loader.Input {
	s.t.Helper()
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(s.dir, name))
	}
	in, err := loader.Files(paths...)
	if err != nil {
		s.t.Fatal(err)
	}
	return in
}

func (s *shelf) file(name string) loader.Input { return loader.File(filepath.Join(s.dir, name)) }

// load loads in, of which there must be no error, and holds that the set's parts were found, and
// loaded, so.
func (s *shelf) load(in loader.Input, before, loaded int) {
	s.t.Helper()
	res, err := run(s.t, s.cfg, in, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.Parts != nil && (res.Parts.Before != before || res.Parts.Loaded != loaded || res.Parts.Failed != 0) {
		s.t.Errorf("parts %+v, want %d before and %d loaded", *res.Parts, before, loaded)
	}
}

// done holds that there is nothing to do for in.
func (s *shelf) done(in loader.Input) {
	s.t.Helper()
	_, err := run(s.t, s.cfg, in, 0)
	if _, ok := errors.AsType[*loader.CompleteError](err); !ok {
		s.t.Errorf("%s: %v, want that it is complete", in.Name(), err)
	}
}

// refuse holds that in is refused, in words that have these in them.
func (s *shelf) refuse(in loader.Input, words string) {
	s.t.Helper()
	res, err := run(s.t, s.cfg, in, 0)
	if err == nil || !strings.Contains(err.Error(), words) {
		s.t.Errorf("%s: %v, want %q", in.Name(), err, words)
	}
	if res.Rows > 0 {
		s.t.Errorf("%s: %d rows were stored", in.Name(), res.Rows)
	}
}

// once holds that the table has each row of these files once, and no others.
func (s *shelf) once(names ...string) {
	s.t.Helper()
	want := 0
	for _, name := range names {
		want += s.rows[name]
	}
	if got := query(s.t, s.conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; got != fmt.Sprintf("%d|%[1]d", want) {
		s.t.Errorf("rows|different: %s, want %d", got, want)
	}
}

// TestFilesKnownAlone holds that a file is stored once, whether it is named alone or with others, and in
// whatever order.
func TestFilesKnownAlone(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.put(20, "a.csv", "b.csv", "c.csv")
		s.load(s.file("a.csv"), 0, 0)
		s.load(s.set("a.csv", "b.csv"), 1, 1)
		s.done(s.file("a.csv"))
		s.done(s.file("b.csv"))
		s.done(s.set("a.csv", "b.csv"))
		s.load(s.set("a.csv", "b.csv", "c.csv"), 2, 1)
		s.done(s.file("c.csv"))
		s.once("a.csv", "b.csv", "c.csv")

		s.cfg.Where = "n::int > 100000"
		s.refuse(s.file("c.csv"), "and it was read with")
		s.refuse(s.set("a.csv", "b.csv", "c.csv"), "was read with")
		s.cfg.Where = ""

		s.cfg.Job = "/" + s.dir
		s.load(s.file("c.csv"), 0, 0)
		s.refuse(s.set("a.csv", "b.csv"), "one input alone under this name")
		s.cfg.Job = s.dir
		s.refuse(s.file("c.csv"), "is one of several files")
	})
}

// TestFilesMovedSinceAlone holds that a file which was loaded alone, and has another path now, is not loaded once
// more with others, and that a copy of it is.
func TestFilesMovedSinceAlone(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.put(20, "a.csv", "b.csv", "c.csv")
		s.load(s.file("a.csv"), 0, 0)
		if err := os.Rename(filepath.Join(s.dir, "a.csv"), filepath.Join(s.dir, "z.csv")); err != nil {
			t.Fatal(err)
		}
		_, err := run(t, s.cfg, s.set("b.csv", "z.csv"), 0)
		if err == nil || !strings.Contains(err.Error(), "a.csv, which was loaded alone, and which is gone") {
			t.Errorf("error %v", err)
		}
		s.once("a.csv", "b.csv")
		s.load(s.file("c.csv"), 0, 0)
		s.write("d.csv", s.read("c.csv"))
		s.load(s.set("b.csv", "d.csv"), 1, 1)
		if got := query(t, s.conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; got != "80|60" {
			t.Errorf("rows|different: %s, want those of the copy beside the others", got)
		}
	})
}

// TestFilesChangedSinceAlone holds that a file which has another content than when it was loaded alone is refused, and
// all others are loaded, and that one which was touched alone is not loaded again.
func TestFilesChangedSinceAlone(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.put(2000, "a.csv", "b.csv", "c.csv", "d.csv")
		s.load(s.file("a.csv"), 0, 0)
		s.load(s.file("b.csv"), 0, 0)
		s.write("a.csv", strings.Replace(s.read("a.csv"), "name 1000,", "name 1001,", 1)) // in its midst
		if err := os.Chtimes(filepath.Join(s.dir, "b.csv"), time.Time{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		res, err := run(t, s.cfg, s.set("a.csv", "b.csv", "c.csv"), 0)
		if changed, ok := errors.AsType[*loader.ChangedInputError](err); !ok || !strings.HasSuffix(changed.Job, "a.csv") {
			t.Errorf("error %v, want that a.csv was changed", err)
		}
		if res.Parts == nil || res.Parts.Before != 1 || res.Parts.Loaded != 1 {
			t.Errorf("parts %+v", res.Parts)
		}
		s.once("a.csv", "b.csv", "c.csv")

		// The same of what the set has loaded.
		s.write("c.csv", strings.Replace(s.read("c.csv"), ",name 5000,", ",name 5001,", 1))
		s.refuse(s.file("c.csv"), "was changed since")
		_, err = run(t, s.cfg, s.set("b.csv", "c.csv", "d.csv"), 0)
		if changed, ok := errors.AsType[*loader.ChangedInputError](err); !ok || !strings.HasSuffix(changed.Job, "c.csv") {
			t.Errorf("error %v, want that c.csv was changed", err)
		}
		s.once("a.csv", "b.csv", "c.csv", "d.csv")
		if err := os.Chtimes(filepath.Join(s.dir, "d.csv"), time.Time{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.done(s.file("d.csv"))
		s.done(s.set("b.csv", "d.csv"))
	})
}

// TestFilesBegunAlone holds that a set does not touch a file of which a load of its own was begun, nor
// anything else before that is complete; and the other way round.
func TestFilesBegunAlone(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.put(3000, "a.csv", "b.csv", "c.csv")
		s.cfg = pieces(t, dsn)
		s.cfg.Job = ""
		s.put(30_000, "big.csv")
		if _, err := run(t, s.cfg, s.file("big.csv"), 3); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		s.refuse(s.set("a.csv", "big.csv"), "load that file alone first")
		s.load(s.file("big.csv"), 0, 0)
		s.load(s.set("a.csv", "big.csv"), 1, 1)
		s.once("a.csv", "big.csv")

		s.put(30_000, "huge.csv")
		if _, err := run(t, s.cfg, s.set("b.csv", "c.csv", "huge.csv"), 8); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		s.refuse(s.file("huge.csv"), "run that load again")
		s.load(s.set("b.csv", "c.csv", "huge.csv"), 0, 3)
		s.done(s.file("huge.csv"))
		s.once("a.csv", "big.csv", "b.csv", "c.csv", "huge.csv")
	})
}

// TestFilesOfTwoSets holds that a file is stored once, by whatever directory the set is called that it is in.
func TestFilesOfTwoSets(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.put(20, "a.csv", "2024/b.csv", "2024/c.csv", "2024/d.csv", "2025/e.csv")
		s.load(s.set("2024/b.csv", "2024/c.csv"), 0, 2)
		s.load(s.set("a.csv", "2024/b.csv", "2024/c.csv", "2024/d.csv", "2025/e.csv"), 2, 3)
		s.done(s.file("2024/d.csv"))
		s.load(s.set("2024/b.csv", "2024/c.csv", "2024/d.csv"), 3, 0)
		s.done(s.set("2024/b.csv", "2024/c.csv", "2024/d.csv"))
		s.once("a.csv", "2024/b.csv", "2024/c.csv", "2024/d.csv", "2025/e.csv")

		// What a set that was stopped has begun with is its own, and what it has not reached another's.
		s.cfg.Batch, s.cfg.Memory, s.cfg.MaxRecord = 8<<10, 8<<20, 1<<20
		s.put(30_000, "2026/f.csv")
		s.put(20, "2026/g.csv")
		if _, err := run(t, s.cfg, s.set("2026/f.csv", "2026/g.csv"), 3); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		s.refuse(s.set("a.csv", "2026/f.csv"), "run that load again")
		s.load(s.set("2026/f.csv", "2026/g.csv"), 0, 2)
		s.load(s.set("a.csv", "2026/f.csv", "2026/g.csv"), 3, 0)
		s.once("a.csv", "2024/b.csv", "2024/c.csv", "2024/d.csv", "2025/e.csv", "2026/f.csv", "2026/g.csv")
	})
}
