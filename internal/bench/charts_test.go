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
)

// madeUp returns a report with something for every chart.
func madeUp() *Report {
	r := &Report{Environment: Environment{Servers: Servers{Server: "PostgreSQL 15"}}}
	base := Point{Route: "shard", AllStreams: 2, Batch: 4 << 20, Shards: 32, Rows: 1000, Order: Mixed}
	add := func(arm string, kind Kind, p Point, rates ...float64) {
		for i, v := range rates {
			client, server := 0.00075, 0.0025
			r.Results = append(r.Results, Result{Arm: arm, Kind: kind, Point: p, Run: i + 1, RowsPerSecond: v, ClientCPU: &client, ServerCPU: &server})
		}
	}
	add("shardload:shard", KindLoader, base, 400e3, 410e3, 380e3)
	four, large := base, base
	four.AllStreams, large.Batch = 4, 16<<20
	add("shardload:shard", KindLoader, four, 420e3, 450e3, 430e3)
	add("shardload:shard", KindLoader, large, 400e3, 390e3, 405e3)
	add("wire-limit:shard", KindLimit, base, 500e3, 505e3, 490e3)
	add("psql", KindRival, Point{AllStreams: 1, Shards: 32, Rows: 1000, Order: Mixed}, 150e3, 155e3, 149e3)
	for i := range 100 {
		r.Batches = append(r.Batches, Batch{
			Arm: "shardload:shard", AllStreams: 2, Size: 4 << 20, Shards: 32, Table: 1000, Order: Mixed,
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

// Every chart is drawn, from zero, with all of its names, in a form that others
// can read.
func TestCharts(t *testing.T) {
	want := map[string][]string{
		"arms":    {"Throughput", "shardload:shard", "shardload:shard, 4 streams", "shardload:shard, 16 MiB", "wire-limit:shard", "psql", "400", "150"},
		"streams": {"Throughput by streams", "2", "4", "shardload:shard"},
		"batch":   {"Throughput by batch size", "4 MiB", "16 MiB"},
		"cpu":     {"CPU time", "client", "servers", "psql", "3.25"},
		"latency": {"Batch latency, shardload:shard", "99 % are faster"},
		"scale":   {"Simulated scale-out", "ideal", "psql", "workers"},
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
