package loader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// flowing is a table without a key, so that a row which is stored twice is seen
// twice. Its replica identity lets Citus move it online.
const flowing = `CREATE TABLE flowing (id int, tenant int, name text, n bigint, at timestamptz); ALTER TABLE flowing REPLICA IDENTITY FULL`

// expected is what a flow of %d rows makes of the table.
const expected = `SELECT i AS id, i %% 100 AS tenant, repeat('x', 200) || i * 7 AS name, i::bigint * 1000003 AS n, timestamptz '2024-01-01 00:00:00Z' + i * interval '1 second' AS at
	FROM generate_series(0, %d - 1) AS i`

// digest counts and sums up the rows of each tenant.
const digest = `SELECT tenant, count(*), count(DISTINCT id), sum(hashtextextended(concat_ws('|', id, name, n, extract(epoch FROM at)), 0)) FROM %s GROUP BY tenant ORDER BY tenant`

// A flow is an input that goes on until it is told to end.
type flow struct {
	rows   int
	most   int // rows after which it pauses; 0 for none
	end    chan struct{}
	paused chan struct{} // closed when most rows were given
	next   []byte
}

func newFlow(most int) *flow {
	return &flow{most: most, end: make(chan struct{}), paused: make(chan struct{}), next: []byte("id,tenant,name,n,at\n")}
}

// wide makes rows that fill chunks of the input soon.
var wide = strings.Repeat("x", 200)

// flowStep is how many rows a flow gives at once before it lets others run.
const flowStep = 20

// more returns the next records.
func (f *flow) more() []byte {
	records := []byte(nil)
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for range flowStep {
		at := start.Add(time.Duration(f.rows) * time.Second)
		records = fmt.Appendf(records, "%d,%d,%s%d,%d,%s\n", f.rows, f.rows%100, wide, f.rows*7, int64(f.rows)*1000003, at.Format("2006-01-02 15:04:05"))
		f.rows++
	}
	return records
}

func (f *flow) Read(p []byte) (int, error) {
	if len(f.next) == 0 {
		if f.most > 0 && f.rows >= f.most {
			close(f.paused)
			<-f.end
			return 0, io.EOF
		}
		select {
		case <-f.end:
			return 0, io.EOF
		case <-time.After(time.Millisecond): // a load of moderate speed
		}
		f.next = f.more()
	}
	n := copy(p, f.next)
	f.next = f.next[n:]
	return n, nil
}

// A running load.
type running struct {
	t      *testing.T
	flow   *flow
	ended  atomic.Bool
	done   chan struct{}
	cancel context.CancelFunc
	// progress returns how many rows are stored.
	progress func() int64
	leave    func() error // closes the Loader, before the test ends
	res      loader.Result
	err      error
}

// start starts a load of f that has stored rows when it returns.
func start(t *testing.T, cfg loader.Config, f *flow) *running {
	t.Helper()
	if cfg.Batch == 0 {
		cfg.Batch = 8 << 10
	}
	if cfg.Memory == 0 {
		cfg.Memory = 8 << 20
		cfg.MaxRecord = 1 << 20
	}
	l := open(t, cfg)
	if cfg.Route != loader.RouteAuto && cfg.Route != "" && l.Plan().Route != cfg.Route {
		t.Fatalf("route %s, want %s", l.Plan().Route, cfg.Route)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, flow: f, done: make(chan struct{}), cancel: cancel, progress: func() int64 { return l.Progress().Rows }, leave: l.Close}
	t.Cleanup(func() { r.stop(); cancel(); <-r.done })
	go func() {
		defer close(r.done)
		r.res, r.err = l.Load(ctx, loader.Reader("flow", f))
	}()
	for deadline := time.Now().Add(time.Minute); l.Progress().Rows == 0; time.Sleep(time.Millisecond) {
		select {
		case <-r.done:
			t.Fatalf("the load ended at once: %v", r.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("no row was stored in a minute")
		}
	}
	return r
}

func (r *running) stop() {
	if !r.ended.Swap(true) {
		close(r.flow.end)
	}
}

// finish ends the input and returns what the load says.
func (r *running) finish() (loader.Result, error) {
	r.t.Helper()
	r.stop()
	select {
	case <-r.done:
	case <-time.After(2 * time.Minute):
		r.cancel()
		<-r.done
		r.t.Fatalf("the load did not end within two minutes of its input: %v", r.err)
	}
	return r.res, r.err
}

// sameRows holds that the table has the rows of the flow, each once.
func sameRows(t *testing.T, conn *pgx.Conn, table string, rows int) {
	t.Helper()
	want := query(t, conn, fmt.Sprintf(digest, "("+fmt.Sprintf(expected, rows)+") AS e"))
	got := query(t, conn, fmt.Sprintf(digest, table))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d rows: tenant|rows|different|sum (-want +got):\n%s", rows, diff)
	}
}

// within runs sql, which must end in time.
func within(t *testing.T, dsn, sql string, limit time.Duration) {
	t.Helper()
	if err := tryWithin(t, dsn, sql, limit); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func tryWithin(t *testing.T, dsn, sql string, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if ctx.Err() != nil {
		err = fmt.Errorf("%w; in the servers: %s", err, pgtest.Sessions(dsn))
	}
	return err
}

// A worker is a node that holds shards.
type worker struct {
	id, name string
	port     string
}

func workers(t *testing.T, conn *pgx.Conn) []worker {
	t.Helper()
	var ws []worker
	for _, row := range query(t, conn, "SELECT nodeid, nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY groupid") {
		c := strings.Split(row, "|")
		ws = append(ws, worker{c[0], c[1], c[2]})
	}
	return ws
}

// at returns the DSN of the same database on a worker.
func (w worker) at(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("dsn: not a URL")
	}
	u.Host = w.name + ":" + w.port
	return u.String()
}

// move moves a shard to the other worker.
func move(t *testing.T, conn *pgx.Conn, dsn, shard, mode string) {
	t.Helper()
	at := query(t, conn, "SELECT nodename || '|' || nodeport FROM citus_shards WHERE shardid = "+shard)[0]
	from := strings.Split(at, "|")
	ws := workers(t, conn)
	to := ws[slices.IndexFunc(ws, func(w worker) bool { return w.port != from[1] })]
	within(t, dsn, fmt.Sprintf("SELECT citus_move_shard_placement(%s, '%s', %s, '%s', %s, '%s')", shard, from[0], from[1], to.name, to.port, mode), 2*time.Minute)
}

func shards(t *testing.T, conn *pgx.Conn, table string) []string {
	t.Helper()
	return query(t, conn, "SELECT shardid FROM pg_dist_shard WHERE logicalrelid = '"+table+"'::regclass ORDER BY shardid")
}

// flowTable makes the table flowing, distributed.
func flowTable(t *testing.T) (dsn string, conn *pgx.Conn) {
	t.Helper()
	dsn = pgtest.Citus(t)
	conn = pgtest.Connect(t, dsn)
	exec(t, conn, flowing)
	distribute(t, conn, "flowing", "tenant")
	return dsn, conn
}

func changed(err error) bool {
	_, ok := errors.AsType[*loader.ChangedError](err)
	return ok
}
