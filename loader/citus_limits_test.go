package loader_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// asOwner makes a role that owns the table flowing, and returns the settings of a load
// by it.
func asOwner(t *testing.T, dsn string, conn *pgx.Conn) loader.Config {
	t.Helper()
	schema := query(t, conn, "SELECT current_schema()")[0]
	t.Cleanup(func() {
		c := pgtestConn(t, dsn)
		exec(t, c, "DELETE FROM pg_dist_authinfo WHERE rolename = 'owner'")
		exec(t, c, "DROP OWNED BY owner; DROP ROLE owner")
	})
	exec(t, conn, "CREATE ROLE owner LOGIN PASSWORD 'owner'")
	exec(t, conn, "INSERT INTO pg_dist_authinfo VALUES (0, 'owner', 'password=owner')")
	exec(t, conn, "GRANT ALL ON SCHEMA "+schema+" TO owner")
	exec(t, conn, "ALTER TABLE flowing OWNER TO owner")
	cfg := pieces(t, dsn)
	cfg.Conn.User, cfg.Conn.Password = "owner", "owner"
	return cfg
}

// TestRolesSettings holds that settings of the role break nothing: timeouts while
// another holds a shard, and what new tables would be.
func TestRolesSettings(t *testing.T) { // alone: its role is another test's, too
	dsn, conn := flowTable(t)
	cfg := asOwner(t, dsn, conn)
	exec(t, conn, "CREATE EXTENSION IF NOT EXISTS citus_columnar")
	for _, setting := range []string{
		"lock_timeout = '300ms'", "statement_timeout = '4s'", "idle_in_transaction_session_timeout = '1s'",
		"default_table_access_method = 'columnar'", "default_transaction_isolation = 'repeatable read'", "citus.enable_schema_based_sharding = on",
	} {
		exec(t, conn, "ALTER ROLE owner SET "+setting)
	}
	r := start(t, cfg, newFlow(0))
	at := query(t, conn, "SELECT shardid, nodeport FROM citus_shards WHERE table_name = 'flowing'::regclass ORDER BY shardid LIMIT 1")[0]
	shard, port, _ := strings.Cut(at, "|")
	ws := workers(t, conn)
	w := pgtest.Connect(t, ws[slices.IndexFunc(ws, func(w worker) bool { return w.port == port })].at(t, dsn))
	exec(t, w, "BEGIN; SELECT lock_shard_metadata(7, ARRAY["+shard+"])")
	time.Sleep(4500 * time.Millisecond)
	exec(t, w, "COMMIT")
	if _, err := r.finish(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, conn, "flowing", r.flow.rows)
}

// TestFewConnections holds that a load goes on with fewer streams where a node has no
// connections for all of them, and leaves those that the coordinator needs.
func TestFewConnections(t *testing.T) { // alone: its role is another test's, too
	dsn, conn := flowTable(t)
	cfg := asOwner(t, dsn, conn)
	onWorkers(t, conn, "SET citus.enable_ddl_propagation = off; ALTER ROLE owner CONNECTION LIMIT 4")
	path, rows := flowFile(t, 12_000)
	var said strings.Builder
	cfg.Streams, cfg.RetryFor, cfg.Log = 6, 20*time.Second, logTo(&said)
	if _, err := open(t, cfg).Load(t.Context(), loader.File(path)); err != nil {
		t.Fatalf("%v; the load said:\n%s", err, said.String())
	}
	if !strings.Contains(said.String(), "going on with fewer streams") {
		t.Errorf("the load said:\n%s", said.String())
	}
	sameRows(t, conn, "flowing", rows)
}

// An ear is a log that hears a word.
type ear struct {
	word  string
	once  sync.Once
	heard chan struct{}
}

func (e *ear) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(e.word)) {
		e.once.Do(func() { close(e.heard) })
	}
	return len(p), nil
}

// TestMoveWhileJobBegins holds that a load waits for the end of a move before it
// makes its progress table, which Citus holds up or refuses meanwhile.
func TestMoveWhileJobBegins(t *testing.T) {
	t.Parallel()
	dsn, conn := flowTable(t)
	path, rows := flowFile(t, 2000)
	mover := pgtest.Connect(t, dsn)
	ws := workers(t, conn)
	exec(t, mover, "BEGIN")
	exec(t, mover, fmt.Sprintf("SELECT citus_move_shard_placement(shardid, nodename, nodeport, '%s', o.port, 'block_writes') FROM citus_shards, (VALUES (%s), (%s)) AS o (port) "+
		"WHERE table_name = 'flowing'::regclass AND nodeport <> o.port ORDER BY shardid LIMIT 1", ws[0].name, ws[0].port, ws[1].port))
	e := &ear{word: "trying again", heard: make(chan struct{})}
	cfg := pieces(t, dsn)
	cfg.Log = logTo(e)
	l := open(t, cfg)
	loaded := make(chan error, 1)
	go func() {
		_, err := l.Load(context.Background(), loader.File(path))
		loaded <- err
	}()
	select {
	case <-e.heard:
	case err := <-loaded:
		t.Fatalf("the load did not wait for the move: %v", err)
	case <-time.After(2 * time.Second):
	}
	exec(t, mover, "COMMIT")
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	sameRows(t, conn, "flowing", rows)
}

// damaged puts a bad record behind every batch of records that a flow gives at once.
type damaged struct {
	flow *flow
	bad  int
	rest []byte
}

func (d *damaged) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		buf := make([]byte, 64<<10)
		n, err := d.flow.Read(buf)
		if err != nil {
			return 0, err
		}
		if d.rest = buf[:n]; d.flow.rows > 0 && len(d.flow.next) == 0 {
			d.rest = fmt.Appendf(d.rest, "none,%d,x,1,\n", d.bad%100)
			d.bad++
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// TestRejectsWhileShardsMove holds that the lock on a shard stays when the rows that
// the server refuses are taken back.
func TestRejectsWhileShardsMove(t *testing.T) { // alone: an online move waits for the transactions of other tests, too
	dsn, conn := flowTable(t)
	f := newFlow(0)
	in := &damaged{flow: f}
	cfg := pieces(t, dsn)
	cfg.Route, cfg.MaxErrors, cfg.RejectsDir = loader.RouteShard, loader.ErrorLimit{Records: 1 << 30}, t.TempDir()
	l := open(t, cfg)
	type answer struct {
		res loader.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		res, err := l.Load(context.Background(), loader.Reader("flow", in))
		done <- answer{res, err}
	}()
	await(t, l)
	for _, m := range [][2]string{{"0", "block_writes"}, {"1", "force_logical"}, {"0", "block_writes"}} {
		var i int
		if _, err := fmt.Sscan(m[0], &i); err != nil {
			t.Fatal(err)
		}
		move(t, conn, dsn, shards(t, conn, "flowing")[i], m[1])
	}
	close(f.end)
	got := <-done
	if got.err != nil || got.res.Rejected != int64(in.bad) {
		t.Errorf("%d rejected, want %d; %v", got.res.Rejected, in.bad, got.err)
	}
	sameRows(t, conn, "flowing", f.rows)
}

// TestNodeMap holds that nodes are reached where the node map says.
func TestNodeMap(t *testing.T) {
	t.Parallel()
	dsn, conn := smallTable(t)
	cfg := loader.Config{Conn: parse(t, dsn), Table: "h", NodeMap: map[string]string{}}
	var relays []*relay
	for _, w := range workers(t, conn) {
		r := newRelay(t, w.name+":"+w.port)
		relays = append(relays, r)
		cfg.NodeMap[w.name+":"+w.port] = "127.0.0.1:" + r.port()
	}
	holdsSmall(t, conn, cfg, loader.RouteShard, "")
	for _, r := range relays {
		r.mu.Lock()
		n := len(r.conns)
		r.mu.Unlock()
		if n == 0 {
			t.Error("a node was reached in another way")
		}
	}
}
