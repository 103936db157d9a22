package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"testing"

	"shardload/internal/cli"
	"shardload/internal/pgtest"
)

// Ctrl-C in the middle of an input that has no end: the command comes back, with
// status 130, and what it says is stored is what the table has.
func TestInterrupt(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
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
