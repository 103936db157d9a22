package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
)

// TestKilled kills the command at random moments with SIGKILL, and runs it again
// until it is done: every record is stored, once, on every route, with shards that
// move meanwhile, and each bad one is kept aside once. SHARDLOAD_TEST_KILLS is how many kills each route is tried with;
// 3 without it.
//
//	SHARDLOAD_TEST_KILLS=50 go test -timeout 30m -run TestKilled -v ./internal/cli
func TestKilled(t *testing.T) {
	kills := 3
	if s := os.Getenv("SHARDLOAD_TEST_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		runSQL(t, conn, "CREATE TABLE events (id int, tenant int, what text); ALTER TABLE events REPLICA IDENTITY FULL")
		ways := []string{"coordinator"}
		if strings.HasSuffix(t.Name(), "/citus") {
			runSQL(t, conn, "SELECT create_distributed_table('events', 'tenant', colocate_with => 'none')")
			ways = []string{"shard", "node", "coordinator", "any"}
			if testing.Short() {
				ways = ways[3:]
			}
			moving, stop := context.WithCancel(t.Context())
			moved := make(chan int)
			go func() { moved <- moveShards(moving, dsn) }()
			defer func() { stop(); t.Logf("%d shards were moved", <-moved) }()
		}
		for _, way := range append(ways, "rejects") {
			t.Run(way, func(t *testing.T) { survive(t, dsn, way, kills) })
		}
	})
}

// killedRecords is how many records the input has for each kill.
const killedRecords = 30_000

const (
	// shortLife is how long a run that is killed lives at most, or longer if it is too
	// short to store anything.
	shortLife = 500 * time.Millisecond
	// endPatience is how long the last run may take.
	endPatience = 5 * time.Minute
)

// survive loads by that route, or by one after the other, with that many kills. With
// rejects one of a thousand records is bad.
func survive(t *testing.T, dsn, route string, kills int) {
	path := filepath.Join(t.TempDir(), "events.csv")
	records := killedRecords * kills
	var in bytes.Buffer
	in.WriteString("id,tenant,what\n")
	args, status, bad := []string{}, 0, map[string]bool{}
	dir := t.TempDir()
	if route == "rejects" {
		args, status = []string{"--max-errors", "1%", "--rejects", dir}, 3
	}
	for i := range records {
		if status == 3 && i%1000 == 7 {
			record := fmt.Sprintf("no %d,%d,what", i, i%89)
			bad[record] = true
			in.WriteString(record + "\n")
			continue
		}
		fmt.Fprintf(&in, "%d,%d,\"%s\"\n", i, i%89, strings.Repeat("what, \n", 10+i%10))
	}
	if err := os.WriteFile(path, in.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	routes := []string{"shard", "node", "coordinator"}
	batches := []string{"20kB", "1MB"} // so large that the memory is full before they are
	killed, runs := 0, 0
	conn := pgtest.Connect(t, dsn)
	runSQL(t, conn, "TRUNCATE events")
	fruitful, longest, stored := 0, shortLife, ""
	for done := false; !done; runs++ {
		if runs > 20*kills {
			t.Fatalf("not done after %d runs, %d of them killed", runs, killed)
		}
		by := route
		switch {
		case by == "rejects" && strings.Contains(t.Name(), "/postgres/"):
			by = "auto"
		case by == "rejects" || by == "any":
			by = routes[runs%3]
		}
		cmd := command(dsn, append([]string{"load", "--table", "events", "--route", by, "--batch", batches[runs%len(batches)], "--memory", "8MiB", "--no-analyze", path}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var alarm <-chan time.Time
		patience := time.After(endPatience)
		if killed < kills {
			alarm = time.After(shortLife/10 + rand.N(longest))
		}
		byItself := func(err error) {
			if cmd.ProcessState.ExitCode() != status {
				t.Fatalf("run %d: %v\n%s", runs, err, stderr.String())
			}
			done = true
		}
		select {
		case err := <-ended:
			byItself(err)
		case <-patience:
			_ = cmd.Process.Kill()
			<-ended
			t.Fatalf("run %d does not end within %s:\n%s", runs, endPatience, stderr.String())
		case <-alarm:
			err := cmd.Process.Kill()
			if errors.Is(err, os.ErrProcessDone) { // just before
				byItself(<-ended)
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			<-ended
			killed++
			if now := row(t, conn, "SELECT count(*) FROM events"); now != stored {
				stored, longest = now, shortLife
				fruitful++
			} else {
				longest = min(2*longest, 16*shortLife) // it was killed before it had begun
			}
		}
	}
	t.Logf("%d records, %d runs, %d killed, %d of them when they had stored rows", records, runs, killed, fruitful)
	const digest = "SELECT count(*), count(DISTINCT id), sum(hashtextextended(concat_ws('|', id, tenant, what), 0)) FROM "
	want := row(t, conn, digest+fmt.Sprintf("(SELECT i AS id, i %% 89 AS tenant, repeat(E'what, \\n', 10 + i %% 10) AS what FROM generate_series(0, %d) AS i WHERE %d <> 3 OR i %% 1000 <> 7) AS e", records-1, status))
	if diff := cmp.Diff(want, row(t, conn, digest+"events")); diff != "" {
		t.Errorf("count, different, sum (-want +got):\n%s", diff)
	}
	if got := keptAside(t, dir); !maps.Equal(got, bad) {
		t.Errorf("records kept aside (-want +got):\n%s", cmp.Diff(bad, got))
	}
	again, err := command(dsn, append([]string{"load", "--table", "events", path}, args...)...).CombinedOutput()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.ExitCode() == status {
		err = nil
	}
	if err != nil || !strings.Contains(string(again), "nothing to do") {
		t.Errorf("once more: %v\n%s", err, again)
	}
	if diff := cmp.Diff(want, row(t, conn, digest+"events")); diff != "" {
		t.Errorf("after once more (-want +got):\n%s", diff)
	}
	runSQL(t, conn, "TRUNCATE events")
}

// keptAside returns the rejected records that are kept in dir, each of which must be
// there once, and in the file that can be loaded, too.
func keptAside(t *testing.T, dir string) map[string]bool {
	t.Helper()
	kept := map[string]bool{}
	list, err := os.ReadFile(filepath.Join(dir, "events.rejects.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return kept
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(list) {
		var r struct{ Record string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if kept[r.Record] {
			t.Errorf("%q was rejected twice", r.Record)
		}
		kept[r.Record] = true
	}
	loadable, err := os.ReadFile(filepath.Join(dir, "events.rejects.csv"))
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%s has %v, want two files, and none that a killed run has left; %v", dir, files, err)
	}
	if err != nil || bytes.Count(loadable, []byte("\n")) != 1+len(kept) {
		t.Errorf("events.rejects.csv has %d lines, want a header and %d records; %v", bytes.Count(loadable, []byte("\n")), len(kept), err)
	}
	return kept
}

// command returns the command with these arguments, as a process.
func command(dsn string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append(args, "--dsn", dsn)...)
	cmd.Args[0] = "shardload"
	return cmd
}

// movePause is the time between two moves: while one is under way Citus lets nobody
// make a table that is colocated, as a job's progress is.
const movePause = 300 * time.Millisecond

// moveShards moves the shards of events to and fro until ctx ends, and returns how
// many times.
func moveShards(ctx context.Context, dsn string) (moved int) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		_, err := conn.Exec(ctx, `SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport, w.nodename, w.nodeport, 'block_writes')
			FROM (SELECT * FROM citus_shards WHERE table_name = 'events'::regclass ORDER BY random() LIMIT 1) AS s, pg_dist_node AS w
			WHERE w.groupid > 0 AND w.nodeport <> s.nodeport`)
		if err == nil {
			moved++
		}
		select {
		case <-time.After(movePause):
		case <-ctx.Done():
		}
	}
	return moved
}

func runSQL(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// row returns the only row of sql as text.
func row(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	var s string
	if err := conn.QueryRow(t.Context(), "SELECT r::text FROM ("+sql+") AS r").Scan(&s); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return s
}
