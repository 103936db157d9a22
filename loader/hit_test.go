package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// hitInput returns records, some of which are bad, and the lines of those.
func hitInput(t *testing.T, records int) (path string, bad []int64) {
	t.Helper()
	var in strings.Builder
	in.WriteString("id,tenant,name,n,at\n")
	for i := range records {
		n := fmt.Sprint(i)
		if i%97 == 13 {
			n = "many"
			bad = append(bad, int64(i+2))
		}
		fmt.Fprintf(&in, "%d,%d,%s,%s,2020-01-01\n", i, i%50, wide, n)
	}
	return writeInput(t, []byte(in.String())), bad
}

// hit cancels statements and ends sessions of a role on random nodes, at random, that many
// times or until ctx ends.
func hit(ctx context.Context, random *rand.Rand, conns []*pgx.Conn, role string, times int) (hits int64) {
	for range times {
		how := []string{"pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend"}[random.IntN(3)]
		tag, _ := conns[random.IntN(len(conns))].Exec(ctx, "SELECT "+how+"(pid) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' ORDER BY random() LIMIT 1", role)
		hits += tag.RowsAffected()
		select {
		case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
		case <-ctx.Done():
			return hits
		}
	}
	return hits
}

// TestHit holds that of a load whose statements are cancelled and whose sessions are ended
// at random nothing is lost, and no record is rejected that is good. SHARDLOAD_TEST_HITS
// is how many loads are tried on each route; 2 without it.
func TestHit(t *testing.T) {
	t.Parallel()
	tries := 2
	if s := os.Getenv("SHARDLOAD_TEST_HITS"); s != "" {
		tries, _ = strconv.Atoi(s)
	} else if testing.Short() {
		tries = 1
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing"}
		conns := []*pgx.Conn{pgtest.Connect(t, dsn)}
		if strings.HasSuffix(t.Name(), "/citus") {
			cfg = ordinary(t, dsn, conn, "hit")
			for _, w := range workers(t, conn) {
				conns = append(conns, pgtest.Connect(t, w.at(t, dsn)))
			}
		}
		path, bad := hitInput(t, 6000)
		for seed := range uint64(tries) {
			for _, route := range append(routes(t), loader.RouteAuto) {
				cfg.Job, cfg.Route, cfg.RejectsDir = fmt.Sprint(route, seed), route, t.TempDir()
				cfg.MaxErrors, cfg.Batch, cfg.RetryFor = loader.ErrorLimit{Percent: 10}, 64<<10, 20*time.Second
				t.Run(cfg.Job, func(t *testing.T) { holdsWhenHit(t, conn, conns, cfg, path, bad, seed) })
			}
		}
	})
}

func holdsWhenHit(t *testing.T, conn *pgx.Conn, conns []*pgx.Conn, cfg loader.Config, path string, bad []int64, seed uint64) {
	exec(t, conn, "DELETE FROM flowing")
	ctx, cancel := context.WithCancel(t.Context())
	over, hits := make(chan struct{}), int64(0)
	go func() {
		defer close(over)
		hits = hit(ctx, rand.New(rand.NewPCG(seed, 1)), conns, cfg.Conn.User, 40)
	}()
	defer func() { cancel(); <-over; t.Logf("%d hits", hits) }()
	err := errors.New("not tried")
	for runs := 0; err != nil && !isComplete(err); runs++ {
		if _, blamed := errors.AsType[*loader.RowError](err); blamed || runs == 20 {
			t.Fatalf("run %d: %v", runs, err)
		}
		var l *loader.Loader
		if l, err = loader.Open(t.Context(), cfg); err == nil {
			_, err = l.Load(t.Context(), loader.File(path))
			_ = l.Close() // it may be closed
		}
		t.Logf("run %d: %v", runs, err)
	}
	want := fmt.Sprintf("%d|%[1]d", 6000-len(bad))
	if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; got != want {
		t.Errorf("rows and different ones: %s, want %s", got, want)
	}
	wanted := map[int64]bool{}
	for _, line := range bad {
		wanted[line] = true
	}
	got := map[int64]bool{}
	for line := range rejectedLines(t, cfg.RejectsDir, 2) {
		got[line] = true
	}
	if diff := gocmp.Diff(wanted, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rejected lines (-want +got):\n%s", diff)
	}
}
