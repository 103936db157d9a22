package loader_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"shardload/internal/pgtest"
	"shardload/internal/server"
	"shardload/loader"
)

// TestRunIsLost holds that a process which learns at the end of its run that another one has it goes on
// with what is left, and does not end as if somebody had interrupted it.
func TestRunIsLost(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	paths, rows := flowFiles(t, 5, 3000)
	cfg := pieces(t, dsn)
	said := make(lines, 1000)
	cfg.Log = slog.New(slog.NewTextHandler(said, nil))
	key, holder := server.TablesLock(query(t, conn, "SELECT current_schema()")[0]), pgtest.Connect(t, dsn)
	var once sync.Once
	cfg.Observe = func(loader.StoredBatch) {
		once.Do(func() { exec(t, holder, fmt.Sprintf("SELECT pg_advisory_lock(%d)", key)) })
	}
	var hangs atomic.Bool // the next connection that is made
	cfg.Conn.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if hangs.Swap(false) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	ended := begin(t, cfg, paths)
	// All is stored, and the lock is needed to close the run.
	awaitRow(t, conn, fmt.Sprintf("SELECT FROM flowing HAVING count(*) = %d", rows))
	const asks = "query LIKE '%try_advisory%' AND pid <> pg_backend_pid() AND datname = current_database()"
	awaitRow(t, conn, "SELECT FROM pg_stat_activity WHERE "+asks)
	hangs.Store(true)
	exec(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "+asks)
	set := query(t, conn, "SELECT of FROM shardload_runs")[0]
	exec(t, conn, "UPDATE shardload_runs SET epoch = epoch + 1")
	exec(t, conn, "UPDATE shardload_marks_"+set+" SET epoch = epoch + 1")
	for !said.next(t, ended, "has taken over") {
	}
	exec(t, conn, "UPDATE shardload_runs SET released = true")
	exec(t, holder, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", key))
	if end := <-ended; end.err != nil {
		t.Error(end.err)
	}
	sameRows(t, conn, "flowing", rows)
}

// TestSetEndsMeanwhile holds that a process which comes too late to load anything of a set, as others have
// ended it since it has looked, ends without an error.
func TestSetEndsMeanwhile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn, other := makeFlowing(t, dsn), pgtest.Connect(t, dsn)
	paths, rows := flowFiles(t, 5, 3000)
	cfg := pieces(t, dsn)
	if end := <-begin(t, cfg, paths); end.err != nil {
		t.Fatal(end.err)
	}
	run := query(t, conn, "SELECT id FROM shardload_runs")[0]
	exec(t, conn, "UPDATE shardload_parts SET run = NULL")
	exec(t, conn, "UPDATE shardload_jobs SET finished = NULL")
	exec(t, other, "BEGIN")
	exec(t, other, "SELECT FROM shardload_jobs FOR UPDATE")
	ended := begin(t, cfg, paths)
	awaitRow(t, conn, fmt.Sprintf("SELECT FROM pg_stat_activity WHERE %d = ANY (pg_blocking_pids(pid))", other.PgConn().PID()))
	exec(t, other, "UPDATE shardload_parts SET run = '"+run+"'")
	exec(t, other, "UPDATE shardload_jobs SET finished = now()")
	exec(t, other, "COMMIT")
	if end := <-ended; end.err != nil || end.res.Parts.Others != end.res.Parts.All {
		t.Errorf("%+v, %v", end.res.Parts, end.err)
	}
	sameRows(t, conn, "flowing", rows)
}

// TestBadRowWithinARun holds that of files which are stored together with one that has a bad row, and
// cannot be stored to their ends, it is said that they are not, and that all is stored once it is mended.
func TestBadRowWithinARun(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	exec(t, conn, "ALTER TABLE flowing ADD CONSTRAINT few CHECK (id <> 2900) NOT VALID")
	paths, rows := flowFiles(t, 3, 3000)
	cfg := pieces(t, dsn)
	var set *loader.SetError
	end := <-begin(t, cfg, paths)
	if !errors.As(end.err, &set) || len(set.Failed)+set.More != end.res.Parts.Failed || set.Begun != set.More || set.More == 0 {
		t.Fatalf("%+v: %+v", end.res.Parts, end.err)
	}
	// Nor are they if it is gone, and the next command does not find it.
	bad := set.Failed[0].Part
	at := slices.Index(paths, bad)
	if at < 0 {
		t.Fatalf("failed: %s", set.Failed[0].Part)
	}
	if err := os.Rename(bad, bad+".gone"); err != nil {
		t.Fatal(err)
	}
	left := slices.Delete(slices.Clone(paths), at, at+1)
	if end := <-begin(t, cfg, left); !errors.As(end.err, &set) || set.Failed[0].Part != bad || len(set.Failed) != 1 || set.More != set.Begun || set.More == 0 {
		t.Errorf("without it: %+v: %+v", end.res.Parts, end.err)
	}
	if err := os.Rename(bad+".gone", bad); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "ALTER TABLE flowing DROP CONSTRAINT few")
	if end := <-begin(t, cfg, paths); end.err != nil {
		t.Error(end.err)
	}
	sameRows(t, conn, "flowing", rows)
}

// An ending is what a Load has returned.
type ending struct {
	res loader.Result
	err error
}

// begin begins to load the set of files.
func begin(t *testing.T, cfg loader.Config, paths []string) <-chan ending {
	t.Helper()
	in, err := loader.Files(paths...)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, cfg)
	ended := make(chan ending, 1)
	go func() {
		res, err := l.Load(context.Background(), in)
		ended <- ending{res, err}
	}()
	return ended
}

// lines is what was said, a line each.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// next reports whether the next line has that text. The load must not end before.
func (l lines) next(t *testing.T, ended <-chan ending, text string) bool {
	t.Helper()
	select {
	case line := <-l:
		return strings.Contains(line, text)
	case end := <-ended:
		t.Fatalf("ended: %v", end.err)
		return false
	}
}
