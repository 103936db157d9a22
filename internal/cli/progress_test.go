package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// Away from a terminal there is a line every five seconds, and after stop nothing.
func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		a := &console{Env: Env{Stderr: &stderr}}
		begun := time.Now()
		stop := a.progress(t.Context(), "ads", func() snapshot {
			n := int64(time.Since(begun) / time.Second)
			return snapshot{Rows: 1000 * n, Bytes: 2_000_000 * n, Done: n, Total: 20}
		})
		time.Sleep(12 * time.Second)
		stop()
		time.Sleep(time.Minute)
		want := `ads: 25 %, 5,000 rows, 9.5 MiB, 1.9 MiB/s, 1,000 rows/s, 15 s left
ads: 50 %, 10,000 rows, 19 MiB, 1.9 MiB/s, 1,000 rows/s, 10 s left
`
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Errorf("stderr (-want +got):\n%s", diff)
		}
		stop() // twice does no harm
	})
}

func TestProgressQuiet(t *testing.T) {
	var stderr bytes.Buffer
	a := &console{Env: Env{Stderr: &stderr}, quiet: true}
	stop := a.progress(t.Context(), "ads", func() snapshot {
		t.Error("work is polled that nobody asks about")
		return snapshot{}
	})
	stop()
	a.note("a note")
	if stderr.Len() > 0 {
		t.Errorf("quiet, but stderr has %q", stderr.String())
	}
}

// Of work of which nobody knows the end it is said how long it has been going on.
func TestLineOfUnknownEnd(t *testing.T) {
	v := view{name: "-", counts: true, snapshot: snapshot{Rows: 1}, elapsed: time.Second, rows: 1}
	if got, want := v.line(nil), "-: 1 row, 1 rows/s, 1 s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (view{name: "statistics", elapsed: 3 * time.Minute}).line(nil), "statistics: 3 min 0 s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The loader's rows and bytes are those of all files of a table so far, what it has
// read of its input is that of the last one.
func TestLoadProgress(t *testing.T) {
	p := loader.Progress{BytesRead: 40, BytesPassed: 10, BytesTotal: 50, Rows: 7, Before: 3, Bytes: 90}
	if got, want := loadProgress(p, 100, 150, 8), (snapshot{Rows: 7, Before: 3, Done: 110, Total: 150}); got != want {
		t.Errorf("by size: %+v, want %+v", got, want)
	}
	if got, want := loadProgress(p, 0, 0, 8), (snapshot{Rows: 7, Before: 3, Done: 7, Total: 8}); got != want {
		t.Errorf("by rows: %+v, want %+v", got, want)
	}
}

// What is shown at the end of the second of two files is what both have together.
func TestLoadProgressOfSeveralFiles(t *testing.T) {
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE events (id int)"); err != nil {
		t.Fatal(err)
	}
	server, err := parseDSN(dsn, "the test's server", nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := loader.Open(t.Context(), loader.Config{Conn: server, Table: "events", NoResume: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		if _, err := l.Load(t.Context(), loader.Reader("-", strings.NewReader("1\n2\n3\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := loadProgress(l.Progress(), 0, 0, -1); got.Rows != 6 || got.Before != 0 {
		t.Errorf("%+v, want 6 rows of this run", got)
	}
}
