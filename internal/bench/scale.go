package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/bench/left"
	"shardload/internal/bench/shape"
	"shardload/internal/localpg"
	"shardload/internal/term"
)

// A ScaleResult is the throughput of an arm on a cluster of that many workers, each
// node of which may use the same share of a core.
type ScaleResult struct {
	Arm     string  `json:"arm"`
	Workers int     `json:"workers"`
	Cores   float64 `json:"cores_of_a_node"`
	Rows    int64   `json:"rows"`
	Runs    int     `json:"runs"`
	Median  float64 `json:"rows_per_second"`
	Low     float64 `json:"rows_per_second_low"`
	High    float64 `json:"rows_per_second_high"`
	// Rates are those of the runs, the lowest first. There are none in reports of before they
	// were kept.
	Rates []float64 `json:"rates_of_runs,omitempty"`
}

// A ScaleConfig says how to simulate a growing cluster on this machine.
type ScaleConfig struct {
	// Config says what to measure. Its server is ignored, and its rows are those of
	// each worker.
	Config
	// Workers are the sizes of the clusters. Empty means 1, 2, 4 and 8.
	Workers []int
	// Cores is the share of a core that each node may use. Zero means 0.2, or less
	// where the largest cluster would need more than half of this machine.
	Cores float64
	// Connect understands a connection string.
	Connect func(dsn string) (*pgx.ConnConfig, error)
}

// streamsPerWorker is the number of streams of each worker.
const streamsPerWorker = 2

// withDefaults returns c with its zero fields filled in.
func (c ScaleConfig) withDefaults() ScaleConfig {
	c.Config = c.Config.withDefaults()
	if c.Rows[0] == 0 {
		c.Rows = []int64{shape.Lookup(c.Shapes[0]).Rows}
	}
	if len(c.Workers) == 0 {
		c.Workers = []int{1, 2, 4, 8}
	}
	// A job starts in the same time whatever it loads, and limited nodes take long
	// for it: with few rows it would hide what grows.
	c.steady = true
	if c.Cores == 0 {
		half := float64(runtime.NumCPU()) / 2
		c.Cores = min(0.2, math.Floor(100*half/float64(slices.Max(c.Workers)+1))/100)
	}
	if len(c.Arms) == 0 {
		c.Arms = []string{"shardload:shard", "shardload:coordinator", "psql"}
	}
	return c
}

// Scale measures on clusters of more and more workers, whose nodes may use the same
// small share of a core each, so that they set the pace and not this machine. It
// needs control groups that this process may make. When ctx ends it returns what it
// has so far, with the error.
func Scale(ctx context.Context, cfg ScaleConfig) (Report, error) {
	cfg = cfg.withDefaults()
	var report Report
	for _, workers := range cfg.Workers {
		one, err := scaleTo(ctx, cfg, workers)
		report.Environment = one.Environment
		report.Skipped = append(report.Skipped, one.Skipped...)
		for _, g := range one.Groups() {
			rates := g.Rates()
			report.Scale = append(report.Scale, ScaleResult{
				Arm: g.Arm().Arm, Workers: workers, Cores: cfg.Cores, Rows: g.Arm().Rows, Runs: len(rates),
				Median: g.Median(), Low: rates[0], High: rates[len(rates)-1], Rates: rates,
			})
		}
		if err != nil {
			return report, err
		}
	}
	report.Environment.Simulated = fmt.Sprintf("clusters of %v workers on this machine, each node limited to %g of a core, %d streams and %d rows of each worker;"+
		" the client is not limited; control groups of version %d",
		cfg.Workers, cfg.Cores, streamsPerWorker, cfg.Rows[0], version(left.CGroups))
	report.Complete = true
	return report, nil
}

// scaleTo measures on a cluster of that many workers.
func scaleTo(ctx context.Context, cfg ScaleConfig, workers int) (report Report, err error) {
	limits := make([]*cpuLimit, workers+1)
	defer func() { // last of all, when the servers have ended
		for _, limit := range limits {
			if limit != nil {
				err = errors.Join(err, limit.remove())
			}
		}
	}()
	for i := range limits {
		if limits[i], err = newCPULimit(left.CGroups, fmt.Sprintf("%s%s-%d", left.GroupPrefix, left.Self(), i), cfg.Cores); err != nil {
			return report, fmt.Errorf("a simulated scale-out needs control groups for the CPU that this user may make (root may, on most machines): %w", err)
		}
	}
	cfg.Note("starting a coordinator and %s", term.Plural(workers, "worker"))
	cluster, err := localpg.Start(ctx, localpg.Config{Workers: workers})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	one, err := cfg.on(cluster, workers)
	if err != nil {
		return report, err
	}
	b, err := Open(ctx, one)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, b.Close(ctx)) }()
	if err := limitNodes(cluster.Nodes(), limits); err != nil { // now that the tables are made, which takes longer
		return report, err
	}
	return b.Run(ctx)
}

// on returns what to measure on a cluster of that many workers.
func (c ScaleConfig) on(cluster *localpg.Cluster, workers int) (one Config, err error) {
	one = c.Config
	one.DSN = cluster.DSN()
	if one.Conn, err = c.Connect(one.DSN); err != nil {
		return one, err
	}
	one.AllStreams, one.Batches = []int{streamsPerWorker * workers}, one.Batches[:1]
	one.Rows = []int64{c.Rows[0] * int64(workers)}
	one.Dir = filepath.Join(c.Dir, fmt.Sprint(workers))
	return one, os.Mkdir(one.Dir, 0o755)
}

// limitNodes puts each node into its group.
func limitNodes(nodes []localpg.Node, limits []*cpuLimit) error {
	for i, node := range nodes {
		if err := limits[i].add(node.PID); err != nil {
			return fmt.Errorf("limit %s: %w", node.Name, err)
		}
	}
	return nil
}
