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

// BenchmarkFormats reads the same ads as CSV and as text, in turn, and throws the rows away. It
// reports the median of text's rows/s over CSV's of the pairs, and of the CPU time.
func BenchmarkFormats(b *testing.B) {
	ads := adsTable(b)
	dsn := pgtest.Plain(b)
	s := &benchServer{conn: pgtest.Connect(b, dsn)}
	s.run(b, schema.Lookup("ads").CreateSQL())
	s.run(b, schema.Lookup("ads").PrimaryKeySQL())
	l := openAds(b, dsn, 0, RouteAuto)
	l.cfg.Stage, l.cfg.NoResume = StageDecode, true
	formats := []Format{FormatCSV, FormatText}
	paths := map[Format]string{}
	for i, format := range []generate.Format{generate.CSV, generate.Text} {
		path := filepath.Join(b.TempDir(), "ads."+string(formats[i]))
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ads.Stream(b.Context(), f, generate.Output{Format: format, NoChecksums: true}); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		paths[formats[i]] = path
	}
	run := func(format Format) (wall, cpu time.Duration) {
		l.cfg.Format, l.cfg.Delimiter, l.cfg.Null = format, 0, ""
		l.cfg = l.cfg.withDefaults()
		begun, used := time.Now(), clientCPU(b)
		if _, err := l.Load(b.Context(), File(paths[format])); err != nil {
			b.Fatal(err)
		}
		return time.Since(begun), clientCPU(b) - used
	}
	var walls, cpus []float64
	run(FormatCSV)
	for b.Loop() {
		csvWall, csvCPU := run(FormatCSV)
		textWall, textCPU := run(FormatText)
		walls, cpus = append(walls, csvWall.Seconds()/textWall.Seconds()), append(cpus, textCPU.Seconds()/csvCPU.Seconds())
	}
	for unit, ratios := range map[string][]float64{"text/csv-rows/s": walls, "text/csv-cpu": cpus} {
		slices.Sort(ratios)
		b.ReportMetric(ratios[len(ratios)/2], unit)
	}
	closeLoader(b, l)
}
