package loader

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/generate"
	"shardload/internal/pgcsv"
	"shardload/internal/pgtest"
	"shardload/schema"
)

// benchAds is how many rows of ads a load stores; SHARDLOAD_BENCH_ADS says
// otherwise.
const benchAds = 500_000

// adsTable returns generated ads.
func adsTable(b *testing.B) *generate.Table {
	b.Helper()
	rows := int64(benchAds)
	if s := os.Getenv("SHARDLOAD_BENCH_ADS"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		rows = n
	}
	d, err := generate.New(generate.Config{Companies: rows/1000 + 1, Campaigns: rows/50 + 1, Ads: rows, Seed: 1, Skew: 0.8})
	if err != nil {
		b.Fatal(err)
	}
	ads, err := d.Table("ads")
	if err != nil {
		b.Fatal(err)
	}
	return ads
}

// adsFile returns a file of the rows of ads.
func adsFile(b *testing.B, ads *generate.Table) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "ads.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := ads.Stream(b.Context(), f, generate.Output{NoChecksums: true}); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// sortedFile returns a file of the same records in the order of their companies.
func sortedFile(b *testing.B, path string) string {
	b.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	type line struct {
		company int
		text    []byte
	}
	var lines []line
	var s pgcsv.Scanner
	s.Reset(data, pgcsv.LF, 1)
	s.Next()
	sorted := append(bytes.Clone(s.Record()), '\n')
	for s.Next() {
		fields := bytes.SplitN(s.Record(), []byte{','}, 3)
		company, err := strconv.Atoi(string(fields[1]))
		if err != nil {
			b.Fatal(err)
		}
		lines = append(lines, line{company, s.Record()})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.company, b.company) })
	for _, l := range lines {
		sorted = append(append(sorted, l.text...), '\n')
	}
	name := filepath.Join(b.TempDir(), "ads-by-company.csv")
	if err := os.WriteFile(name, sorted, 0o600); err != nil {
		b.Fatal(err)
	}
	return name
}

// BenchmarkLoad loads generated ads by each route, from a file that mixes the
// companies, as they are made, and from a file sorted by the companies, beside other
// ways to load the same file and beside the wire limit: the same rows, encoded and cut into batches
// beforehand, over the same streams. cpu-s/Mrow is what the client's processes
// cost. Compare what one run prints; the servers are the package's own and do not
// wait for the disk, unless SHARDLOAD_TEST_DSN and SHARDLOAD_TEST_CITUS_DSN name
// others.
func BenchmarkLoad(b *testing.B) {
	ads := adsTable(b)
	mixed := adsFile(b, ads)
	for _, server := range []struct {
		name   string
		dsn    func(testing.TB) string
		routes []Route
	}{
		{"postgres", pgtest.Plain, []Route{RouteCoordinator}},
		{"citus", pgtest.Citus, []Route{RouteCoordinator, RouteNode, RouteShard}},
	} {
		b.Run("server="+server.name, func(b *testing.B) {
			s := newBenchServer(b, server.dsn(b), server.name == "citus", ads.Rows())
			b.Run("order=mixed", func(b *testing.B) { s.arms(b, mixed, ads, server.routes) })
			b.Run("order=company", func(b *testing.B) { s.arms(b, sortedFile(b, mixed), nil, server.routes) })
		})
	}
}

// A benchServer is a server with an empty table ads.
type benchServer struct {
	dsn    string
	conn   *pgx.Conn
	schema string // of the table
	rows   int64  // that each arm loads
	batch  int    // of timescaledb-parallel-copy
}

func newBenchServer(b *testing.B, dsn string, distributed bool, rows int64) *benchServer {
	b.Helper()
	s := &benchServer{dsn: dsn, conn: pgtest.Connect(b, dsn), rows: rows, batch: parallelBatch}
	if err := s.conn.QueryRow(b.Context(), "SELECT current_schema()").Scan(&s.schema); err != nil {
		b.Fatal(err)
	}
	ads := schema.Lookup("ads")
	s.run(b, ads.CreateSQL())
	s.run(b, ads.PrimaryKeySQL())
	if distributed {
		s.batch = parallelBatchCitus
		s.run(b, "SELECT create_distributed_table('ads', 'company_id', colocate_with => 'none', shard_count => 32)")
	}
	return s
}

func (s *benchServer) run(b *testing.B, sql string) {
	b.Helper()
	if _, err := s.conn.Exec(context.Background(), sql); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

// arms measures all ways to load the file, and to load its rows as they are made,
// unless ads is nil.
func (s *benchServer) arms(b *testing.B, path string, ads *generate.Table, routes []Route) {
	s.measure(b, "psql", ready(func(b *testing.B) { psqlCopy(b, s.dsn, path) }))
	s.measure(b, "obvious", ready(func(b *testing.B) { obviousCopy(b, s.dsn, path) }))
	s.measure(b, "timescaledb-parallel-copy", ready(func(b *testing.B) { parallelCopy(b, s.dsn, s.schema, path, s.batch) }))
	for _, route := range routes {
		s.measure(b, "route="+string(route), ready(func(b *testing.B) { loadInput(b, s.dsn, File(path), route) }))
		if ads != nil {
			s.measure(b, "generated="+string(route), ready(func(b *testing.B) { loadInput(b, s.dsn, Blocks("ads", ads), route) }))
		}
		s.measure(b, "wire-limit="+string(route), func(b *testing.B) func(*testing.B) { return wireLimit(b, s.dsn, path, route) })
	}
}

// ready is the preparation of a load that needs none.
func ready(load func(*testing.B)) func(*testing.B) func(*testing.B) {
	return func(*testing.B) func(*testing.B) { return load }
}

// measure times the load that prepare returns, after which all rows must be there.
func (s *benchServer) measure(b *testing.B, name string, prepare func(*testing.B) (load func(*testing.B))) {
	b.Run(name, func(b *testing.B) {
		cpu := time.Duration(0)
		for b.Loop() {
			b.StopTimer()
			s.run(b, "TRUNCATE ads")
			s.run(b, "CHECKPOINT")
			load := prepare(b)
			b.StartTimer()
			before := clientCPU(b)
			load(b)
			cpu += clientCPU(b) - before
			b.StopTimer()
			s.check(b)
			b.StartTimer()
		}
		stored := float64(s.rows) * float64(b.N)
		b.ReportMetric(stored/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(cpu.Seconds()/stored*1e6, "cpu-s/Mrow")
		b.ReportMetric(0, "ns/op")
	})
}

// check holds that all rows are there.
func (s *benchServer) check(b *testing.B) {
	b.Helper()
	var n int64
	if err := s.conn.QueryRow(context.Background(), "SELECT count(*) FROM ads").Scan(&n); err != nil || n != s.rows {
		b.Fatalf("%d rows stored, %v; want %d", n, err, s.rows)
	}
}

// clientCPU returns the time that this process, and those of its children that
// have ended, spent on a CPU. The servers have not ended.
func clientCPU(b *testing.B) (total time.Duration) {
	b.Helper()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			b.Fatal(err)
		}
		total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return total
}
