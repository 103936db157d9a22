package loader_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// chaosFor is how long TestChaos makes loads: as long as SHARDLOAD_TEST_CHAOS says, such as
// 10m.
func chaosFor() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SHARDLOAD_TEST_CHAOS")); err == nil {
		return d
	}
	return sized(5*time.Second, time.Minute)
}

// A chaos is a cluster whose nodes are reached through relays, which now and then cut what
// prepares a transaction or commits one that is prepared.
type chaos struct {
	dsn    string
	conn   *pgx.Conn // a superuser's
	nodes  []worker
	shards []string
	cfg    loader.Config // of an ordinary role that owns the table

	cuts                     atomic.Int64 // that are still to come
	prepares, commits, moves atomic.Int64
}

func newChaos(t *testing.T) *chaos {
	t.Helper()
	c := &chaos{dsn: pgtest.Citus(t)}
	c.conn = makeFlowing(t, c.dsn)
	c.nodes, c.shards = workers(t, c.conn), shards(t, c.conn, "flowing")
	c.cfg = ordinary(t, c.dsn, c.conn, "chaotic")
	exec(t, c.conn, "ALTER ROLE chaotic SET client_min_messages = error")
	recoverEvery(t, c.conn, 400)
	for _, w := range c.nodes {
		through(t, c.dsn, c.conn, w).judge.Store(new(c.judge))
	}
	return c
}

// judge says what becomes of what passes through a relay.
func (c *chaos) judge(sent []byte) fate {
	count := &c.commits
	switch {
	case bytes.Contains(sent, []byte("PREPARE TRANSACTION")):
		count = &c.prepares
	case !bytes.Contains(sent, []byte("COMMIT PREPARED")):
		return passes
	}
	if rand.IntN(2) > 0 || c.cuts.Add(-1) < 0 {
		return passes
	}
	count.Add(1)
	return []fate{lost, unanswered, late}[rand.IntN(3)]
}

// shuffle moves shards to and fro until done is closed. Moves may fail: what they do is cut,
// too.
func (c *chaos) shuffle(t *testing.T, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond): // loads begin between moves
		}
		mode := "block_writes" // the one that does not wait for what is prepared
		if rand.IntN(6) == 0 {
			mode = "force_logical"
		}
		err := tryWithin(t, c.dsn, fmt.Sprintf(`SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport, n.nodename, n.nodeport, '%s')
			FROM citus_shards s JOIN pg_dist_node n ON n.groupid <> 0 AND n.nodeport <> s.nodeport WHERE s.shardid = %s`,
			mode, c.shards[rand.IntN(len(c.shards))]), time.Minute)
		if err == nil {
			c.moves.Add(1)
		}
	}
}

// A chaoticLoad is a way to load a file.
type chaoticLoad struct {
	name   string
	rows   int
	change func(*loader.Config)
	stops  bool // its process dies now and then
}

func inPieces(route loader.Route) func(*loader.Config) {
	return func(c *loader.Config) {
		c.Route, c.Batch, c.Memory, c.MaxRecord = route, 64<<10, 8<<20, 1<<20
	}
}

// chaoticLoads are whole files, which are stored in one transaction, and files in pieces,
// which are too long for that.
var chaoticLoads = []chaoticLoad{
	{"whole", 2000, func(*loader.Config) {}, false},
	{"coordinator", 3000, inPieces(loader.RouteCoordinator), true},
	{"whole by the coordinator", 300, func(c *loader.Config) { c.Route = loader.RouteCoordinator }, false},
	{"shard", 3000, inPieces(loader.RouteShard), true},
	{"node", 2000, inPieces(loader.RouteNode), true},
}

// try loads a file beside moves, as often as that takes, and holds that the table has its
// rows as soon as a load says so, and has them still when all that was cut is over.
func (c *chaos) try(t *testing.T, load chaoticLoad, number int) (failures int) {
	exec(t, c.conn, "TRUNCATE flowing")
	path, rows := flowFile(t, load.rows)
	cfg := c.cfg
	cfg.Job, cfg.RetryFor = fmt.Sprint(load.name, number), time.Minute
	load.change(&cfg)
	over, moved := make(chan struct{}), make(chan struct{})
	end := sync.OnceFunc(func() { c.cuts.Store(0); close(over); <-moved })
	defer end()
	go func() { defer close(moved); c.shuffle(t, over) }()
	c.cuts.Store(1 + rand.Int64N(5))
	for c.runs(t, cfg, path, rows, load.stops) {
		if failures++; failures == 20 {
			t.Fatalf("%s does not come to its end", cfg.Job)
		}
	}
	end()
	cleanUp(t, c.conn)
	exec(t, c.conn, "DELETE FROM shardload_jobs WHERE name <> '"+cfg.Job+"'")
	complete(t, c.conn, cfg, loader.File(path), rows)
	return failures
}

// runs loads a file once, and reports whether it must be done again.
func (c *chaos) runs(t *testing.T, cfg loader.Config, path string, rows int, stops bool) bool {
	t.Helper()
	batches := int64(0)
	if stops {
		batches = rand.Int64N(30)
	}
	_, err := run(t, cfg, loader.File(path), batches)
	if err != nil && !isComplete(err) {
		t.Logf("%s: %v", cfg.Job, err)
		return true
	}
	if has := query(t, c.conn, "SELECT count(*) FROM flowing")[0]; has != fmt.Sprint(rows) {
		t.Errorf("%s: the table has %s rows when the load says %d, %v", cfg.Job, has, rows, err)
	}
	return false
}

// TestChaos holds that loads whose PREPAREs and COMMITs are cut anywhere, beside shards that
// move, as an ordinary role that is sent no warnings, lose and double nothing. With
// SHARDLOAD_TEST_CHAOS=10m it goes on for that long.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	loads, failures := 0, 0
	for end := time.Now().Add(chaosFor()); !t.Failed() && (time.Now().Before(end) || c.tame() && loads < 30); loads++ {
		failures += c.try(t, chaoticLoads[loads%len(chaoticLoads)], loads)
	}
	t.Logf("%d loads were run %d times beside %d moves; %d PREPAREs and %d COMMITs were cut",
		loads, loads+failures, c.moves.Load(), c.prepares.Load(), c.commits.Load())
	if c.tame() {
		t.Error("nothing was cut, or nothing has moved")
	}
}

// tame reports whether not all of it has happened yet.
func (c *chaos) tame() bool {
	return c.prepares.Load() == 0 || c.commits.Load() == 0 || c.moves.Load() == 0
}
