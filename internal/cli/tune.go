package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"shardload/internal/bench/tune"
	"shardload/internal/input"
	"shardload/internal/owned"
	"shardload/loader"
)

const tuneHelp = `tune finds out how many streams and which batch size suit a table on its server: it
loads a sample of a file, again and again, into an empty copy of the table that is
distributed like it, and drops the copy at the end, also after Ctrl-C. The table
itself is only looked at. A load's time is all of it, with connecting and ANALYZE. Then it prints the load command to use, what to expect of
it, and what in the server's settings would hurt.

It keeps the server busy for a minute or so. The copy has the table's columns,
indexes and checks, but no foreign keys and no triggers.`

// tuneOptions are the flags of tune.
type tuneOptions struct {
	cfg        loader.Config // without server
	sample     int64
	rounds     int
	maxStreams int
}

// A tuneVerb is one run of tune.
type tuneVerb struct {
	*app
	opt tuneOptions
}

func newTuneCommand(a *app) *cobra.Command {
	opt := tuneOptions{
		cfg:    loader.Config{Route: loader.RouteAuto},
		sample: tune.DefaultSample, rounds: tune.DefaultRounds,
	}
	cmd := &cobra.Command{
		Use:   "tune --table TABLE FILE",
		Short: "Find good streams and batch sizes for a table, with a short probe",
		Long:  tuneHelp,
		Example: `  shardload tune --table events events.csv
  shardload tune --table app.events events.csv.gz --sample 32MiB --max-streams 8`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case opt.cfg.Table == "":
				return usagef(cmd, "which table? say so with --table")
			case len(args) != 1 || args[0] == "-":
				return usagef(cmd, "want one file of rows of table %s", opt.cfg.Table)
			}
			return cmp.Or(noURL(cmd, args[0]), checkFiles(cmd, args))
		},
	}
	flags := cmd.Flags()
	flags.Var(tableValue{&opt.cfg.Table}, "table", "the table, as SQL writes it")
	flags.Var(sizeValue{&opt.sample, 1}, "sample", "bytes of the file to load at a time; batch sizes of which a lane would have none are not tried")
	flags.IntVar(&opt.rounds, "rounds", opt.rounds, "how often each setting is tried")
	flags.IntVar(&opt.maxStreams, "max-streams", 0, "most streams of a node to try (default: four for each CPU, at most 32)")
	choiceFlag(cmd, &opt.cfg.Route, "route", "how rows reach their shard", loader.RouteAuto, loader.RouteShard, loader.RouteNode, loader.RouteCoordinator)
	nodeMapFlag(flags, &opt.cfg.NodeMap)
	completes(cmd, "table", a.fromServer(completeTables))
	readingFlags(cmd, &opt.cfg)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if opt.rounds < 1 || opt.maxStreams < 0 || opt.maxStreams > loader.MaxStreams {
			return usagef(cmd, "--rounds must be at least 1, and --max-streams 1 to %d", loader.MaxStreams)
		}
		if err := checkReading(cmd, opt.cfg); err != nil {
			return err
		}
		return (&tuneVerb{a, opt}).run(cmd.Context(), args[0])
	}
	return cmd
}

func (v *tuneVerb) run(ctx context.Context, file string) (err error) {
	opt := v.opt
	server, err := v.server()
	if err != nil {
		return err
	}
	dir, err := owned.MakeScratch(owned.Tune, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.RemoveScratch()) }()
	cfg := opt.cfg
	of := []tableInput{{TableFiles: input.TableFiles{Files: []string{file}}}}
	if err := v.resolveFormats(of, cfg); err != nil {
		return err
	}
	cfg.Conn, cfg.Format = server, of[0].as
	advice, err := tune.Tune(ctx, tune.Config{
		Loader: cfg, File: file, Sample: opt.sample, Rounds: opt.rounds,
		MaxStreams: opt.maxStreams, Dir: dir.Path, Note: v.note,
		Running: func(name string) func() { return v.progress(ctx, name, nil) },
	})
	if err != nil {
		return err
	}
	command := loadCommand(opt, advice, file)
	if v.json {
		return v.printJSON(tuneJSON{command, advice})
	}
	return v.print(advice, command)
}

// A tuneJSON is the answer of tune for machines.
type tuneJSON struct {
	Command string `json:"command"`
	*tune.Advice
}

// loadCommand returns the command line that uses what was found.
func loadCommand(opt tuneOptions, advice *tune.Advice, file string) string {
	words := []string{"load", "--table", opt.cfg.Table, "--streams", fmt.Sprint(advice.Best.Streams), "--batch", sizeText(advice.Best.Batch)}
	add := func(differs bool, flag, value string) {
		if differs {
			words = append(words, flag, value)
		}
	}
	add(opt.cfg.Route != loader.RouteAuto, "--route", string(opt.cfg.Route))
	words = append(words, readingWords(opt.cfg)...)
	for from, to := range opt.cfg.NodeMap {
		add(true, "--node-map", from+"="+to)
	}
	return commandLine(append(words, file))
}

// sizeText writes a number of bytes as flags take it.
func sizeText(n int64) string { return sizeValue{&n, 1}.String() }

// print prints what was tried, and what follows from it.
func (v *tuneVerb) print(advice *tune.Advice, command string) error {
	var rows [][]string
	for i, trials := range [][]tune.Trial{advice.ByStream, advice.ByBatch} {
		if i > 0 && len(trials) > 0 {
			rows = append(rows, nil)
		}
		for _, t := range trials {
			mark := ""
			if t.Streams == advice.Best.Streams && t.Batch == advice.Best.Batch {
				mark = "←"
			}
			rows = append(rows, []string{count(int64(t.Streams)), size(t.Batch), count(int64(t.Median)), count(int64(t.Low)), count(int64(t.High)), secondsOf(t.Connect), secondsOf(t.Copy), secondsOf(t.Statistics), secondsOf(t.Finish), mark})
		}
	}
	if err := v.printf("%s: %s on %s, %s route, as %s\n\n", advice.Table, plural(advice.Rows, "row")+" of "+size(advice.Sample), advice.Server, advice.Route, advice.Why); err != nil {
		return err
	}
	if err := printTable(v.Stdout, []string{">streams of a node", ">batch", ">rows/s", "?>from", "?>to", "?>connect", "?>copy", "?>statistics", "?>finish", "<"}, rows); err != nil {
		return err
	}
	expect := ""
	if advice.FileSeconds > 0 {
		expect = fmt.Sprintf("; about %s for this file, from start to finish", seconds(time.Duration(advice.FileSeconds*float64(time.Second))))
	}
	err := v.printf("\n%s\nexpect %s rows/s of such a sample (%s to %s here)%s\n", command,
		count(int64(advice.Best.Median)), count(int64(advice.Best.Low)), count(int64(advice.Best.High)), expect)
	for _, w := range advice.Warnings {
		err = errors.Join(err, v.printf("mind: %s\n", w))
	}
	return err
}
