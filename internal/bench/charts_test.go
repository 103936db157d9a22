package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/bench/chart"
	"shardload/internal/bench/clock"
)

// madeUp returns a report with something for every chart.
func madeUp() *Report {
	r := &Report{Environment: Environment{Servers: Servers{Server: "PostgreSQL 15"}}}
	base := Point{Shape: "ads", Notation: Binary, Route: "shard", AllStreams: 2, Batch: 4 << 20, Shards: 32, Rows: 1_000_000, Order: Mixed}
	add := func(arm string, kind Kind, p Point, rates ...float64) {
		for i, v := range rates {
			client, server := 0.75, 2.5
			if kind == KindRival {
				client, server = 0.15, 4.25
			}
			secs := 1e6 / v
			times := clock.Times{Connect: 0.1, Copy: secs - 0.4, Statistics: 0.2, Finish: 0.1}
			r.Results = append(r.Results, Result{Arm: arm, Kind: kind, Point: p, Run: i + 1, RowsPerSecond: v, Seconds: secs, Times: times, ClientCPU: &client, ServerCPU: &server})
		}
	}
	add("shardload:shard", KindLoader, base, 400e3, 410e3, 380e3)
	four, large := base, base
	four.AllStreams, large.Batch = 4, 16<<20
	add("shardload:shard", KindLoader, four, 420e3, 450e3, 430e3)
	add("shardload:shard", KindLoader, large, 400e3, 390e3, 405e3)
	add("wire-limit:shard", KindLimit, base, 500e3, 505e3, 490e3)
	add("psql", KindRival, Point{Shape: "ads", AllStreams: 1, Shards: 32, Rows: 1_000_000, Order: Mixed}, 150e3, 155e3, 149e3)
	wide := base
	wide.Shape, wide.Rows = "wide", 300_000
	add("shardload:shard", KindLoader, wide, 150e3, 160e3, 140e3)
	add("psql", KindRival, Point{Shape: "wide", AllStreams: 1, Shards: 32, Rows: 300_000, Order: Mixed}, 50e3, 51e3, 49e3)
	for i := range 100 {
		r.Batches = append(r.Batches, Batch{
			Arm: "shardload:shard", Shape: "ads", Notation: Binary, AllStreams: 2, Size: 4 << 20, Shards: 32, Table: 1_000_000, Order: Mixed,
			Run: 1, Started: float64(i) * 0.01, Seconds: 0.02 + float64(i%7)/100,
		})
	}
	for i, workers := range []int{1, 2, 4} {
		r.Scale = append(r.Scale,
			ScaleResult{Arm: "shardload:shard", Workers: workers, Cores: 0.2, Rows: 1000, Runs: 2, Median: []float64{53e3, 84e3, 132e3}[i], Low: 50e3, High: 140e3},
			ScaleResult{Arm: "psql", Workers: workers, Cores: 0.2, Rows: 1000, Runs: 2, Median: 33e3, Low: 30e3, High: 38e3})
	}
	return r
}

// The picture of the arms is as it was looked at: readable at 400 pixels, the fastest arm first,
// what is found above it.
func TestChartGolden(t *testing.T) {
	t.Parallel()
	charts := madeUp().charts()
	doc, err := charts[0].SVG(chart.Light)
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "arms.svg", doc)
}

// Every chart is drawn, from zero, with all of its names, in a form that others
// can read.
func TestCharts(t *testing.T) {
	want := map[string][]string{
		"arms":    {`shardload is 2.65 times as fast as psql \copy, at`, "0.80 of the wire limit", "shardload:shard", "shardload:shard, 4 streams", "shardload:shard, 16 MiB", "wire-limit:shard", "psql", "400", "150"},
		"shapes":  {"ads", "wide", "ads, wire limit", "2.65", "shardload is 2.65 to 3.00 times as fast as psql"},
		"streams": {"The best number of streams is 4: 1.07 times as fast", "2", "4", "shardload:shard"},
		"batch":   {"The size of batches makes no difference that the", "4 MiB", "16 MiB"},
		"cpu":     {`psql \copy costs all machines together 1.35 times`, "client", "servers", "psql", "3.25", "4.40"},
		"latency": {"A batch is stored in 50 ms at the median, 99 % of", "99 % are faster"},
		"scale":   {"From 1 to 4 simulated workers: shardload:shard 2.5", "ideal", "psql", "workers"},
	}
	found := map[string][]string{}
	for _, c := range madeUp().charts() {
		for _, theme := range []chart.Theme{chart.Light, chart.Dark} {
			doc, err := c.SVG(theme)
			if err != nil {
				t.Fatal(err)
			}
			words := svgTexts(t, doc)
			found[c.Name] = []string{}
			for _, w := range append(want[c.Name], "0") {
				if !words[w] {
					t.Errorf("chart %s, %s, does not say %q: %v", c.Name, theme.Name, w, words)
				} else if w != "0" {
					found[c.Name] = append(found[c.Name], w)
				}
			}
		}
		if testing.Short() && c.Name != "arms" {
			continue // to draw takes long under the race detector
		}
		var picture bytes.Buffer
		if err := c.PNG(chart.Light, &picture); err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(&picture); err != nil {
			t.Errorf("chart %s: %v", c.Name, err)
		}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("charts (-want +got):\n%s", diff)
	}
}

// svgTexts returns the texts of an SVG document, which must be XML.
func svgTexts(t *testing.T, doc []byte) map[string]bool {
	t.Helper()
	texts := map[string]bool{}
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts[strings.TrimSpace(string(text))] = true
		}
	}
}
