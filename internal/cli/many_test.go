package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
)

// manyProcesses is how many processes share the files of TestManyProcesses.
const manyProcesses = 4

// TestManyProcesses loads one set of files by several processes at once, which are killed and begun
// again, stopped and woken at random, while shards move and a worker crashes: every record of every file is
// stored once, and each process ends only when all of them are. SHARDLOAD_TEST_KILLS is how many are killed; 6 without it.
//
//	SHARDLOAD_TEST_KILLS=50 go test -timeout 30m -run TestManyProcesses -v ./internal/cli
func TestManyProcesses(t *testing.T) {
	kills, long := 6, os.Getenv("SHARDLOAD_TEST_KILLS")
	if long != "" {
		if _, err := fmt.Sscan(long, &kills); err != nil {
			t.Fatal(err)
		}
	}
	test := func(t *testing.T, dsn string, citus bool) {
		conn := pgtest.Connect(t, dsn)
		runSQL(t, conn, "CREATE TABLE events (id int, tenant int, what text); ALTER TABLE events REPLICA IDENTITY FULL")
		dir, records := manyFiles(t, 300, 60*kills)
		files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
		if err != nil {
			t.Fatal(err)
		}
		h := &herd{t: t, dsn: dsn, long: long != ""}
		h.kills.Store(int32(kills))
		var all sync.WaitGroup
		if citus {
			runSQL(t, conn, "SELECT create_distributed_table('events', 'tenant', colocate_with => 'none')")
			moving, stop := context.WithCancel(t.Context())
			moved := make(chan int)
			go func() { moved <- moveShards(moving, dsn) }()
			defer func() { stop(); t.Logf("%d shards were moved", <-moved) }()
			nodes := connectNodes(t, dsn)
			worker := nodes[1+rand.IntN(len(nodes)-1)]
			// The servers of tests may forget what they have said to be stored, and Citus takes no crash for that.
			pgtest.Exec(t, worker, "ALTER SYSTEM SET synchronous_commit = on", "SELECT pg_reload_conf()")
			all.Go(func() { crash(t, worker, nodes[0], records/4) })
		}
		for i := range manyProcesses {
			all.Go(func() { h.live(i, 0, append([]string{"--batch", "50kB"}, files...)...) })
		}
		all.Wait()
		const digest = "SELECT count(*), count(DISTINCT id), sum(hashtextextended(concat_ws('|', id, tenant, what), 0)) FROM "
		want := row(t, conn, digest+fmt.Sprintf("(SELECT i AS id, i %% 89 AS tenant, repeat(E'what, \\n', 10 + i %% 10) AS what FROM generate_series(0, %d) AS i) AS e", records-1))
		if diff := cmp.Diff(want, row(t, conn, digest+"events")); diff != "" {
			t.Errorf("count, different, sum (-want +got):\n%s", diff)
		}
		parts := row(t, conn, "SELECT count(*), count(DISTINCT name), count(*) FILTER (WHERE r.closed IS NOT NULL) FROM shardload_parts p LEFT JOIN shardload_runs r ON r.id = p.run")
		if diff := cmp.Diff("(300,300,300)", parts); diff != "" {
			t.Errorf("parts, different, of closed runs (-want +got):\n%s", diff)
		}
		t.Log(row(t, conn, "SELECT count(*) AS runs, sum(epoch - 1) AS taken_over, sum(rows) FROM shardload_runs"))
	}
	t.Run("postgres", func(t *testing.T) { test(t, pgtest.Plain(t), false) })
	t.Run("citus", func(t *testing.T) { test(t, pgtest.OwnCitus(t), true) })
}

// crash makes the worker's server crash, which starts again by itself, once so many rows are stored.
func crash(t *testing.T, worker, coordinator *pgx.Conn, rows int) {
	for limit := time.Now().Add(endPatience); ; time.Sleep(50 * time.Millisecond) {
		var stored int
		if err := coordinator.QueryRow(t.Context(), "SELECT count(*) FROM events").Scan(&stored); err == nil && stored >= rows {
			break
		}
		if time.Now().After(limit) {
			t.Errorf("no %d rows within %s", rows, endPatience)
			return
		}
	}
	if _, err := worker.Exec(t.Context(), "COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'"); err == nil {
		t.Error("the worker did not crash")
	}
}

// manyFiles writes so many files of about that many records each, and returns their directory and the
// number of all records.
func manyFiles(t *testing.T, files, each int) (dir string, records int) {
	t.Helper()
	dir = t.TempDir()
	for f := range files {
		var in bytes.Buffer
		in.WriteString("id,tenant,what\n")
		for range each/2 + rand.IntN(each) {
			fmt.Fprintf(&in, "%d,%d,\"%s\"\n", records, records%89, strings.Repeat("what, \n", 10+records%10))
			records++
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("events.%d.csv", f)), in.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, records
}

// A herd is processes that load the same files.
type herd struct {
	t     *testing.T
	dsn   string
	long  bool         // they may sleep so long that others take over what they have
	kills atomic.Int32 // that are still to come
}

// live runs one process after the other, with these arguments beside those of all, until one ends by itself,
// which must be with that status.
func (h *herd) live(i, status int, args ...string) {
	args = append([]string{"load", "--table", "events", "--memory", "8MiB", "--no-analyze"}, args...)
	for run := 0; ; run++ {
		cmd := command(h.dsn, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			h.t.Error(err)
			return
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		done, err := h.harass(cmd, ended)
		if done && exitOf(err) != status {
			h.t.Errorf("process %d, run %d: %v, want exit status %d\n%s", i, run, err, status, stderr.String())
		}
		if done {
			return
		}
	}
}

// exitOf returns the exit status of a process that has ended so, -1 for one that did not end by itself.
func exitOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// harass kills a process sometime, or lets it sleep for a while, until it ends.
func (h *herd) harass(cmd *exec.Cmd, ended chan error) (done bool, err error) {
	patience := time.After(endPatience)
	for {
		select {
		case err := <-ended:
			return true, err
		case <-patience:
			_ = cmd.Process.Kill()
			<-ended
			return true, fmt.Errorf("does not end within %s", endPatience)
		case <-time.After(shortLife/10 + rand.N(3*shortLife)):
		}
		switch n := rand.IntN(3); {
		case n == 0 && h.kills.Add(-1) >= 0:
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return true, err
			}
			<-ended
			return false, nil
		case n == 1:
			nap := rand.N(2 * time.Second)
			if h.long && rand.IntN(4) == 0 {
				nap = 40 * time.Second
			}
			_ = cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(nap)
			_ = cmd.Process.Signal(syscall.SIGCONT)
		}
	}
}
