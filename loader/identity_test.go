package loader_test

import (
	"bytes"
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

// overwrite makes the file at path hold data, and lets it look as if that had been long
// ago, at another time than before.
func overwrite(t *testing.T, path string, data []byte, ago time.Duration) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-ago)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// isChanged holds that err is a ChangedInputError of that kind.
func isChanged(t *testing.T, what string, err error, want loader.Change) {
	t.Helper()
	if changed, ok := errors.AsType[*loader.ChangedInputError](err); !ok || changed.When != want {
		t.Errorf("%s: error %v, want that the input was changed (%s)", what, err, want)
	}
}

// isDone holds that err says that there is nothing to do.
func isDone(t *testing.T, what string, err error, rows int) {
	t.Helper()
	if done, ok := errors.AsType[*loader.CompleteError](err); !ok || done.Rows != int64(rows) {
		t.Errorf("%s: error %v, want a CompleteError of %d rows", what, err, rows)
	}
}

// TestOneFileTwoNames holds that a file is one input by whatever name it is reached, and
// that one whose content is known under another name is told of, or refused.
func TestOneFileTwoNames(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	path, rows := flowFile(t, 3000)
	dir := filepath.Dir(path)
	linked := filepath.Join(t.TempDir(), "dir")
	link := filepath.Join(dir, "link.csv")
	hard := filepath.Join(dir, "hard.csv")
	copied := filepath.Join(dir, "copied.csv")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, data, time.Hour)
	overwrite(t, copied, data, 2*time.Hour)
	for _, err := range []error{os.Symlink(dir, linked), os.Symlink(path, link), os.Link(path, hard)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cfg := pieces(t, dsn)
	cfg.Job, cfg.Log = "", logTo(&log)
	// A job of a version that did not resolve links.
	if _, err := run(t, cfg, loader.File(link), 4); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := query(t, conn, "SELECT name FROM shardload_jobs"); len(got) != 1 || got[0] != path {
		t.Errorf("jobs %q, want one of %s", got, path)
	}
	exec(t, conn, "UPDATE shardload_jobs SET name = '"+link+"'")
	_, err = run(t, cfg, loader.File(copied), 0)
	isChanged(t, "a copy of what is not complete", err, loader.ChangedName)
	if _, err := run(t, cfg, loader.File(link), 4); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := run(t, cfg, loader.File(hard), 4); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := run(t, cfg, loader.File(filepath.Join(linked, filepath.Base(path))), 0); err != nil {
		t.Fatal(err)
	}
	sameRows(t, conn, "flowing", rows)
	for _, name := range []string{path, link, hard, filepath.Join(linked, "link.csv")} {
		_, err := run(t, cfg, loader.File(name), 0)
		isDone(t, name, err, rows)
	}
	log.Reset()
	if _, err := run(t, cfg, loader.File(copied), 0); err != nil || !strings.Contains(log.String(), "has the content of ") {
		t.Errorf("a copy of what is complete: %v, and no word of it:\n%s", err, &log)
	}
}

// TestChangedFile holds what becomes of a file that is not what it was when an earlier
// run has begun to load it, or has loaded it.
func TestChangedFile(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path, rows := flowFile(t, 6000)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cfg := pieces(t, dsn).WithChunkSize(8 << 10)
		cfg.Job = ""
		overwrite(t, path, data, 9*time.Hour)
		stop := func(batches int64) {
			t.Helper()
			if _, err := run(t, cfg, loader.File(path), batches); !errors.Is(err, context.Canceled) {
				t.Fatalf("the load was to be stopped: %v", err)
			}
		}
		digit := func(at int) []byte { // the same but for one digit
			changed := bytes.Clone(data)
			for ; changed[at] < '0' || changed[at] > '8' || changed[at-1] < '0' || changed[at-1] > '9'; at++ {
			}
			changed[at]++
			return changed
		}

		stop(20)
		overwrite(t, path, digit(2000), 8*time.Hour)
		_, err = run(t, cfg, loader.File(path), 0)
		isChanged(t, "a digit before what is stored", err, loader.ChangedBegun)
		overwrite(t, path, data, 7*time.Hour) // touched
		stop(5)
		mended := bytes.Clone(data)
		mended = append(mended[:len(mended)-1], []byte("\n")...)
		mended = append(mended, lastRecord(data, rows)...)
		overwrite(t, path, mended, 6*time.Hour) // longer, behind all marks
		stop(5)
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Fatal(err)
		}
		sameCount(t, conn, rows+1)

		_, err = run(t, cfg, loader.File(path), 0)
		isDone(t, "unchanged", err, rows+1)
		overwrite(t, path, mended, 5*time.Hour)
		_, err = run(t, cfg, loader.File(path), 0)
		isDone(t, "touched", err, rows+1)
		middle := bytes.Clone(mended)
		copy(middle, digit(len(data) / 2)[:len(data)])
		overwrite(t, path, middle, 4*time.Hour)
		_, err = run(t, cfg, loader.File(path), 0)
		isChanged(t, "a digit in the middle of what is complete", err, loader.ChangedComplete)
		sameCount(t, conn, rows+1)

		var more []byte
		for i := range 8000 {
			more = append(more, lastRecord(data, rows+1+i)...)
		}
		overwrite(t, path, append(bytes.Clone(mended), more...), 3*time.Hour)
		_, err = run(t, cfg, loader.File(path), 0)
		isChanged(t, "grown", err, loader.ChangedGrown)
		cfg.Appended = true
		overwrite(t, path, append(bytes.Clone(middle), more...), 3*time.Hour)
		_, err = run(t, cfg, loader.File(path), 0)
		isChanged(t, "grown, and changed before", err, loader.ChangedComplete)
		overwrite(t, path, append(bytes.Clone(mended), more...), 2*time.Hour)
		stop(3)
		cfg.Appended = false // a job that was begun goes on
		res, err := run(t, cfg, loader.File(path), 0)
		if err != nil || res.Before+res.Rows != int64(rows+8001) {
			t.Errorf("appended: %d rows before and %d now, %v, want %d together", res.Before, res.Rows, err, rows+8001)
		}
		sameCount(t, conn, rows+8001)
		_, err = run(t, cfg, loader.File(path), 0)
		isDone(t, "appended", err, rows+8001)
		overwrite(t, path, append(append(bytes.Clone(mended), more...), lastRecord(data, rows+9000)...), time.Hour)
		cfg.Appended = true
		if _, err = run(t, cfg, loader.File(path), 0); err != nil {
			t.Errorf("appended once more: %v", err)
		}
		sameCount(t, conn, rows+8002)

		overwrite(t, path, append([]byte(modelHeader), lastRecord(data, rows+9001)...), time.Minute)
		_, err = run(t, cfg, loader.File(path), 0)
		isChanged(t, "other content where only what was appended is asked for", err, loader.ChangedOther)
		cfg.Appended = false
		if _, err = run(t, cfg, loader.File(path), 0); err != nil {
			t.Errorf("other content under the name: %v", err)
		}
		sameCount(t, conn, rows+8003)
	})
}

// TestEarlierMarks holds that a load goes on whose progress table an earlier version has
// made, without hashes, and that it has them from then on.
func TestEarlierMarks(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path, rows := flowFile(t, 3000)
		cfg := pieces(t, dsn)
		if _, err := run(t, cfg, loader.File(path), 5); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		progress := query(t, conn, "SELECT progress FROM shardload_jobs")[0]
		exec(t, conn, "ALTER TABLE "+progress+" DROP COLUMN sum, DROP COLUMN in_sum")
		if _, err := run(t, cfg, loader.File(path), 5); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if got := query(t, conn, "SELECT count(*) > 0 FROM "+progress+" WHERE sum <> 0"); got[0] != "t" {
			t.Errorf("marks with a hash: %s", got[0])
		}
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Fatal(err)
		}
		complete(t, conn, cfg, loader.File(path), rows)
	})
}

// lastRecord returns a record of that id, as none in data is.
func lastRecord(_ []byte, id int) []byte {
	return fmt.Appendf(nil, "%d,%d,x,1,2020-01-01\n", 5_000_000+id, id%7)
}

// sameCount holds that flowing has that many rows, all different.
func sameCount(t *testing.T, conn *pgx.Conn, rows int) {
	t.Helper()
	want := fmt.Sprintf("%d|%d", rows, rows)
	if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; got != want {
		t.Errorf("rows|ids %s, want %s", got, want)
	}
}
