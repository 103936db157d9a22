// Package tune finds the streams and the batch size with which a file loads fastest into a
// table: it loads a sample of it, again and again, into an empty copy of the table.
package tune

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"

	"shardload/internal/bench/clock"
	"shardload/internal/bench/meter"
	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader"
)

// Defaults of the Config's fields.
const (
	DefaultSample = 128 << 20
	DefaultRounds = 3
)

// A Config says what to find settings for.
type Config struct {
	// Loader is how the table will be loaded; its streams and batch are what is
	// looked for.
	Loader loader.Config
	// File holds rows of the table. A sample of so many bytes of it is loaded, again
	// and again. Zero means 128 MiB.
	File   string
	Sample int64
	// Rounds is how often each setting is tried. Zero means 3.
	Rounds int
	// MaxStreams bounds the streams of a node that are tried. Zero means four for
	// each CPU, at most 32.
	MaxStreams int
	// Dir is a directory for the sample, which the caller removes.
	Dir string
	// Note is told what happens. Nil discards it.
	Note func(format string, args ...any)
	// Running, if not nil, is told what begins, and returns what is called when it ends.
	Running func(name string) (ended func())
}

// A Trial is one pair of settings, and what came of it. Rates are rows over all of the time, from
// opening a load to its end.
type Trial struct {
	Streams int     `json:"streams_per_node"`
	Batch   int64   `json:"batch_bytes"`
	Median  float64 `json:"rows_per_second"`
	Low     float64 `json:"rows_per_second_low"`
	High    float64 `json:"rows_per_second_high"`
	// Seconds is how long the sample took, and Times its parts: medians.
	Seconds float64 `json:"seconds"`
	clock.Times

	rates []float64
	runs  []clock.Times
}

// Advice is what a tuner has found.
type Advice struct {
	Table    string       `json:"table"`
	Server   string       `json:"server"`
	Route    loader.Route `json:"route"`
	Why      string       `json:"why"`
	Nodes    int          `json:"nodes"`
	Lanes    int          `json:"lanes"`
	Best     Trial        `json:"best"` // the settings to use, and what to expect of them
	ByStream []Trial      `json:"by_streams"`
	ByBatch  []Trial      `json:"by_batch"`
	Sample   int64        `json:"sample_bytes"`
	Rows     int64        `json:"sample_rows"`
	// FileSeconds is how long the whole file would take, 0 where its length is not
	// known, because it is compressed.
	FileSeconds float64  `json:"file_seconds,omitempty"`
	WALPerRow   *float64 `json:"wal_bytes_per_row,omitempty"`
	Warnings    []string `json:"warnings"`
}

// A tuner looks for settings, on a copy of the table.
type tuner struct {
	cfg    Config
	conn   *pgx.Conn
	table  *catalog.Table
	dist   *citus.Distribution // nil without Citus
	copy   string              // quoted, with its schema; "" before it is made
	meter  *meter.Meter
	sample sampleFile
	advice Advice
}

// Tune loads a sample of the file into an empty copy of the table, with one setting
// after the other, and says which are good. The copy is dropped at the end, also
// after ctx has ended; the table itself is only looked at.
func Tune(ctx context.Context, cfg Config) (advice *Advice, err error) {
	cfg = cfg.withDefaults()
	t := &tuner{cfg: cfg}
	if t.conn, err = server.Open(ctx, cfg.Loader.Conn); err != nil {
		return nil, err
	}
	defer server.CloseSoon(t.conn.PgConn())
	t.cfg.Loader.Conn = server.LinkOf(t.conn.PgConn()).Keep(cfg.Loader.Conn)
	if err := t.look(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.dropCopy(ctx)) }()
	if err := t.makeCopy(ctx); err != nil {
		return nil, err
	}
	if err := t.find(ctx); err != nil {
		return nil, err
	}
	return &t.advice, t.warn(ctx)
}

func (c Config) withDefaults() Config {
	if c.Sample == 0 {
		c.Sample = DefaultSample
	}
	if c.Rounds == 0 {
		c.Rounds = DefaultRounds
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = min(4*runtime.NumCPU(), 32)
	}
	if c.Running == nil {
		c.Running = func(string) func() { return func() {} }
	}
	if c.Note == nil {
		c.Note = func(string, ...any) {}
	}
	return c
}

// look reads what the table is, which route it takes, and the sample.
func (t *tuner) look(ctx context.Context) (err error) {
	if t.table, err = catalog.Lookup(ctx, t.conn, t.cfg.Loader.Table); err != nil {
		return err
	}
	if err := t.table.Loadable(); err != nil {
		return err
	}
	version, err := citus.Version(ctx, t.conn)
	if err != nil {
		return err
	}
	if version != "" {
		if t.dist, err = citus.Distribute(ctx, t.conn, t.table.OID); err != nil {
			return err
		}
	}
	if t.meter, err = meter.New(ctx, t.conn, version != ""); err != nil {
		return err
	}
	l, err := loader.Open(ctx, t.cfg.Loader)
	if err != nil {
		return err
	}
	plan := l.Plan()
	if err := l.Close(); err != nil {
		return err
	}
	t.advice = Advice{Table: t.table.String(), Server: plan.Server, Route: plan.Route, Why: plan.Why, Nodes: plan.Nodes, Lanes: plan.Lanes}
	t.sample, err = takeSample(ctx, t.cfg.File, t.cfg.Dir, t.cfg.Loader, t.cfg.Sample)
	t.cfg.Loader.Compression = loader.CompressionNone // the sample is not
	t.advice.Sample = t.sample.bytes
	return err
}

// find tries streams first, and batch sizes with the best of them.
func (t *tuner) find(ctx context.Context) error {
	base := int64(loader.DefaultBatch)
	var trials []*Trial
	for n := 1; n <= t.cfg.MaxStreams; n *= 2 {
		trials = append(trials, &Trial{Streams: n, Batch: base})
	}
	best, err := t.try(ctx, trials)
	if err != nil {
		return err
	}
	t.advice.ByStream = collect(trials)
	trials = nil
	for _, size := range t.batchSizes() {
		trials = append(trials, &Trial{Streams: best.Streams, Batch: size})
	}
	if len(trials) > 1 {
		if best, err = t.try(ctx, trials); err != nil {
			return err
		}
		t.advice.ByBatch = collect(trials)
	}
	t.advice.Best = *best
	if known := t.sample.whole; known > 0 {
		// The rest is the same for any number of rows: statistics are those of a sample.
		t.advice.FileSeconds = best.Seconds + best.Copy*(float64(known)/float64(t.sample.bytes)-1)
	}
	return nil
}

// batchSizes returns the sizes that the sample can tell apart: a lane must have
// more than one batch of them.
func (t *tuner) batchSizes() []int64 {
	sizes := []int64{loader.DefaultBatch}
	for _, size := range []int64{1 << 20, 16 << 20, 64 << 20} {
		if size*int64(t.advice.Lanes) <= t.sample.bytes {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	return sizes
}

// goodEnough is the share of the best throughput with which fewer streams, or the
// smaller batch, are taken: they leave the server more for others.
const goodEnough = 0.95

// try runs all trials in turn, and returns the first that is good enough.
func (t *tuner) try(ctx context.Context, trials []*Trial) (*Trial, error) {
	for range t.cfg.Rounds {
		for _, trial := range trials {
			ended := t.cfg.Running(fmt.Sprintf("%s of a node, batches of %s", term.Plural(trial.Streams, "stream"), term.Bytes(trial.Batch)))
			times, err := t.load(ctx, trial)
			ended()
			if err != nil {
				return nil, err
			}
			rate := float64(t.advice.Rows) / times.Total()
			trial.rates, trial.runs = append(trial.rates, rate), append(trial.runs, times)
			t.cfg.Note("%2d %-7s of a node, batches of %-7s  %s rows/s", trial.Streams, term.Verb(trial.Streams, "stream", "streams"), term.Bytes(trial.Batch), humanize.Comma(int64(rate)))
		}
	}
	top := 0.0
	for _, trial := range trials {
		trial.Median, trial.Low, trial.High = meter.Median(trial.rates), slices.Min(trial.rates), slices.Max(trial.rates)
		trial.Times = clock.Median(trial.runs)
		trial.Seconds = float64(t.advice.Rows) / trial.Median
		top = max(top, trial.Median)
	}
	at := slices.IndexFunc(trials, func(trial *Trial) bool { return trial.Median >= goodEnough*top })
	return trials[at], nil
}

// load loads the sample once, as load does without emptying, and returns how long that took.
func (t *tuner) load(ctx context.Context, trial *Trial) (times clock.Times, err error) {
	if err := server.Run(ctx, t.conn, "TRUNCATE "+t.copy); err != nil {
		return times, fmt.Errorf("empty the copy: %w", err)
	}
	cfg := t.cfg.Loader
	cfg.Table, cfg.Streams, cfg.Batch = t.copy, trial.Streams, int(trial.Batch)
	cfg.NoResume = true // nothing is to be left in the table's schema
	f, err := os.Open(t.sample.path)
	if err != nil {
		return times, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	before := t.meter.WAL(ctx)
	// The sample is the file's beginning: lines are the user's own.
	run, err := clock.Load{Config: cfg, Input: loader.Reader(t.cfg.File, f)}.Run(ctx)
	if err != nil {
		return times, err
	}
	t.advice.Rows = run.Result.Rows
	if wal := meter.Minus(t.meter.WAL(ctx), before); wal != nil {
		v := float64(*wal) / float64(max(t.advice.Rows, 1))
		t.advice.WALPerRow = &v
	}
	return run.Times, nil
}

func collect(trials []*Trial) []Trial {
	list := make([]Trial, len(trials))
	for i, trial := range trials {
		list[i] = *trial
	}
	return list
}
