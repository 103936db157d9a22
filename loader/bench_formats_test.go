package loader

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"shardload/generate"
	"shardload/internal/pgtest"
	"shardload/schema"
)

// BenchmarkFormats reads the same ads in another format and as CSV, in turns, up to where rows would
// be sent. The ratios are medians over the pairs: of the rows a second, and of the CPU time.
//
//	SHARDLOAD_BENCH_ADS=1000000 go test ./loader -run '^$' -bench Formats -benchtime 9x
func BenchmarkFormats(b *testing.B) {
	ads := adsTable(b)
	dsn := pgtest.Plain(b)
	s := &benchServer{conn: pgtest.Connect(b, dsn)}
	s.run(b, schema.Lookup("ads").CreateSQL())
	s.run(b, schema.Lookup("ads").PrimaryKeySQL())
	l := openAds(b, dsn, 0, RouteAuto)
	l.cfg.Stage, l.cfg.NoResume = StageDecode, true
	csv := adsAs(b, ads, generate.CSV, FormatCSV)
	for _, format := range []struct {
		read  Format
		write generate.Format
	}{{FormatText, generate.Text}, {FormatJSON, generate.JSON}, {FormatParquet, generate.Parquet}} {
		b.Run("format="+string(format.read), func(b *testing.B) {
			path := adsAs(b, ads, format.write, format.read)
			var walls, cpus []float64
			l.timeAs(b, csv, FormatCSV)
			for b.Loop() {
				csvWall, csvCPU := l.timeAs(b, csv, FormatCSV)
				wall, cpu := l.timeAs(b, path, format.read)
				walls, cpus = append(walls, csvWall.Seconds()/wall.Seconds()), append(cpus, cpu.Seconds()/csvCPU.Seconds())
			}
			for unit, ratios := range map[string][]float64{"rows/s-of-csv": walls, "cpu-of-csv": cpus} {
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], unit)
			}
		})
	}
	closeLoader(b, l)
}

// adsAs writes ads as a file of that format and returns its path.
func adsAs(b *testing.B, ads *generate.Table, write generate.Format, read Format) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "ads."+string(read))
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := ads.Stream(b.Context(), f, generate.Output{Format: write, NoChecksums: true}); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// timeAs loads the file at path in that format.
func (l *Loader) timeAs(b *testing.B, path string, format Format) (wall, cpu time.Duration) {
	b.Helper()
	l.cfg.Format, l.cfg.Delimiter, l.cfg.Null = format, 0, ""
	l.cfg = l.cfg.withDefaults()
	begun, used := time.Now(), clientCPU(b)
	if _, err := l.Load(b.Context(), File(path)); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun), clientCPU(b) - used
}
