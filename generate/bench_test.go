package generate_test

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"testing"

	"github.com/gocarina/gocsv"

	"shardload/generate"
	"shardload/internal/pgtest"
	"shardload/schema"
)

func dataset(t testing.TB, cfg generate.Config) *generate.Dataset {
	t.Helper()
	d, err := generate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func table(t testing.TB, d *generate.Dataset, name string) *generate.Table {
	t.Helper()
	table, err := d.Table(name)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// large is a dataset whose companies, buckets and runs no cache holds.
var large = generate.Config{Companies: 1_000_000, Campaigns: 20_000_000, Ads: 2_000_000_000, Seed: 1, Skew: 0.8}

func benchmarkTable(b *testing.B, name string) {
	table := table(b, dataset(b, large), name)
	b.ReportAllocs()
	var buf []byte
	var bytes, rows, block int64
	for b.Loop() {
		block = (block + 1) % table.Len()
		buf = table.AppendBlock(buf[:0], block)
		bytes += int64(len(buf))
		rows += table.BlockRows(block)
	}
	report(b, rows, bytes)
}

func report(b *testing.B, rows, bytes int64) {
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(bytes)/b.Elapsed().Seconds(), "B/s")
}

func BenchmarkCompanies(b *testing.B) { benchmarkTable(b, "companies") }
func BenchmarkCampaigns(b *testing.B) { benchmarkTable(b, "campaigns") }
func BenchmarkAds(b *testing.B)       { benchmarkTable(b, "ads") }

// BenchmarkStream writes ads to nowhere, in the order of the file, with a goroutine
// for each of -cpu.
func BenchmarkStream(b *testing.B) {
	for _, bench := range []struct {
		name string
		out  generate.Output
	}{
		{"rows", generate.Output{NoChecksums: true}},
		{"checksums", generate.Output{}},
		{"zstd", generate.Output{NoChecksums: true, Compression: generate.Zstd}},
		{"gzip", generate.Output{NoChecksums: true, Compression: generate.Gzip}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			part := table(b, dataset(b, large), "ads").Part(7, 2000)
			b.ReportAllocs()
			var rows, bytes int64
			for b.Loop() {
				f, err := part.Stream(b.Context(), io.Discard, bench.out)
				if err != nil {
					b.Fatal(err)
				}
				rows += f.Rows
				bytes += max(f.Unpacked, f.Bytes)
			}
			report(b, rows, bytes)
		})
	}
}

// BenchmarkBareWriter is what BenchmarkAds is compared with: the same columns from
// constants and a counter.
func BenchmarkBareWriter(b *testing.B) {
	const rowsPerBlock = 4096
	b.ReportAllocs()
	var buf []byte
	var bytes, rows, id int64
	for b.Loop() {
		buf = buf[:0]
		for range rowsPerBlock {
			id++
			buf = appendBareRow(buf, id)
		}
		bytes += int64(len(buf))
		rows += rowsPerBlock
	}
	report(b, rows, bytes)
}

func appendBareRow(dst []byte, id int64) []byte {
	dst = append(strconv.AppendInt(dst, id, 10), ',')
	dst = append(strconv.AppendInt(dst, 12345, 10), ',')
	dst = append(strconv.AppendInt(dst, 678, 10), ',')
	dst = append(dst, "Waterproof Running Shoes"...)
	dst = append(dst, ',')
	dst = append(dst, "https://images.example.com/25b366a3.jpg"...)
	dst = append(dst, ',')
	dst = append(dst, "https://shop.example.com/running-shoes?ad="...)
	dst = append(strconv.AppendInt(dst, id, 10), ',')
	dst = append(strconv.AppendInt(dst, 113496, 10), ',')
	dst = append(strconv.AppendInt(dst, 5209, 10), ',')
	dst = append(dst, "2017-08-16 23:44:47"...)
	dst = append(dst, ',')
	dst = append(dst, "2017-08-31 14:45:55"...)
	return append(dst, '\n')
}

// BenchmarkGocsv writes the same records with gocsv: the alternative in Go.
func BenchmarkGocsv(b *testing.B) {
	records := slices.Collect(firstAds(dataset(b, large), 4096))
	var bytes, rows int64
	for b.Loop() {
		text, err := gocsv.MarshalBytes(records)
		if err != nil {
			b.Fatal(err)
		}
		bytes += int64(len(text))
		rows += int64(len(records))
	}
	report(b, rows, bytes)
}

func firstAds(d *generate.Dataset, n int) iter.Seq[schema.Ad] {
	return func(yield func(schema.Ad) bool) {
		for ad := range d.Ads() {
			if n--; n < 0 || !yield(ad) {
				return
			}
		}
	}
}

// BenchmarkPostgres has PostgreSQL make rows like those of ads, with values as
// cheap as they get, and write them as CSV to nowhere: the alternative in SQL.
func BenchmarkPostgres(b *testing.B) {
	const sql = `COPY (
		SELECT i AS id, 1 + i %% 12345 AS company_id, 1 + i %% 678 AS campaign_id,
			(ARRAY['Waterproof', 'Classic', 'Handmade', 'Soft'])[1 + i %% 4] || ' Running Shoes' AS name,
			'https://images.example.com/' || to_hex(hashint4(i)) || '.jpg' AS image_url,
			'https://shop.example.com/running-shoes?ad=' || i AS target_url,
			i %% 1000000 * 10::bigint AS impressions_count, i %% 10000::bigint AS clicks_count,
			timestamp '2017-08-16' + i %% 10000000 * interval '1 second' AS created_at,
			timestamp '2017-08-31' + i %% 10000000 * interval '1 second' AS updated_at
		FROM generate_series(1, %d) AS i) TO STDOUT WITH (FORMAT csv)`
	const rows = 200_000
	conn := pgtest.Connect(b, pgtest.Plain(b))
	var bytes, copied int64
	for b.Loop() {
		w := &counter{}
		tag, err := conn.PgConn().CopyTo(b.Context(), w, fmt.Sprintf(sql, rows))
		if err != nil {
			b.Fatal(err)
		}
		bytes += w.n
		copied += tag.RowsAffected()
	}
	report(b, copied, bytes)
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
