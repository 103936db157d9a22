package loader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// recoverEvery makes Citus finish what is prepared that often, in milliseconds, until t
// is over; -1 for never.
func recoverEvery(t *testing.T, conn *pgx.Conn, milliseconds int) {
	t.Helper()
	exec(t, conn, fmt.Sprintf("ALTER SYSTEM SET citus.recover_2pc_interval = %d", milliseconds))
	exec(t, conn, "SELECT pg_reload_conf()")
	t.Cleanup(func() {
		conn := pgtestConn(t, pgtest.Citus(t))
		exec(t, conn, "ALTER SYSTEM RESET citus.recover_2pc_interval")
		exec(t, conn, "SELECT pg_reload_conf(); SELECT recover_prepared_transactions()")
	})
}

// ordinary makes the role own the table flowing, and cfg a config of it that loads
// there.
func ordinary(t *testing.T, dsn string, conn *pgx.Conn, role string) loader.Config {
	t.Helper()
	makeRole(t, dsn, conn, role)
	exec(t, conn, "ALTER TABLE flowing OWNER TO "+role)
	exec(t, conn, "GRANT ALL ON SCHEMA "+query(t, conn, "SELECT current_schema()")[0]+" TO "+role)
	cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "of " + role}
	cfg.Conn.User, cfg.Conn.Password = role, role
	return cfg
}

// doubtful makes a distributed table, or one that is on all nodes, of an ordinary role
// whose next COMMIT PREPARED on a worker is cut off.
func doubtful(t *testing.T, role string, reference bool) (conn *pgx.Conn, dsn string, cfg loader.Config, r *relay) {
	t.Helper()
	dsn = pgtest.Citus(t)
	conn = pgtest.Connect(t, dsn)
	exec(t, conn, flowing)
	if reference {
		exec(t, conn, "SELECT create_reference_table('flowing')")
	} else {
		distribute(t, conn, "flowing", "tenant")
	}
	cfg = ordinary(t, dsn, conn, role)
	r = through(t, dsn, conn, workers(t, conn)[0])
	return conn, dsn, cfg, r
}

// arm makes the relay cut the next COMMIT PREPARED, and moves a shard of the table away
// from the node behind it as soon as that has happened.
func arm(t *testing.T, conn *pgx.Conn, dsn string, r *relay) (moved chan error) {
	t.Helper()
	ws := workers(t, conn)
	shard := query(t, conn, "SELECT shardid FROM citus_shards WHERE table_name = 'flowing'::regclass AND nodeport = "+ws[0].port+" ORDER BY shardid")[0]
	r.trap.Store(new("COMMIT PREPARED"))
	moved = make(chan error, 1)
	go func() {
		for !r.trapped.Load() {
			time.Sleep(time.Millisecond)
		}
		moved <- tryWithin(t, dsn, fmt.Sprintf("SELECT citus_move_shard_placement(%s, '%s', %s, '%s', %s, 'block_writes')",
			shard, ws[0].name, ws[0].port, ws[1].name, ws[1].port), time.Minute)
	}()
	return moved
}

// cleanUp finishes what is prepared, and removes the shards that moves have left.
func cleanUp(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	exec(t, conn, "SELECT recover_prepared_transactions()")
	exec(t, conn, "CALL citus_cleanup_orphaned_resources()")
}

// TestDoubtAndMove holds that a load whose COMMIT a worker has not heard of loses nothing
// to a move of a shard with its writers held up, as a role that may not make Citus finish
// the transaction, and to which the server sends no warnings.
func TestDoubtAndMove(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*loader.Config)
	}{
		{"whole", func(*loader.Config) {}},
		{"pieces", func(c *loader.Config) {
			c.Route, c.Batch, c.Memory, c.MaxRecord = loader.RouteCoordinator, 64<<10, 8<<20, 1<<20
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, dsn, cfg, r := doubtful(t, "doubter", false)
			exec(t, conn, "ALTER ROLE doubter SET client_min_messages = error")
			path, rows := flowFile(t, 4000)
			if c.name == "pieces" {
				path, rows = flowFile(t, 12_000)
			}
			c.change(&cfg)
			moved := arm(t, conn, dsn, r)
			go func() { // what Citus does each minute
				for !r.trapped.Load() {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(2 * time.Second) // the move has begun, and would be over
				if err := tryWithin(t, dsn, "SELECT recover_prepared_transactions()", time.Minute); err != nil {
					t.Error(err)
				}
			}()
			res, err := run(t, cfg, loader.File(path), 0)
			if !r.trapped.Load() {
				t.Fatal("no COMMIT was cut")
			}
			if moveErr := <-moved; moveErr != nil {
				t.Logf("the move failed: %v", moveErr)
			}
			if err != nil || res.Rows != int64(rows) {
				t.Errorf("%d rows, want %d; error %v", res.Rows, rows, err)
			}
			cleanUp(t, conn)
			sameRows(t, conn, "flowing", rows)
		})
	}
}

// TestDoubtStays holds that a load is not complete while Citus does not finish its
// transaction, that it does not wait for ever for the marks which that has locked, and
// that the next one knows when it is.
func TestDoubtStays(t *testing.T) {
	for _, name := range []string{"distributed", "reference", "pieces"} {
		t.Run(name, func(t *testing.T) {
			conn, _, cfg, r := doubtful(t, "staying", name == "reference")
			recoverEvery(t, conn, -1)
			path, rows := flowFile(t, 4000)
			if name == "pieces" {
				path, rows = flowFile(t, 12_000)
				cfg.Route, cfg.Batch, cfg.Memory, cfg.MaxRecord = loader.RouteCoordinator, 64<<10, 8<<20, 1<<20
			}
			r.trap.Store(new("COMMIT PREPARED"))
			for range 2 {
				_, err := run(t, cfg, loader.File(path), 0)
				if unsettled, ok := errors.AsType[*loader.UnsettledError](err); !ok || !strings.Contains(unsettled.Error(), "recover_prepared_transactions()") {
					t.Fatalf("error %v, want an UnsettledError", err)
				}
			}
			exec(t, conn, "SELECT recover_prepared_transactions()")
			if _, err := run(t, cfg, loader.File(path), 0); name == "pieces" && err != nil || name != "pieces" && !isComplete(err) {
				t.Errorf("error %v, want a CompleteError, or in pieces none", err)
			}
			sameRows(t, conn, "flowing", rows)
		})
	}
}

func isComplete(err error) bool {
	_, ok := errors.AsType[*loader.CompleteError](err)
	return ok
}

// TestDoubtOfTheDead holds that rows which a move has left behind are not taken for
// stored when the process that waited for them was killed.
func TestDoubtOfTheDead(t *testing.T) {
	conn, dsn, cfg, r := doubtful(t, "dead", false)
	recoverEvery(t, conn, -1)
	path, rows := flowFile(t, 4000)
	moved := arm(t, conn, dsn, r)
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Log = logTo(waiting(cancel))
	if _, err := open(t, cfg).Load(ctx, loader.File(path)); err == nil {
		t.Fatal("no error")
	}
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	cleanUp(t, conn)
	cfg.Log = nil
	_, err := run(t, cfg, loader.File(path), 0)
	if lost, ok := errors.AsType[*loader.JobError](err); !ok || !strings.Contains(lost.Problem, "some of its rows may be missing") {
		t.Errorf("error %v, want a JobError that says that rows may be missing", err)
	}
	if got := query(t, conn, "SELECT count(*) FROM flowing")[0]; got == fmt.Sprint(rows) {
		t.Skip("the move has lost nothing")
	}
}

// waiting calls stop when something is logged that tells of an incomplete COMMIT.
type waiting func()

func (stop waiting) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "a COMMIT is not complete") {
		stop()
	}
	return len(p), nil
}

// TestDoubtAfterMove holds that a shard which was moved before its load's COMMIT is not taken
// for one that has left rows behind: the load has looked where the shards are before it could
// keep them there.
func TestDoubtAfterMove(t *testing.T) {
	conn, dsn, cfg, r := doubtful(t, "patient", false)
	recoverEvery(t, conn, 300)
	path, rows := flowFile(t, 4000)
	mover, ws := pgtest.Connect(t, dsn), workers(t, conn)
	exec(t, mover, "BEGIN")
	exec(t, mover, fmt.Sprintf(`SELECT citus_move_shard_placement(shardid, '%s', %s, '%s', %s, 'block_writes') FROM citus_shards
		WHERE table_name = 'flowing'::regclass AND nodeport = %[2]s ORDER BY shardid LIMIT 1`, ws[0].name, ws[0].port, ws[1].name, ws[1].port))
	movers := fmt.Sprintf("_%d_", mover.PgConn().PID())
	r.judge.Store(new(func(sent []byte) fate {
		if !bytes.Contains(sent, []byte("COMMIT PREPARED")) || bytes.Contains(sent, []byte(movers)) || r.trapped.Swap(true) {
			return passes
		}
		return lost
	}))
	l, ended := open(t, cfg), make(chan error, 1)
	go func() {
		_, err := l.Load(t.Context(), loader.File(path))
		ended <- err
	}()
	awaitRow(t, conn, "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND usename = 'patient'")
	exec(t, mover, "COMMIT")
	if err := <-ended; err != nil || !r.trapped.Load() {
		t.Errorf("cut: %t; error %v", r.trapped.Load(), err)
	}
	cleanUp(t, conn)
	sameRows(t, conn, "flowing", rows)
}

// TestEmptiedInDoubt holds that a shard which is emptied on its node, while its load waits for
// another node to commit, is seen.
func TestEmptiedInDoubt(t *testing.T) {
	conn, dsn, cfg, r := doubtful(t, "watchful", false)
	recoverEvery(t, conn, 3000)
	path, _ := flowFile(t, 4000)
	w := workers(t, conn)[1]
	shard := query(t, conn, "SELECT shard_name FROM citus_shards WHERE table_name = 'flowing'::regclass AND nodeport = "+w.port+" ORDER BY shardid")[0]
	node := pgtest.Connect(t, w.at(t, dsn))
	exec(t, node, "SET citus.enable_manual_changes_to_shards = on")
	r.trap.Store(new("COMMIT PREPARED"))
	l, ended := open(t, cfg), make(chan error, 1)
	go func() {
		_, err := l.Load(t.Context(), loader.File(path))
		ended <- err
	}()
	for !r.trapped.Load() {
		time.Sleep(time.Millisecond)
	}
	awaitRow(t, node, "SELECT 1 FROM "+shard+" LIMIT 1")
	exec(t, node, "TRUNCATE "+shard)
	if err := <-ended; !changed(err) {
		t.Errorf("error %v, want a ChangedError", err)
	}
}

// TestLeftBehind holds that a load in pieces, whose rows a move has left behind with their
// mark, stores them once more by itself.
func TestLeftBehind(t *testing.T) {
	conn, dsn, cfg, r := doubtful(t, "leaving", false)
	recoverEvery(t, conn, 60_000)
	path, rows := flowFile(t, 3000)
	inPieces(loader.RouteCoordinator)(&cfg)
	cfg.Batch, cfg.Streams = 1<<20, 1 // of a lane there is one batch: no other one misses its mark
	var once sync.Once                // not the COMMIT that makes the marks
	cfg.Observe = func(loader.StoredBatch) { once.Do(func() { r.trap.Store(new("COMMIT PREPARED")) }) }
	l, ended := open(t, cfg), make(chan error, 1)
	go func() {
		_, err := l.Load(t.Context(), loader.File(path))
		ended <- err
	}()
	for !r.trapped.Load() {
		time.Sleep(time.Millisecond)
	}
	from, to := workers(t, conn)[0], workers(t, conn)[1]
	for _, shard := range query(t, conn, "SELECT shardid FROM citus_shards WHERE table_name = 'flowing'::regclass AND nodeport = "+from.port) {
		within(t, dsn, fmt.Sprintf("SELECT citus_move_shard_placement(%s, '%s', %s, '%s', %s, 'block_writes')", shard, from.name, from.port, to.name, to.port), time.Minute)
	}
	cleanUp(t, conn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	sameRows(t, conn, "flowing", rows)
}

// TestDoubtOfRun holds that a run is taken over whose marks a worker holds prepared, as it has not
// heard of the COMMIT that entered them beside those of another run.
func TestDoubtOfRun(t *testing.T) {
	dsn := pgtest.Citus(t)
	conn := makeFlowing(t, dsn)
	recoverEvery(t, conn, -1)
	paths, rows := flowFiles(t, 5, 3000)
	r := through(t, dsn, conn, workers(t, conn)[0])
	first, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	cfg := pieces(t, dsn)
	cfg.Observe = func(loader.StoredBatch) {
		once.Do(func() { close(first) })
		<-goOn
	}
	ended := begin(t, cfg, paths[:4])
	<-first
	r.trap.Store(new("COMMIT PREPARED"))
	in, err := loader.Files(paths...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dead := pieces(t, dsn)
	dead.Log = logTo(waiting(cancel))
	if _, err := open(t, dead).Load(ctx, in); !errors.Is(err, context.Canceled) || !r.trapped.Load() {
		t.Errorf("cut: %t; error %v", r.trapped.Load(), err)
	}
	close(goOn)
	if end := <-ended; end.err != nil {
		t.Error(end.err)
	}
	if end := <-begin(t, pieces(t, dsn), paths); end.err != nil { // with the last file
		t.Error(end.err)
	}
	sameRows(t, conn, "flowing", rows)
}
