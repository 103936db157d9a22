package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/bench"
	"shardload/internal/localpg"
	"shardload/internal/owned"
	"shardload/loader"
)

const benchHelp = `bench measures how fast rows get into a table: by shardload over its routes, streams,
batch sizes and formats, beside what bounds it (reading and encoding alone, sending alone) and
what people use instead: psql's \copy, once and on a file split beforehand, parallel
batches through the coordinator, COPY from a file on the server, and, where they are
on PATH, timescaledb-parallel-copy and pgloader. --rival adds any other command.

All arms load the same rows, and take turns, in another order each time, on the same
clock: from the start of its program to its end, with connecting, copying and ANALYZE,
which --no-analyze leaves out for all, and with emptying the table if --replace asks for it.
Before each run the table is emptied and the servers write a checkpoint; after it the rows
are counted. What is said first is how many times as fast as psql's \copy an arm was, and
which share of sending alone it reached. The first value of each list is the base; the
others are tried one at a time beside it, or all combined with --cross. Ctrl-C stops, and
reports what there is until then.

--shape says what is loaded: the dataset's ads, a table of 105 columns (wide), jsonb
documents (json), ads with four secondary indexes (indexed), or uuid keys in random
order (uuid).

It runs on a private cluster as demo does, or on --dsn, in a schema of its own that it
drops at the end. DATABASE_URL and PG* variables do not count.

--scale measures something else: private clusters of 1, 2, 4 and 8 workers, each node
of which may use the same small share of a core, by control groups. So the nodes set
the pace, as they do in real life, and not this machine. --rows are those of each
worker, and the time of all arms is that of the copying alone.

The directory --out gets report.html (one file, with its charts), the charts as SVG
and PNG, tables.md, results.jsonl, results.csv, batches.csv, and results.bench.txt for
benchstat.`

// benchOptions are the flags of bench.
type benchOptions struct {
	cfg     bench.Config
	rivals  []string
	out     string
	workers int // -1: two if there is Citus
	yes     bool

	metrics string

	scale        bool
	scaleWorkers []int
	scaleCores   float64
}

// A benchVerb is one run of bench.
type benchVerb struct {
	*app
	opt benchOptions
}

func newBenchCommand(a *app) *cobra.Command {
	opt := benchOptions{workers: -1, cfg: bench.Config{
		Grid: bench.Grid{
			Shapes: []string{bench.DefaultShape}, Shards: []int{bench.DefaultShards}, Notations: []bench.Notation{bench.Binary}, Orders: []bench.Order{bench.Mixed},
		},
		Rounds: bench.Rounds{Repeat: bench.DefaultRepeat, Warmup: 1, Slow: bench.DefaultSlow, Limit: bench.DefaultLimit},
		Seed:   1,
	}}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast rows get into a table, beside the limits and what others do",
		Long:  benchHelp,
		Example: `  shardload bench
  shardload bench --arms shardload,psql --streams 2,4,8 --batch 4MiB,16MiB --cross
  shardload bench --shape wide,json,uuid --arms shardload,wire-limit,psql
  shardload bench --dsn postgres://me@db.example.com/scratch --rows 5_000_000 --out before
  shardload bench --rival 'mine=myloader --workers {workers} --into {table} {dsn} {file}'
  shardload bench --scale --out scale
  shardload bench compare before after`,
		Args: cobra.ArbitraryArgs,
	}
	addBenchFlags(cmd, &opt)
	cmd.AddCommand(newBenchCompareCommand(a))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return chooseSubcommand(cmd, args)
		}
		if err := opt.checkFlags(cmd, a); err != nil {
			return err
		}
		return (&benchVerb{a, opt}).run(cmd)
	}
	return cmd
}

func addBenchFlags(cmd *cobra.Command, opt *benchOptions) {
	flags := cmd.Flags()
	choicesFlag(cmd, &opt.cfg.Shapes, "shape", "what is loaded", bench.Shapes()...)
	choicesFlag(cmd, &opt.cfg.Routes, "routes", "routes to measure (default: all that can be taken)", loader.RouteShard, loader.RouteNode, loader.RouteCoordinator)
	countsFlag(cmd, &opt.cfg.AllStreams, "streams", "connections over all nodes, the same number on each (default: one per CPU, twice and four times that)")
	sizesFlag(cmd, &opt.cfg.Batches, "batch", "sizes of batches (default: 4MiB, 1MiB, 16MiB)")
	choicesFlag(cmd, &opt.cfg.Notations, "format", "how the loader sends rows: in binary wherever it can, or as the CSV that they are", bench.Binary, bench.CSV)
	countsFlag(cmd, &opt.cfg.Shards, "shards", "shards of the table, on a Citus cluster")
	countsFlag(cmd, &opt.cfg.Rows, "rows", "rows to load (default: 1,000,000; 300,000 of wide and json)")
	choicesFlag(cmd, &opt.cfg.Orders, "order", "how the rows follow each other", bench.Mixed, bench.Sorted)
	flags.BoolVar(&opt.cfg.Replace, "replace", false, "all arms empty the table first, on the clock")
	flags.BoolVar(&opt.cfg.NoAnalyze, "no-analyze", false, "no arm refreshes the table's statistics")
	flags.BoolVar(&opt.cfg.Cross, "cross", false, "combine all values of the lists, not one at a time")
	flags.StringSliceVar(&opt.cfg.Arms, "arms", nil, "only these arms: shardload, wire-limit, null-sink, psql, psql-split, copy-batches, server-file, or a rival's name (default: all)")
	completes(cmd, "arms", completesList(bench.ArmNames()))
	flags.StringArrayVar(&opt.rivals, "rival", nil, "another loader, as name=command with {dsn} {url} {file} {table} {schema} {name} {columns} {workers}")
	flags.IntVar(&opt.cfg.Repeat, "repeat", opt.cfg.Repeat, "measured runs of each arm")
	flags.IntVar(&opt.cfg.Warmup, "warmup", opt.cfg.Warmup, "runs before them which do not count")
	flags.DurationVar(&opt.cfg.Slow, "slow", opt.cfg.Slow, "an arm that takes longer, and far longer than others, is run once")
	flags.DurationVar(&opt.cfg.Limit, "limit", opt.cfg.Limit, "an arm that takes longer is given up")
	flags.Uint64Var(&opt.cfg.Seed, "seed", opt.cfg.Seed, "seed of the rows")
	nodeMapFlag(flags, &opt.cfg.NodeMap)
	flags.StringVar(&opt.out, "out", "", "directory for the report (default: shardload-bench/TIME)")
	flags.IntVar(&opt.workers, "workers", opt.workers, "Citus workers of the private cluster; 0 for plain PostgreSQL (default: 2, or 0 without Citus)")
	flags.Lookup("workers").DefValue = "0" // pflag adds no default of its own then
	metricsFlag(flags, &opt.metrics)
	flags.BoolVar(&opt.scale, "scale", false, "simulate clusters of more and more workers on this machine instead")
	flags.BoolVar(&opt.yes, "yes", false, "make and drop a schema on --dsn without asking")
	countsFlag(cmd, &opt.scaleWorkers, "scale-workers", "with --scale, the clusters' workers (default: 1, 2, 4, 8)")
	flags.Float64Var(&opt.scaleCores, "scale-cores", 0, "with --scale, the cores of each node (default: 0.2, or less so that all need half of this machine)")
}

// checkFlags checks the flags, and completes what follows from them, before a server is
// started.
func (opt *benchOptions) checkFlags(cmd *cobra.Command, a *app) error {
	given := cmd.Flags().Changed
	switch {
	case a.dsn != "" && given("workers"):
		return usagef(cmd, "--workers is about a private cluster; --dsn names another")
	case given("workers") && opt.workers < 0:
		return usagef(cmd, "--workers must be at least 0")
	case opt.cfg.Repeat < 1 || opt.cfg.Warmup < 0:
		return usagef(cmd, "--repeat must be at least 1 and --warmup at least 0")
	case opt.cfg.Slow <= 0 || opt.cfg.Limit <= 0:
		return usagef(cmd, "--slow and --limit must be above 0")
	}
	if err := opt.checkScaleFlags(cmd, a); err != nil {
		return err
	}
	for _, r := range opt.rivals {
		name, command, ok := strings.Cut(r, "=")
		if !ok || name == "" || command == "" {
			return usagef(cmd, "--rival %q: want name=command", r)
		}
		opt.cfg.Rivals = append(opt.cfg.Rivals, bench.Rival{Name: name, Command: command})
	}
	if err := opt.cfg.Validate(); err != nil {
		return usageFor(cmd, err)
	}
	if opt.out == "" {
		opt.out = filepath.Join("shardload-bench", time.Now().Format("20060102-150405"))
	}
	switch name := bench.InTheWay(opt.out); name {
	case "":
	case bench.LinesFile:
		return usagef(cmd, "--out %s holds a report already; name another directory", opt.out)
	default:
		return usagef(cmd, "--out %s holds %s, which a report would replace; name another directory", opt.out, name)
	}
	return checkOut(opt.out)
}

// checkOut finds out before the measuring whether a directory can be made, or files
// in it. It leaves nothing there.
func checkOut(dir string) error {
	at := filepath.Clean(dir)
	for at != filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		at = filepath.Dir(at)
	}
	probe, err := os.MkdirTemp(at, ".shardload-")
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return fmt.Errorf("--out %s: no report can be written there: %w", dir, err)
	}
	return os.Remove(probe)
}

// run finds a server, measures there, and cleans up whatever happens.
func (v *benchVerb) run(cmd *cobra.Command) (err error) {
	opt := &v.opt
	watch, err := v.serveMetrics(opt.metrics)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watch.close()) }()
	opt.cfg.LimitMemory = func(rows int64) (end func()) {
		return limitMemory(memoryLimit(rows, loader.DefaultMaxRecord, runtime.GOMAXPROCS(0)))
	}
	opt.cfg.Watch = (&benchBar{console: &v.console, ctx: cmd.Context(), metrics: watch}).watch()
	if opt.scale {
		return v.runScale(cmd.Context())
	}
	ctx := cmd.Context()
	server, dsn, stop, err := v.startServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if v.dsn != "" && !opt.yes {
		if err := v.mayMeasure(cmd, server); err != nil {
			return err
		}
	}
	dir, remove, err := benchDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cfg := opt.cfg
	cfg.Conn, cfg.DSN, cfg.Dir, cfg.Starting = server, dsn, dir, starting(ctx)
	report, err := v.measure(ctx, cfg)
	if len(report.Results) == 0 && err != nil {
		return err
	}
	return errors.Join(err, v.report(report))
}

// benchDir makes a directory for input files, which a server can enter that reads
// files itself. The caller removes it.
func benchDir() (dir string, remove func() error, err error) {
	d, err := owned.MakeScratch(owned.Bench, 0o755)
	if err != nil {
		return "", nil, err
	}
	return d.Path, d.RemoveScratch, nil
}

// measure measures. The report holds what there is, also after an error.
func (v *benchVerb) measure(ctx context.Context, cfg bench.Config) (report bench.Report, err error) {
	b, err := bench.Open(ctx, cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, b.Close(ctx)) }()
	arms := b.Arms()
	v.note("%s, %s each: %s", plural(int64(len(arms)), "arm"), plural(int64(cfg.Warmup+cfg.Repeat), "run"), armNames(arms))
	report, err = b.Run(ctx)
	report.Environment.Version = readVersion().Version
	report.Environment.Command = commandLine(v.Args)
	return report, err
}

func armNames(arms []bench.Arm) string {
	var names []string
	for _, arm := range arms {
		if !slices.Contains(names, arm.Name) {
			names = append(names, arm.Name)
		}
	}
	return strings.Join(names, ", ")
}

// commandLine returns the arguments as somebody else would type them: what stands
// behind --dsn may hold a password.
func commandLine(args []string) string {
	words := []string{"shardload"}
	for i, arg := range args {
		switch {
		case i > 0 && args[i-1] == "--dsn":
			arg = "…"
		case strings.HasPrefix(arg, "--dsn="):
			arg = "--dsn=…"
		case strings.ContainsAny(arg, " \t\"'$\\*?{}()<>|&;"):
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// startServer returns the server to measure on, and how to clean up.
func (v *benchVerb) startServer(ctx context.Context) (server *pgx.ConnConfig, dsn string, stop func() error, err error) {
	if v.dsn != "" {
		server, err = parseDSN(v.dsn, "--dsn", v.warn)
		return server, v.dsn, func() error { return nil }, err
	}
	if err := forgetServers(); err != nil {
		return nil, "", nil, err
	}
	workers := v.opt.workers
	if workers < 0 {
		workers = 0
		if localpg.HasCitus() {
			workers = 2
		}
	}
	c, err := localpg.Start(ctx, localpg.Config{Workers: workers})
	if err != nil {
		return nil, "", nil, err
	}
	v.note("started %s", clusterText(c))
	if server, err = parseDSN(c.DSN(), "the private cluster", nil); err != nil {
		return nil, "", nil, errors.Join(err, c.Stop())
	}
	return server, c.DSN(), c.Stop, nil
}

// mayMeasure asks whether the benchmark may run on the user's server.
func (v *benchVerb) mayMeasure(cmd *cobra.Command, server *pgx.ConnConfig) error {
	at := fmt.Sprintf("%s on %s", server.Database, server.Host)
	if !v.canAsk() {
		return usagef(cmd, "the benchmark makes a schema of its own in database %s, keeps that server busy for minutes, and drops the schema: allow it with --yes", at)
	}
	if !v.confirm(cmd.Context(), fmt.Sprintf("make a schema of its own in database %s, keep that server busy for minutes, and drop the schema?", at)) {
		return errors.New("nothing was changed")
	}
	return nil
}
