package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shardload/internal/bench"
)

func newBenchCompareCommand(a *app) *cobra.Command {
	threshold := 5.0
	cmd := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Compare two reports of bench, and fail if the new one is slower",
		Long: `compare compares the arms of two reports of bench, also of bench --scale, by their rows
per second: medians,
their difference, and how likely chance alone makes such a difference (p, of a
Mann-Whitney U test). OLD and NEW are directories that bench --out has written, or
their results.jsonl. An arm is slower, or faster, only if p is below 0.05; that takes
four runs on both sides, better ten. What else was not alike is said: another server,
another setting. Reports that have timed loads in different ways are refused.

The exit status is 1 if an arm is slower by more than --threshold.`,
		Example: `  shardload bench compare before after
  shardload bench compare before after --threshold 10 --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef(cmd, "want two reports, the old and the new one")
			}
			return nil
		},
	}
	cmd.Flags().Float64Var(&threshold, "threshold", threshold, "per cent by which an arm may be slower")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if threshold < 0 {
			return usagef(cmd, "--threshold must not be negative")
		}
		old, err := bench.Read(args[0])
		if err != nil {
			return err
		}
		now, err := bench.Read(args[1])
		if err != nil {
			return err
		}
		list, err := bench.Compare(old, now)
		if err != nil {
			return fmt.Errorf("%w: their rates cannot be compared", err)
		}
		for _, difference := range bench.Unlike(old, now) {
			a.note("mind: they were not measured alike: %s", difference)
		}
		return printComparison(&a.console, list, threshold)
	}
	return cmd
}

// A comparisonJSON is the answer of bench compare for machines.
type comparisonJSON struct {
	Arms []bench.Difference `json:"arms"`
}

// printComparison prints the differences. Its error names the arms that are slower
// by more than threshold per cent.
func printComparison(c *console, list []bench.Difference, threshold float64) error {
	var rows [][]string
	var slower []string
	common := false
	for _, d := range list {
		common = common || d.OldRuns > 0 && d.NewRuns > 0
		if d.Verdict == bench.Slower && d.Change*100 < -threshold {
			slower = append(slower, d.Arm)
		}
		cells := []string{d.Arm, "–", "–", "–", "–", string(d.Verdict)}
		if d.OldRuns > 0 {
			cells[1] = count(int64(d.Old))
		}
		if d.NewRuns > 0 {
			cells[2] = count(int64(d.New))
		}
		if d.OldRuns > 0 && d.NewRuns > 0 {
			cells[3], cells[4] = fmt.Sprintf("%+.1f %%", d.Change*100), fmt.Sprintf("%.3f", d.P)
		}
		rows = append(rows, cells)
	}
	var err error
	if c.json {
		err = c.printJSON(comparisonJSON{list})
	} else {
		err = printTable(c.Stdout, []string{"~arm", "!>old rows/s", ">new rows/s", ">difference", "?>p", "<"}, rows)
	}
	switch {
	case err != nil:
	case !common:
		err = errors.New("no arm is in both reports: there is nothing to compare")
	case len(slower) > 0:
		err = fmt.Errorf("slower than before by more than %g %%: %s", threshold, strings.Join(slower, "; "))
	}
	return err
}
