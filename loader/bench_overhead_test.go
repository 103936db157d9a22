package loader

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
)

// BenchmarkOverhead loads the same ads with progress and without it, in turns. share
// is the median, over the pairs, of how many rows a second are stored with it for each
// one without: what a load that can go on costs. It should be at least 0.95.
//
//	SHARDLOAD_BENCH_ADS=2000000 go test ./loader -run '^$' -bench Overhead/route=shard -benchtime 10x
func BenchmarkOverhead(b *testing.B) {
	ads := adsTable(b)
	path, rows := adsFile(b, ads), ads.Rows()
	for _, server := range []struct {
		route Route
		dsn   func(testing.TB) string
		citus bool
	}{{"", pgtest.Plain, false}, {RouteShard, pgtest.Citus, true}, {RouteNode, pgtest.Citus, true}, {RouteCoordinator, pgtest.Citus, true}} {
		name := "route=" + string(server.route)
		if !server.citus {
			name = "server=postgres"
		}
		b.Run(name, func(b *testing.B) {
			s := newBenchServer(b, server.dsn(b), server.citus, rows)
			var with, without time.Duration
			var shares []float64
			pair := 0
			for b.Loop() {
				var took [2]time.Duration // without progress, with it
				for i := range 2 {
					kept := (i + pair) % 2 // who begins changes
					took[kept] = s.timeLoad(b, path, server.route, kept == 0)
				}
				without += took[0]
				with += took[1]
				shares = append(shares, took[0].Seconds()/took[1].Seconds())
				pair++
			}
			slices.Sort(shares)
			n := float64(rows) * float64(pair)
			b.ReportMetric(n/with.Seconds(), "rows/s")
			b.ReportMetric(n/without.Seconds(), "rows/s-without")
			b.ReportMetric(shares[len(shares)/2], "share")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// timeLoad loads the file into the empty table.
func (s *benchServer) timeLoad(b *testing.B, path string, route Route, noResume bool) time.Duration {
	b.Helper()
	s.run(b, "TRUNCATE ads")
	s.run(b, "CHECKPOINT")
	cfg, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	l, err := Open(b.Context(), Config{Conn: cfg, Table: "ads", Route: route, Job: rand.Text(), NoResume: noResume})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := l.Load(context.Background(), File(path)); err != nil {
		b.Fatal(err)
	}
	closeLoader(b, l)
	took := time.Since(began)
	s.check(b)
	return took
}
