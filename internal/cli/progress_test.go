package cli

import (
	"bytes"
	"context"
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
		a := &app{Env: Env{Stderr: &stderr}}
		begun := time.Now()
		stop := a.progress("ads", func() snapshot {
			n := int64(time.Since(begun) / time.Second)
			return snapshot{Rows: 1000 * n, Bytes: 2_000_000 * n, Done: n, Total: 20}
		})
		time.Sleep(12 * time.Second)
		stop()
		time.Sleep(time.Minute)
		want := `ads: 5,000 rows, 10 MB, 1,000 rows/s, 2.0 MB/s, 25 %, 15 s left
ads: 10,000 rows, 20 MB, 1,000 rows/s, 2.0 MB/s, 50 %, 10 s left
`
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Errorf("stderr (-want +got):\n%s", diff)
		}
		stop() // twice does no harm
	})
}

func TestProgressQuiet(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{Env: Env{Stderr: &stderr}, quiet: true}
	stop := a.progress("ads", func() snapshot {
		t.Error("work is polled that nobody asks about")
		return snapshot{}
	})
	stop()
	a.note("a note")
	if stderr.Len() > 0 {
		t.Errorf("quiet, but stderr has %q", stderr.String())
	}
}

func TestProgressLineOfUnknownEnd(t *testing.T) {
	got := progressLine("-", snapshot{Rows: 1, Bytes: 500}, time.Second)
	if want := "-: 1 row, 500 B, 1 rows/s, 500 B/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The bar goes on as the work does, knows its end or not, and is gone at the end.
func TestBar(t *testing.T) {
	for _, total := range []int64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			var stderr bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			begun := time.Now()
			go drawBar(ctx, &stderr, "ads", func() snapshot {
				n := int64(time.Since(begun) / time.Second)
				return snapshot{Rows: 1000 * n, Bytes: 2_000_000 * n, Done: min(10*n, 100), Total: total}
			})
			time.Sleep(20 * time.Second) // longer than the work: a full bar stays one line
			cancel()
			synctest.Wait()
			out := stderr.String()
			if !strings.Contains(out, "ads 1,000 rows/s, 2.0 MB/s") {
				t.Errorf("total %d: no rate in %q", total, out)
			}
			if strings.Contains(out, "\n") {
				t.Errorf("total %d: a line break in %q", total, out)
			}
			if has := strings.Contains(out, "50%"); has != (total > 0) {
				t.Errorf("total %d: half of the work shown: %v", total, has)
			}
			if end := out[strings.LastIndex(out, "ads"):]; !strings.Contains(end, "\033[2K") {
				t.Errorf("total %d: not cleared: %q", total, end)
			}
		})
	}
}

// The loader's rows and bytes are those of all files of a table so far, what it has
// read of its input is that of the last one.
func TestLoadProgress(t *testing.T) {
	p := loader.Progress{BytesRead: 10, BytesTotal: 50, Rows: 7, Bytes: 90}
	if got, want := loadProgress(p, 100, 150, -1), (snapshot{Rows: 7, Bytes: 90, Done: 110, Total: 150}); got != want {
		t.Errorf("by size: %+v, want %+v", got, want)
	}
	if got, want := loadProgress(p, 100, 150, 8), (snapshot{Rows: 7, Bytes: 90, Done: 7, Total: 8}); got != want {
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
	server, err := parseDSN(dsn, "the test's server")
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
	if got := loadProgress(l.Progress(), 0, 0, -1); got.Rows != 6 || got.Bytes != 12 {
		t.Errorf("%+v, want 6 rows and 12 bytes", got)
	}
}
