package cli_test

import (
	"bytes"
	"context"
	"fmt"
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
// move meanwhile. SHARDLOAD_TEST_KILLS is how many kills each route is tried with;
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
	pgtest.Each(t, func(t *testing.T, dsn string) {
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
		for _, way := range ways {
			t.Run(way, func(t *testing.T) { survive(t, dsn, way, kills) })
		}
	})
}

// killedRecords is how many records the input has for each kill.
const killedRecords = 30_000

// survive loads by that route, or by one after the other, with that many kills.
func survive(t *testing.T, dsn, route string, kills int) {
	path := filepath.Join(t.TempDir(), "events.csv")
	records := killedRecords * kills
	var in bytes.Buffer
	in.WriteString("id,tenant,what\n")
	for i := range records {
		fmt.Fprintf(&in, "%d,%d,\"%s\"\n", i, i%89, strings.Repeat("what, \n", 10+i%10))
	}
	if err := os.WriteFile(path, in.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	routes := []string{"shard", "node", "coordinator"}
	killed, runs := 0, 0
	for done := false; !done; runs++ {
		if runs > 20*kills {
			t.Fatalf("not done after %d runs, %d of them killed", runs, killed)
		}
		by := route
		if by == "any" {
			by = routes[runs%3]
		}
		cmd := command(dsn, "load", "--table", "events", "--route", by, "--batch", "20kB", "--memory", "8MiB", "--no-analyze", path)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var alarm <-chan time.Time
		patience := time.After(time.Minute)
		if killed < kills {
			alarm = time.After(time.Duration(50+rand.IntN(500)) * time.Millisecond)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("run %d: %v\n%s", runs, err, stderr.String())
			}
			done = true
		case <-patience:
			_ = cmd.Process.Kill()
			<-ended
			t.Fatalf("run %d does not end within a minute:\n%s", runs, stderr.String())
		case <-alarm:
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			killed++
		}
	}
	t.Logf("%d records, %d runs, %d killed", records, runs, killed)
	conn := pgtest.Connect(t, dsn)
	const digest = "SELECT count(*), count(DISTINCT id), sum(hashtextextended(concat_ws('|', id, tenant, what), 0)) FROM "
	want := row(t, conn, digest+fmt.Sprintf("(SELECT i AS id, i %% 89 AS tenant, repeat(E'what, \\n', 10 + i %% 10) AS what FROM generate_series(0, %d) AS i) AS e", records-1))
	if diff := cmp.Diff(want, row(t, conn, digest+"events")); diff != "" {
		t.Errorf("count, different, sum (-want +got):\n%s", diff)
	}
	again, err := command(dsn, "load", "--table", "events", path).CombinedOutput()
	if err != nil || !strings.Contains(string(again), "nothing to do") {
		t.Errorf("once more: %v\n%s", err, again)
	}
	if diff := cmp.Diff(want, row(t, conn, digest+"events")); diff != "" {
		t.Errorf("after once more (-want +got):\n%s", diff)
	}
	runSQL(t, conn, "TRUNCATE events")
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
