package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/bench"
	"shardload/internal/localpg"
)

// defaultScaleRows is the rows of each worker: few, since the nodes are slow.
const defaultScaleRows = 100_000

// checkScaleFlags checks the flags of a scale-out, and completes them.
func (opt *benchOptions) checkScaleFlags(cmd *cobra.Command, a *app) error {
	given := cmd.Flags().Changed
	if !opt.scale {
		if given("scale-workers") || given("scale-cores") {
			return usagef(cmd, "--scale-workers and --scale-cores are about --scale")
		}
		return nil
	}
	if !given("rows") {
		opt.cfg.Rows = []int64{defaultScaleRows}
	}
	if !given("repeat") {
		opt.cfg.Repeat = 3
	}
	sorted := slices.Sorted(slices.Values(opt.scaleWorkers))
	switch cfg := &opt.cfg; {
	case a.dsn != "" || given("workers"):
		return usagef(cmd, "--scale makes private clusters of its own: without --dsn and --workers")
	case given("streams") || cfg.Cross:
		return usagef(cmd, "--scale has the same number of streams for each worker: without --streams and --cross")
	case len(cfg.Batches) > 1 || len(cfg.Shapes) > 1 || len(cfg.Notations) > 1 || len(cfg.Shards) > 1 || len(cfg.Rows) > 1 || len(cfg.Orders) > 1:
		return usagef(cmd, "--scale compares clusters: with one value of --shape, --batch, --format, --shards, --rows and --order")
	case given("scale-cores") && opt.scaleCores <= 0:
		return usagef(cmd, "--scale-cores must be above 0")
	case len(slices.Compact(sorted)) < len(opt.scaleWorkers):
		return usagef(cmd, "--scale-workers has the same number twice")
	}
	return nil
}

// runScale measures on simulated clusters.
func (v *benchVerb) runScale(ctx context.Context) (err error) {
	if !localpg.HasCitus() {
		return errors.New("a scale-out needs the Citus extension, which is not installed beside this PostgreSQL")
	}
	if err := forgetServers(); err != nil {
		return err
	}
	dir, remove, err := benchDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cfg := bench.ScaleConfig{
		Config: v.opt.cfg, Workers: v.opt.scaleWorkers, Cores: v.opt.scaleCores,
		Connect: func(dsn string) (*pgx.ConnConfig, error) { return parseDSN(dsn, "the private cluster", nil) },
	}
	cfg.Dir = dir
	report, err := bench.Scale(ctx, cfg)
	if len(report.Scale) == 0 && err != nil {
		return err
	}
	report.Environment.Version = readVersion().Version
	report.Environment.Command = commandLine(v.Args)
	return errors.Join(err, v.report(report))
}

// printScale prints a line for each arm and size.
func (v *benchVerb) printScale(report bench.Report) error {
	first := map[string]bench.ScaleResult{}
	var rows [][]string
	for _, s := range report.Scale {
		if _, ok := first[s.Arm]; !ok {
			first[s.Arm] = s
		}
		one := first[s.Arm]
		rows = append(rows, []string{
			fmt.Sprint(s.Workers), s.Arm, count(int64(s.Median)), count(int64(s.Low)), count(int64(s.High)), fmt.Sprint(s.Runs),
			fmt.Sprintf("%.2f", s.Median/one.Median), fmt.Sprintf("%.2f", float64(s.Workers)/float64(one.Workers)),
		})
	}
	if err := v.printf("%s, Citus %s; each node may use %g of a core\n\n", report.Environment.Server, report.Environment.Citus, report.Scale[0].Cores); err != nil {
		return err
	}
	return printTable(v.Stdout, []string{">workers", "~arm", ">rows/s", "?>from", "?>to", "?>runs", ">times", ">ideal"}, rows)
}
