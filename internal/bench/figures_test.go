package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a report says first: ratios to psql and to the wire limit of the same rows and route, by
// shape, the fastest first.
func TestFigures(t *testing.T) {
	t.Parallel()
	type figure struct {
		Arm         string
		Psql, Limit float64
		Short       bool
	}
	var got []figure
	for _, f := range madeUp().Figures() {
		one := figure{Arm: f.Arm, Short: f.Short}
		if f.Psql != nil {
			one.Psql = round(f.Psql.Median)
		}
		if f.Limit != nil {
			one.Limit = round(f.Limit.Median)
		}
		got = append(got, one)
		if sum := f.Times.Total(); sum < 0.9*f.Seconds || sum > 1.1*f.Seconds {
			t.Errorf("%s: the parts are %v s, all is %v s", f.Arm, sum, f.Seconds)
		}
	}
	want := []figure{
		{"wire-limit:shard", 3.29, 0, false},
		{"shardload:shard, 4 streams", 2.89, 0.88, false},
		{"shardload:shard", 2.65, 0.8, false},
		{"shardload:shard, 16 MiB", 2.67, 0.8, false},
		{"psql", 1, 0.3, false},
		{"shardload:shard, wide", 3, 0, false},
		{"psql, wide", 1, 0, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func round(v float64) float64 { return float64(int(v*100+0.5)) / 100 }

// Ratios are those of rounds: what slows all arms down in one of them changes none.
func TestRatio(t *testing.T) {
	t.Parallel()
	group := func(rates ...float64) *Group {
		g := &Group{}
		for i, rate := range rates {
			g.Runs = append(g.Runs, Result{Run: i + 1, RowsPerSecond: rate})
		}
		return g
	}
	if got := group(200, 20, 210).over(group(100, 10, 100)); got.Median != 2 || got.Low != 2 || got.High != 2.1 {
		t.Errorf("%+v", got)
	}
	late := group(100)
	late.Runs[0].Run = 9 // in a round of its own
	if got := group(200, 300, 400).over(late); got.Median != 3 {
		t.Errorf("%+v", got)
	}
	if got := group(1).over(nil); got != nil {
		t.Errorf("%+v", got)
	}
}

// Runs that take no longer than runs of one arm differ say so, and are no finding.
func TestShort(t *testing.T) {
	t.Parallel()
	r := &Report{}
	for i, secs := range []float64{0.9, 0.2, 1.6} {
		r.Results = append(r.Results, Result{
			Arm: "shardload:shard", Kind: KindLoader, Point: Point{Shape: "ads", Rows: 1000}, Run: i + 1, Seconds: secs, RowsPerSecond: 1000 / secs,
		})
	}
	if f := r.Figures()[0]; !f.Short || r.Finding() != "Runs of 0.90 s are shorter than the noise: more rows would tell" {
		t.Errorf("%+v: %s", f, r.Finding())
	}
	for i := range r.Results {
		r.Results[i].Seconds = 5 + float64(i)
	}
	if f := r.Figures()[0]; f.Short {
		t.Errorf("%+v", f)
	}
}

// The lines of a report have the fields that other programs read.
func TestReportSchema(t *testing.T) {
	t.Parallel()
	r := madeUp()
	v, n := 0.5, int64(7)
	one := &r.Results[0]
	one.WAL, one.Latency = &n, Latency{3, &v, &v, &v, &v}
	r.Results, r.Scale = r.Results[:1], r.Scale[:1]
	r.Skipped = []Skip{{"pgloader", "pgloader is not on PATH"}}
	r.Environment.Clock, r.Complete = "from start to finish: connect, copy", true
	var b bytes.Buffer
	if err := r.WriteLines(&b); err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "results.jsonl", b.Bytes())
	figures, err := json.MarshalIndent(madeUp().Figures()[1:2], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "figures.json", append(figures, '\n'))
	var tables bytes.Buffer
	if err := madeUp().writeTables(&tables); err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "tables.md", tables.Bytes())
	if strings.Contains(b.String(), "NaN") {
		t.Error("what is no number is in it")
	}
}
