package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"shardload/internal/cli"
	"shardload/internal/pgtest"
)

// Ctrl-C in the middle of an input that has no end: the command comes back, with
// status 130, and what it says is stored is what the table has.
func TestInterrupt(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		if _, err := conn.Exec(t.Context(), "CREATE TABLE events (id int PRIMARY KEY)"); err != nil {
			t.Fatal(err)
		}
		var hasCitus bool
		if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')").Scan(&hasCitus); err != nil {
			t.Fatal(err)
		}
		if hasCitus {
			if _, err := conn.Exec(t.Context(), "SELECT create_distributed_table('events', 'id', colocate_with => 'none')"); err != nil {
				t.Fatal(err)
			}
		}
		stdin, feed := io.Pipe()
		fed := make(chan struct{})
		go func() { // until the test closes the other end
			defer close(fed)
			for i := 0; ; i++ {
				if _, err := fmt.Fprintln(feed, i); err != nil {
					return
				}
			}
		}()
		ctx, interrupt := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		status := make(chan int)
		go func() {
			status <- cli.Main(ctx, cli.Env{
				Args:  []string{"load", "--dsn", dsn, "--table", "events", "--header", "no", "--batch", "1kB", "-"},
				Stdin: stdin, Stdout: &stdout, Stderr: &stderr,
				Getenv: func(string) string { return "" },
			})
		}()
		rows := func() (n int64) {
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM events").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for rows() == 0 {
			select {
			case got := <-status:
				t.Fatalf("ended before its input did, with status %d: %s", got, stderr.String())
			default:
			}
		}
		interrupt()
		if got := <-status; got != 130 {
			t.Errorf("status %d, want 130", got)
		}
		stdin.Close()
		<-fed
		if stdout.Len() > 0 {
			t.Errorf("stdout: %s", stdout.String())
		}
		said := regexp.MustCompile(`stored before that: events ([0-9,]+) rows`).FindStringSubmatch(stderr.String())
		if said == nil {
			t.Fatalf("stderr does not say what was stored:\n%s", stderr.String())
		}
		n, err := strconv.ParseInt(string(bytes.ReplaceAll([]byte(said[1]), []byte(","), nil)), 10, 64)
		if got := rows(); err != nil || n != got {
			t.Errorf("said that %s rows were stored, %d are; stderr:\n%s", said[1], got, stderr.String())
		}
	})
}

// A demo that is interrupted when its cluster runs, or later, leaves nothing.
func TestInterruptedDemoCleansUp(t *testing.T) {
	for _, phase := range []string{"cluster ", "generate "} {
		room, err := os.MkdirTemp("", "shardload-test-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(room)
		if err := os.Chmod(room, 0o755); err != nil { // servers that root starts run as another user
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", room)
		ctx, interrupt := context.WithCancel(t.Context())
		stderr := &watcher{text: phase, seen: interrupt}
		status := cli.Main(ctx, cli.Env{
			Args:   []string{"demo", "--ads", "100000", "--workers", "0"},
			Stdin:  strings.NewReader(""),
			Stdout: io.Discard,
			Stderr: stderr,
			Getenv: os.Getenv,
		})
		if status != 130 || !strings.HasSuffix(stderr.String(), "shardload: interrupted\nthe demo's cluster and its files are removed\n") {
			t.Errorf("interrupted after %q: status %d; stderr:\n%s", phase, status, stderr.String())
		}
		left, err := os.ReadDir(room)
		if err != nil || len(left) > 0 {
			t.Errorf("interrupted after %q: %v left, %v", phase, left, err)
		}
	}
}

// A watcher is a buffer that calls seen when text is written to it.
type watcher struct {
	strings.Builder
	text string
	seen func()
}

func (w *watcher) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.seen()
	}
	return w.Builder.Write(p)
}
