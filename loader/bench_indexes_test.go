package loader

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/schema"
)

// benchIndexes are four secondary indexes of ads: of two integers, a time, a counter that changes
// with each row, and a text.
var benchIndexes = []string{
	"CREATE INDEX ads_campaign ON ads (company_id, campaign_id)", "CREATE INDEX ads_created ON ads (created_at)",
	"CREATE INDEX ads_impressions ON ads (impressions_count)", "CREATE INDEX ads_name ON ads (name)",
}

// BenchmarkDeferIndexes loads ads with four secondary indexes, in turns with the indexes in place
// and with DeferIndexes, on one clock that ends when the last index is built. The ratio is the
// median over the pairs: of the times. Name a server that writes to a disk.
//
//	SHARDLOAD_TEST_DSN=… SHARDLOAD_TEST_CITUS_DSN=… SHARDLOAD_BENCH_ADS=1000000 go test ./loader -run '^$' -bench DeferIndexes -benchtime 5x
func BenchmarkDeferIndexes(b *testing.B) {
	path := adsFile(b, adsTable(b))
	for name, place := range map[string]func(testing.TB) string{"postgres": pgtest.Plain, "citus": pgtest.Citus} {
		b.Run("server="+name, func(b *testing.B) {
			dsn := place(b)
			s := &benchServer{conn: pgtest.Connect(b, dsn)}
			s.run(b, schema.Lookup("ads").CreateSQL())
			s.run(b, schema.Lookup("ads").PrimaryKeySQL())
			if name == "citus" {
				s.run(b, "SELECT create_distributed_table('ads', 'company_id', colocate_with => 'none')")
			}
			for _, sql := range benchIndexes {
				s.run(b, sql)
			}
			s.run(b, "SET client_min_messages = error")
			var inPlace, deferred, ratios, building []float64
			for b.Loop() {
				with, _ := s.timeIndexed(b, dsn, path, false)
				without, built := s.timeIndexed(b, dsn, path, true)
				inPlace, deferred, building = append(inPlace, with.Seconds()), append(deferred, without.Seconds()), append(building, built.Seconds())
				ratios = append(ratios, with.Seconds()/without.Seconds())
			}
			for unit, list := range map[string][]float64{"s-in-place": inPlace, "s-deferred": deferred, "s-building": building, "times": ratios} {
				slices.Sort(list)
				b.ReportMetric(list[len(list)/2], unit)
			}
		})
	}
}

// timeIndexed loads the file into the empty table ads, and returns how long it took, and how much of
// that its indexes did afterwards.
func (s *benchServer) timeIndexed(b *testing.B, dsn, path string, later bool) (whole, building time.Duration) {
	b.Helper()
	s.run(b, "TRUNCATE ads")
	s.run(b, "CHECKPOINT")
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	cfg := Config{Conn: server, Table: "ads", NoResume: true, DeferIndexes: later}
	set, err := OpenSet(b.Context(), &SetTable{Config: cfg, Inputs: []Input{File(path)}})
	if err != nil {
		b.Fatal(err)
	}
	defer set.Close()
	begun := time.Now()
	results, err := set.Load(b.Context(), SetOptions{NoAnalyze: true})
	if err != nil || results[0].Inputs[0].Rows == 0 || results[0].Waiting {
		b.Fatalf("%+v, error %v", results, err)
	}
	return time.Since(begun), results[0].Indexes
}
