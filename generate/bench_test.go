package generate_test

import (
	"strconv"
	"testing"

	"shardload/generate"
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
