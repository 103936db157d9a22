package bench

import (
	"math"
	"slices"
	"time"

	"shardload/internal/bench/clock"
	"shardload/internal/bench/meter"
	"shardload/loader"
)

// A Result is one measured run of an arm. Pointers are nil where nothing is known.
type Result struct {
	Arm  string `json:"arm" csv:"arm"`
	Kind Kind   `json:"kind" csv:"kind"`
	Point
	Run      int       `json:"run" csv:"run"` // from 1
	Started  time.Time `json:"started" csv:"started"`
	Settings string    `json:"settings" csv:"settings"`

	// Seconds is the time by which rates are reckoned, and Times its parts.
	Seconds float64 `json:"seconds" csv:"seconds"`
	clock.Times
	RowsPerSecond float64 `json:"rows_per_second" csv:"rows_per_second"`
	Bytes         int64   `json:"bytes" csv:"bytes"` // of CSV
	BytesPerSec   float64 `json:"bytes_per_second" csv:"bytes_per_second"`

	// CPU seconds: of this process and the programs that it started, and of all
	// server processes where they run on this machine.
	ClientCPU *float64 `json:"client_cpu_seconds,omitempty" csv:"client_cpu_seconds"`
	ServerCPU *float64 `json:"server_cpu_seconds,omitempty" csv:"server_cpu_seconds"`
	WAL       *int64   `json:"wal_bytes,omitempty" csv:"wal_bytes"` // by all nodes

	Latency
}

// A Latency says how long the batches of a run took, from BEGIN to the answer to COMMIT, in
// seconds: exact quantiles.
type Latency struct {
	Batches int      `json:"batches,omitempty" csv:"batches"` // how many there were
	P50     *float64 `json:"batch_p50_seconds,omitempty" csv:"batch_p50_seconds"`
	P90     *float64 `json:"batch_p90_seconds,omitempty" csv:"batch_p90_seconds"`
	P99     *float64 `json:"batch_p99_seconds,omitempty" csv:"batch_p99_seconds"`
	Max     *float64 `json:"batch_max_seconds,omitempty" csv:"batch_max_seconds"`
}

// A Batch is one stored batch of a run.
type Batch struct {
	Arm        string   `json:"arm" csv:"arm"`
	Shape      string   `json:"shape" csv:"shape"`
	AllStreams int      `json:"streams" csv:"streams"`
	Size       int64    `json:"batch_bytes" csv:"batch_bytes"` // the arm's setting
	Notation   Notation `json:"format" csv:"format"`
	Shards     int      `json:"shards" csv:"shards"`
	Table      int64    `json:"table_rows" csv:"table_rows"`
	Order      Order    `json:"order" csv:"order"`
	Run        int      `json:"run" csv:"run"`
	Node       string   `json:"node" csv:"node"`
	Rows       int64    `json:"rows" csv:"rows"`
	Bytes      int64    `json:"bytes" csv:"bytes"` // as they were sent
	Started    float64  `json:"started_seconds" csv:"started_seconds"`
	Seconds    float64  `json:"seconds" csv:"seconds"`
}

// A Report is all that came of a benchmark.
type Report struct {
	Environment Environment
	Results     []Result
	Batches     []Batch
	Skipped     []Skip
	Scale       []ScaleResult
	Complete    bool // it was not interrupted
}

// result makes a Result of what a run came to.
func (a *Arm) result(run int, started time.Time, bytes int64, out outcome, used meter.Usage, secs float64) Result {
	r := Result{
		Arm: a.Name, Kind: a.Kind, Point: a.Point, Run: run, Started: started.UTC(), Settings: a.Settings,
		Seconds: secs, Times: out.Times, RowsPerSecond: float64(a.Rows) / secs, Bytes: bytes, BytesPerSec: float64(bytes) / secs,
		ServerCPU: used.ServerCPU, WAL: used.WAL, ClientCPU: used.ClientCPU, Latency: latencyOf(out.batches),
	}
	if out.partial {
		r.ClientCPU = nil
	}
	return r
}

// batches makes Batches of those of a run that began at started.
func (a *Arm) batches(run int, started time.Time, list []loader.StoredBatch) []Batch {
	var batches []Batch
	for _, b := range list {
		batches = append(batches, Batch{
			Arm: a.Name, Shape: a.Shape, AllStreams: a.AllStreams, Size: a.Batch, Notation: a.Notation, Shards: a.Shards, Table: a.Rows, Order: a.Order,
			Run: run, Node: b.Node, Rows: b.Rows, Bytes: b.Bytes,
			Started: b.Started.Sub(started).Seconds(), Seconds: b.Elapsed.Seconds(),
		})
	}
	return batches
}

// latencyOf returns the quantiles of the batches of a run.
func latencyOf(batches []loader.StoredBatch) Latency {
	if len(batches) == 0 {
		return Latency{}
	}
	list := make([]float64, len(batches))
	for i, b := range batches {
		list[i] = b.Elapsed.Seconds()
	}
	slices.Sort(list)
	return Latency{len(list), quantile(list, 0.5), quantile(list, 0.9), quantile(list, 0.99), quantile(list, 1)}
}

// quantile returns the smallest value of a sorted list that is not below the share
// q of it.
func quantile(sorted []float64, q float64) *float64 {
	at := int(math.Ceil(q*float64(len(sorted))-1e-9)) - 1 // a product like 0.07*100 is a hair above 7
	v := sorted[min(max(at, 0), len(sorted)-1)]
	return &v
}

// label names the arm of r with the settings in which it differs from base.
func (r *Result) label(base *Point) string { return labelOf(r.Arm, r.Kind, r.Point, base) }

func (a *Arm) label(base *Point) string { return labelOf(a.Name, a.Kind, a.Point, base) }

// labelOf names an arm. Connections, batches and notation of what is no arm of the loader follow
// from what it is.
func labelOf(name string, kind Kind, p Point, base *Point) string {
	if base != nil && kind != KindLoader {
		p.AllStreams, p.Batch, p.Notation = base.AllStreams, base.Batch, base.Notation
	}
	if text := p.settings(base); text != "" {
		return name + ", " + text
	}
	return name
}
