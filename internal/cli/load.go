package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"shardload/internal/places"
	"shardload/loader"
)

const loadHelp = `load stores files in tables, through several connections at once. On a Citus
cluster each batch holds rows of one shard, and goes straight to the worker that
holds it where table, rights and network allow; --explain says how, and why.

A directory is searched for TABLE.csv or TABLE.N.csv, .jsonl or .parquet, of the
dataset's tables (companies, campaigns, ads), which are loaded in this order. Any
other table is named with --table, and so are its files: by names, patterns (in quotes:
'in/**/*.csv'), directories, URLs (https, s3) and prefixes (s3://bucket/2026/); - is
standard input. Several are one set: each is loaded once, and the same command, run
again, loads what is new.

Files may be compressed (gzip, zstd, bzip2, xz): their content tells, unless
--compression does. They are CSV, or, with --format text, in COPY's own format: tabs, backslashes,
\N for NULL. With --format json, or names that end in .json, .jsonl or .ndjson, they
are JSON: an object on each line, or an array of them, whose keys name columns. With
--format parquet, or names that end in .parquet or .pq, they are Parquet files, whose
columns go into those of their names.

With --generate the dataset is loaded as it is made, without files. Several machines
share the work with --part 1/10, --part 2/10 and so on. The same flags, run again, go
on with the same load.

The first record may name the columns, in any order; without such a header the
table's own order holds. --explain says what each file's first record is taken for.
CSV may have other quotes, or none (--quote, --escape), and lines before the header
(--skip).

--select says what is loaded of the fields of each record, as SQL has it between SELECT
and FROM: names with AS, constants, expressions; * is all fields that recur under no other
name. Fields are text. --where is a condition of the records that are loaded. Where each
item is a field, a constant or nullif(field, constant), they are read here and cost
nothing; others are evaluated by the server. --explain says which.

The first record that cannot be stored stops the load, and its file and line are
named. What was stored before stays and is counted. With --max-errors such records
are kept aside instead, and all others are stored: TABLE.rejects.jsonl has each of
them with its place and the reason, TABLE.rejects.csv (.txt of text and Parquet,
TABLE.rejects.records.jsonl of JSON) as it was in the input, to be mended and loaded.
The exit status is 3 then. After all rows are stored, a table of which a tenth or more
is new is analyzed.

--on-conflict decides about records whose key a row has already, of the table or of
an earlier record: error (a bad record, as above), skip (the row stays as it is), or
update (the record's values take its place, so that the last record of the input
wins). The key is the primary key unless --conflict-key names another one.

A load that was stopped, however it was, goes on where it stopped when the same
command is run again: every row is stored exactly once. How far it is, is kept
beside the table until it is complete; a file of up to 16 MiB is stored in one
transaction instead. A file that was loaded completely is not loaded again, unless
under another --job. When a server fails the load waits for it, up to --retry-for.

Memory: --memory is what rows on their way may occupy. Beside it the process needs
some 50 MiB, and for each CPU and two more a chunk: 1 MiB, or the longest record.`

// loadOptions are the flags of load.
type loadOptions struct {
	cfg       loader.Config // without server and table
	table     string
	memory    int64
	batch     int64
	maxRecord int64
	replace   bool
	noAnalyze bool
	analyze   bool
	explain   bool
	metrics   string
}

// A loadVerb loads tables, and says what has become of them.
type loadVerb struct{ *app }

func newLoadCommand(a *app) *cobra.Command {
	opt := loadOptions{
		cfg:       loader.Config{Route: loader.RouteAuto, OnConflict: loader.ConflictError},
		memory:    loader.DefaultMemory,
		batch:     loader.DefaultBatch,
		maxRecord: loader.DefaultMaxRecord,
	}
	cmd := &cobra.Command{
		Use:   "load DIR | load --table TABLE FILE… | load --generate",
		Short: "Load files into tables",
		Long:  loadHelp,
		Example: `  shardload load data
  shardload load --table events --streams 4 events.*.csv.gz
  shardload load --table events 's3://bucket/2026/**/*.parquet'
  zcat events.csv.gz | shardload load --table app.events --delimiter tab -
  shardload load --generate --size 10GiB
  shardload load --table events --on-conflict update corrections.csv
  shardload load --table events --select "nr AS id, nullif(day, '-') AS at, 'login' AS what" logins.csv
  shardload load data --explain`,
	}
	opt.addFlags(cmd)
	completes(cmd, "table", a.fromServer(completeTables))
	completes(cmd, "job", a.fromServer(completeJobNames))
	generated := addGeneratedFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := opt.checkFlags(cmd); err != nil {
			return err
		}
		if err := checkSelect(cmd, &opt.cfg, opt.table); err != nil {
			return err
		}
		tables, err := generated.inputsOf(&a.console, cmd, opt.table, args)
		if err != nil {
			return err
		}
		return (&loadVerb{a}).run(cmd.Context(), opt, tables)
	}
	return cmd
}

func (opt *loadOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(tableValue{&opt.table}, "table", "the table that the files belong to, as SQL writes it")
	choiceFlag(cmd, &opt.cfg.Route, "route", "how rows reach their shard", loader.RouteAuto, loader.RouteShard, loader.RouteNode, loader.RouteCoordinator)
	flags.IntVar(&opt.cfg.Streams, "streams", 0, "connections that copy at once, on each node (default: one per CPU, 2 to 8, over all nodes)")
	nodeMapFlag(flags, &opt.cfg.NodeMap)
	flags.Var(sizeValue{&opt.batch, 1}, "batch", "bytes after which a batch is stored")
	flags.Var(sizeValue{&opt.memory, 8 << 20}, "memory", "memory for rows on their way")
	readingFlags(cmd, &opt.cfg)
	selectFlags(flags, &opt.cfg)
	flags.Var(sizeValue{&opt.maxRecord, 1}, "max-record", "longest record that is believed to be one")
	flags.BoolVar(&opt.replace, "replace", false, "empty the tables first (one TRUNCATE); if the same command was stopped after that, go on")
	flags.StringVar(&opt.cfg.Job, "job", "", "the name by which a later run knows this load (default: each file's path)")
	flags.BoolVar(&opt.cfg.NoResume, "no-resume", false, "keep no progress: a load that stops must begin anew")
	flags.BoolVar(&opt.cfg.Rewritten, "rewritten", false, "go on although the table was rewritten (VACUUM FULL, CLUSTER, ALTER TABLE): it has the rows still")
	flags.BoolVar(&opt.cfg.Appended, "appended", false, "of a file that has grown since it was loaded completely, load what was appended")
	flags.DurationVar(&opt.cfg.RetryFor, "retry-for", loader.DefaultRetryFor, "how long a server may fail before the load gives up; 0 for no second attempt")
	flags.Var(limitValue{&opt.cfg.MaxErrors}, "max-errors", "records that may be rejected and kept aside: a number, or a share such as 0.1%")
	choiceFlag(cmd, &opt.cfg.OnConflict, "on-conflict", "what becomes of a record whose key a row has already", loader.ConflictError, loader.ConflictSkip, loader.ConflictUpdate)
	flags.StringSliceVar(&opt.cfg.ConflictKey, "conflict-key", nil, "columns of the key that decides (default: the primary key, or the only unique constraint)")
	flags.StringVar(&opt.cfg.RejectsDir, "rejects", "", "directory of TABLE.rejects.jsonl and TABLE.rejects.csv (default: where an earlier run of the load put them, or the current one)")
	flags.BoolVar(&opt.cfg.NoDetail, "no-detail", false, "leave the server's details out of messages and of TABLE.rejects.jsonl: they hold values, such as those of a key")
	flags.BoolVar(&opt.cfg.DeferIndexes, "defer-indexes", false, "drop the tables' secondary indexes while rows are stored, and build them afterwards; unique ones stay")
	flags.BoolVar(&opt.noAnalyze, "no-analyze", false, "leave the tables' statistics as they are")
	flags.BoolVar(&opt.analyze, "analyze", false, "make the tables' statistics anew, even where few rows were added")
	cmd.MarkFlagsMutuallyExclusive("analyze", "no-analyze")
	flags.BoolVar(&opt.explain, "explain", false, "say what would be done and why, and do nothing")
	metricsFlag(flags, &opt.metrics)
}

// checkFlags checks the flags that depend on each other. A record must fit twice into
// the memory: the default of --max-record follows --memory.
func (opt *loadOptions) checkFlags(cmd *cobra.Command) error {
	half := opt.memory / 2
	if opt.cfg.RetryFor == 0 {
		opt.cfg.RetryFor = -1 // the loader's zero is its default
	}
	if !cmd.Flags().Changed("max-record") {
		opt.maxRecord = min(opt.maxRecord, half)
	}
	if err := checkReading(cmd, opt.cfg); err != nil {
		return err
	}
	switch {
	case opt.cfg.Streams < 0 || opt.cfg.Streams > loader.MaxStreams:
		return usagef(cmd, "--streams is %d: want 1 to %d, or 0 for the default", opt.cfg.Streams, loader.MaxStreams)
	case opt.cfg.OnConflict == loader.ConflictError && cmd.Flags().Changed("conflict-key"):
		return usagef(cmd, "--conflict-key goes with --on-conflict skip or update")
	case opt.batch > 1<<30:
		return usagef(cmd, "--batch is %s: want at most 1 GiB", sizeValue{&opt.batch, 1})
	case opt.maxRecord > 1<<30:
		return usagef(cmd, "--max-record is %s: PostgreSQL takes no more than 1 GiB", sizeValue{&opt.maxRecord, 1})
	case opt.maxRecord > half:
		return usagef(cmd, "--max-record is %s: it must fit twice into --memory, which is %s", sizeValue{&opt.maxRecord, 1}, sizeValue{&opt.memory, 1})
	}
	return nil
}

func (v *loadVerb) run(ctx context.Context, opt loadOptions, inputs []tableInput) (err error) {
	for i := range inputs {
		if inputs[i].mixes = !opt.cfg.NoResume && !opt.cfg.Appended && inputs[i].isSet(); inputs[i].mixes {
			continue
		}
		if err := inputs[i].spread(ctx, placesOf(&v.console)); err != nil {
			return err
		}
	}
	if err := v.resolveFormats(inputs, opt.cfg); err != nil {
		return err
	}
	server, err := v.server()
	if err != nil {
		return err
	}
	defer opt.limitMemory()()
	cfg := opt.cfg
	cfg.Conn = server
	cfg.Log = v.loadLog()
	cfg.Memory, cfg.Batch, cfg.MaxRecord = opt.memory, int(opt.batch), int(opt.maxRecord)
	watch, err := v.serveMetrics(opt.metrics)
	if err != nil {
		return err
	}
	clock := &loadClock{begun: v.begun}
	tables, err := v.open(ctx, cfg, inputs, watch, clock)
	if err != nil {
		return errors.Join(err, watch.close())
	}
	defer func() { err = errors.Join(err, watch.close()) }()
	closing := sync.OnceValue(tables.Close)
	defer func() { err = errors.Join(err, closing()) }()
	if opt.explain {
		return v.printPlans(ctx, tables)
	}
	v.notePlans(tables, opt.replace)
	report, err := v.load(ctx, tables, loader.SetOptions{Replace: opt.replace, NoAnalyze: opt.noAnalyze, Analyze: opt.analyze}, clock)
	report.Merging, report.forgets = cfg.OnConflict != loader.ConflictError, cfg.NoResume
	err = errors.Join(err, closing())
	clock.end(&report)
	if printErr := v.print(report, err); err != nil || printErr != nil {
		return errors.Join(err, printErr)
	}
	return report.rejection()
}

func tableNames(tables []tableInput) []string {
	var names []string
	for _, t := range tables {
		names = append(names, t.Table)
	}
	return names
}

// openedTables are the tables of a load, and what the command knows of each.
type openedTables struct {
	*loader.Set
	inputs map[*loader.SetTable]tableInput
}

// open finds out what would stop the load of any of the tables, before the
// first of them is touched. watch, which may be nil, shows what they do. The caller
// closes them.
func (v *loadVerb) open(ctx context.Context, cfg loader.Config, inputs []tableInput, watch *watcher, clock *loadClock) (openedTables, error) {
	defer v.progress(ctx, "connecting", nil)()
	defer clock.connected()
	cfg.Waits = &v.waits
	opened := openedTables{inputs: map[*loader.SetTable]tableInput{}}
	var tables []*loader.SetTable
	var err error
	asked := cfg
	for _, in := range inputs {
		cfg.Format = in.as
		cfg.Table, cfg.Observe, cfg.Retried = in.Table, watch.observer(in.Table), watch.retried(in.Table)
		t := &loader.SetTable{Config: cfg}
		if t.Inputs, err = v.inputsOf(in, in.formats(asked, placesOf(&v.console))); err != nil {
			return opened, err
		}
		tables = append(tables, t)
		opened.inputs[t] = in
	}
	if opened.Set, err = loader.OpenSet(ctx, tables...); err != nil {
		return opened, err
	}
	for _, t := range opened.Tables() {
		err = errors.Join(err, watch.progress(t.Config.Table, t.Loader()))
	}
	if err != nil {
		return opened, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// notePlans tells how the tables are going to be loaded, and of rows that they
// have already.
func (v *loadVerb) notePlans(tables openedTables, replace bool) {
	for _, t := range tables.Tables() {
		plan := t.Loader().Plan()
		v.note("%s: %s route, %s, %s", t.Config.Table, plan.Route, lanesText(plan), streamsText(plan))
		v.noteIndexes(t, plan.Indexes)
		if plan.HasRows && !replace && plan.OnConflict == "" {
			v.note("note: %s has rows already, and keeps them; --replace empties it first", t.Config.Table)
		}
	}
}

// load loads the tables. The report is true after an error as well.
func (v *loadVerb) load(ctx context.Context, tables openedTables, opt loader.SetOptions, clock *loadClock) (report loadReport, err error) {
	var stored atomic.Int64 // size of the files of the table that are done
	opt.SetObserver = loader.SetObserver{
		Begin: func(t *loader.SetTable) func() {
			in := tables.inputs[t]
			total := int64(0)
			if !in.mixes {
				total = storedSize(in.Files)
			}
			stored.Store(0)
			return v.progress(ctx, in.Table, func() snapshot { return loadProgress(t.Loader().Progress(), stored.Load(), total, in.Rows) })
		},
		Loaded: func(t *loader.SetTable, in loader.Input, _ loader.Result, err error) {
			if complete, ok := errors.AsType[*loader.CompleteError](err); ok {
				v.note("nothing to do: %s", typed(complete.Error(), complete))
			}
			stored.Add(storedSize([]string{in.Name()}))
		},
		Replacing: func(goOn bool, because *loader.JobError) {
			switch {
			case goOn && tables.Shared():
				v.note("the tables were emptied for this job already: going on")
				return
			case goOn:
				v.note("the tables were emptied by an earlier run of this load, and have its rows alone: going on")
				return
			}
			v.note("emptying the tables and beginning anew: %s: %s", because.Job, because.Problem)
		},
		Emptying: func() func() {
			stop, begun := v.progress(ctx, "emptying the tables", nil), time.Now()
			return func() {
				stop()
				clock.empty += time.Since(begun)
			}
		},
		Indexing:  func(t *loader.SetTable) (func(n, of int), func()) { return v.indexing(ctx, t) },
		Emptied:   func() { report.Emptied = true },
		Analyzing: func(t *loader.SetTable) func() { return v.progress(ctx, "statistics of "+t.Config.Table, nil) },
	}
	results, err := tables.Load(ctx, opt)
	for _, r := range results {
		done := tableLoad{Table: r.Table.Config.Table, IndexesWait: r.Waiting}
		for _, result := range r.Inputs {
			done.add(result)
			clock.add(result)
		}
		done.analyzed(r.Analyze)
		done.IndexSeconds = r.Indexes.Seconds()
		clock.indexes += r.Indexes
		clock.statistics += r.Analyze
		report.Tables = append(report.Tables, done)
	}
	report.Complete = err == nil
	return report, err
}

// loadProgress says how far a table is, the earlier files of which have that size
// of the total, and which will have that many rows, if known.
func loadProgress(p loader.Progress, earlier, total, rows int64) snapshot {
	if total == 0 && rows <= 0 && earlier == 0 && p.BytesTotal > 0 {
		total = p.BytesTotal // of the only input, or the first of several
	}
	s := snapshot{Rows: p.Rows + p.Others, Before: p.Before + p.OthersBefore, Done: earlier + p.BytesPassed, Total: total, Ending: p.Ending}
	if total == 0 && rows > 0 { // they are made, and have no bytes yet
		s.Done, s.Total = p.Rows+p.Others, rows
	}
	return s
}

// inputsOf returns the inputs that the files of t are. Several are one set, of which each is loaded
// once; where no progress is kept, or one can be read once only, each is an input of its own.
func (v *loadVerb) inputsOf(t tableInput, formats func(string) loader.Format) (list []loader.Input, err error) {
	if t.mixes {
		in, err := loader.URLs(t.header, t.Files...)
		return []loader.Input{in.WithFormats(formats)}, err
	}
	for _, file := range t.Files {
		list = append(list, v.input(t, file))
	}
	return list, nil
}

// areRegular reports whether all files are such as can be read again.
func areRegular(files []string) bool {
	for _, file := range files {
		info, err := os.Stat(file)
		if file == "-" || err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// input returns what a file of t is: an argument of load, or rows that are made.
func (v *loadVerb) input(t tableInput, file string) loader.Input {
	if t.data != nil {
		return loader.BlockParts(file, t.data).WithJob(t.job)
	}
	if file == "-" {
		return loader.Reader(file, v.Stdin)
	}
	if places.IsURL(file) {
		return loader.URL(file, t.header)
	}
	return loader.File(file)
}

// streamsText says how many streams there are, and of which nodes.
func streamsText(p loader.Plan) string {
	text := plural(int64(p.Streams), "stream")
	if p.Nodes > 1 {
		text += fmt.Sprintf(" on each of %d nodes", p.Nodes)
	}
	return text
}

func lanesText(p loader.Plan) string {
	if p.Shards {
		return plural(int64(p.Lanes), "shard")
	}
	return plural(int64(p.Lanes), "lane")
}
