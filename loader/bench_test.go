package loader

import (
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"shardload/generate"
	"shardload/internal/pgcsv"
	"shardload/internal/pgtest"
	"shardload/schema"
)

// benchAds is how many rows of ads a load stores; SHARDLOAD_BENCH_ADS says
// otherwise.
const benchAds = 500_000

// adsFile returns a file of generated ads, and their number.
func adsFile(b *testing.B) (path string, rows int64) {
	b.Helper()
	rows = benchAds
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
	dir := b.TempDir()
	if _, err := d.Write(b.Context(), dir, generate.Output{}); err != nil {
		b.Fatal(err)
	}
	return filepath.Join(dir, "ads.csv"), rows
}

// BenchmarkLoad loads generated ads by each route, beside one psql \copy and the
// wire limit: the same rows, encoded and cut into batches beforehand, over the
// same streams. Compare what one run prints; the servers are the package's own
// and do not wait for the disk, unless SHARDLOAD_TEST_DSN and
// SHARDLOAD_TEST_CITUS_DSN name others.
func BenchmarkLoad(b *testing.B) {
	path, rows := adsFile(b)
	for _, server := range []struct {
		name   string
		dsn    func(testing.TB) string
		routes []Route
	}{
		{"postgres", pgtest.Plain, []Route{RouteCoordinator}},
		{"citus", pgtest.Citus, []Route{RouteCoordinator, RouteNode, RouteShard}},
	} {
		b.Run("server="+server.name, func(b *testing.B) {
			dsn := server.dsn(b)
			conn := pgtest.Connect(b, dsn)
			ads := schema.Lookup("ads")
			run(b, conn, "SET citus.shard_count = 32")
			run(b, conn, ads.CreateSQL())
			run(b, conn, ads.PrimaryKeySQL())
			if server.name == "citus" {
				run(b, conn, "SELECT create_distributed_table('ads', 'company_id', colocate_with => 'none')")
			}
			measure := func(name string, load func(b *testing.B)) {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						b.StopTimer()
						run(b, conn, "TRUNCATE ads")
						run(b, conn, "CHECKPOINT")
						b.StartTimer()
						load(b)
					}
					b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
				})
			}
			measure("psql", func(b *testing.B) { psqlCopy(b, dsn, path) })
			for _, route := range server.routes {
				measure("route="+string(route), func(b *testing.B) { loadFile(b, dsn, path, route) })
				measure("wire-limit="+string(route), func(b *testing.B) { wireLimit(b, dsn, path, route) })
			}
		})
	}
}

func run(b *testing.B, conn *pgx.Conn, sql string) {
	b.Helper()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

func psqlCopy(b *testing.B, dsn, path string) {
	b.Helper()
	out, err := osexec.Command("psql", dsn, "-qc", `\copy ads from '`+path+`' with (format csv, header)`).CombinedOutput()
	if err != nil {
		b.Fatalf("psql: %v: %s", err, out)
	}
}

func openAds(b *testing.B, dsn string, memory int64, route Route) *Loader {
	b.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), Config{Conn: cfg, Table: "ads", Memory: memory, Route: route})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func loadFile(b *testing.B, dsn, path string, route Route) {
	b.Helper()
	l := openAds(b, dsn, 0, route)
	if _, err := l.Load(b.Context(), File(path)); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// wireLimit times the streams alone.
func wireLimit(b *testing.B, dsn, path string, route Route) {
	b.Helper()
	b.StopTimer()
	ctx := b.Context()
	l := openAds(b, dsn, 4<<30, route)
	ld := &load{log: l.cfg.Log, begin: l.session.begin()}
	var err error
	if ld.src, err = File(path).open(ctx); err != nil {
		b.Fatal(err)
	}
	ld.chunker = pgcsv.NewChunker(ld.src, l.cfg.MaxRecord)
	first, err := l.first(ctx, ld)
	if err != nil {
		b.Fatal(err)
	}
	ld.lanes = newLanes(ld.lay.router.lanes, l.cfg.Memory, l.cfg.Batch, len(l.nodes), 1<<20) // never far enough ahead
	ld.lanes.sorted = len(ld.lay.sortBy) > 0
	if ld.dispatch, err = l.newDispatch(ctx, ld.lay, ld.lanes, route); err != nil {
		b.Fatal(err)
	}
	ld.buffers = make(chan []byte, 1)
	ld.buffers <- nil
	chunks := make(chan *chunk)
	var g errgroup.Group
	g.Go(func() error {
		defer close(chunks)
		return ld.chunk(ctx, first, chunks)
	})
	g.Go(func() error { return ld.decode(ctx, nil, chunks) })
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	ld.lanes.end()
	b.StartTimer()
	if err := l.runStreams(ctx, ld); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

// BenchmarkDecode reads, decodes and encodes without a server: what the client
// costs before anything is sent.
func BenchmarkDecode(b *testing.B) {
	path, rows := adsFile(b)
	dsn := pgtest.Plain(b)
	conn := pgtest.Connect(b, dsn)
	run(b, conn, schema.Lookup("ads").CreateSQL())
	l := openAds(b, dsn, 0, RouteAuto)
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	started := time.Now()
	for b.Loop() {
		decodeAll(b, l, path)
	}
	b.ReportMetric(float64(rows)*float64(b.N)/time.Since(started).Seconds(), "rows/s")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// decodeAll decodes a file on one goroutine.
func decodeAll(b *testing.B, l *Loader, path string) {
	b.Helper()
	ctx := b.Context()
	ld := &load{}
	var err error
	if ld.src, err = File(path).open(ctx); err != nil {
		b.Fatal(err)
	}
	ld.chunker = pgcsv.NewChunker(ld.src, l.cfg.MaxRecord)
	c, err := l.first(ctx, ld)
	if err != nil {
		b.Fatal(err)
	}
	d := newDecoder(ld.lay, nil, path)
	for buf := []byte(nil); ; {
		if err := d.decode(ctx, c); err != nil {
			b.Fatal(err)
		}
		if buf, err = ld.chunker.Next(buf); err != nil {
			break // the end of the input, which was written here
		}
		c = &chunk{data: buf, line: 1, eol: ld.chunker.EOL()}
	}
	if err := ld.src.Close(); err != nil {
		b.Fatal(err)
	}
}
