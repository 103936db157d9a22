package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/tutorial"
)

const tutorialHelp = `tutorial runs the queries, the update and the transaction of the Citus multi-tenant
tutorial on the dataset's tables, literally, and shows what each returned and how long
it took. On Citus it also shows how many shards a statement went to: a tenant's needs
one. What the statements change is undone at the end, unless --commit.

With --whole it runs all of the tutorial's statements in their order, from the first
CREATE TABLE on. The tables must not be there yet, and stay; the files of its \copy
commands, which generate --tutorial writes, lie in the current directory. Without the
Citus extension the tables stay local.`

// A tutorialVerb is one run of tutorial.
type tutorialVerb struct{ *app }

func newTutorialCommand(a *app) *cobra.Command {
	var opt tutorial.Options
	cmd := &cobra.Command{
		Use:   "tutorial",
		Short: "Run the Citus tutorial's queries, update and transaction",
		Long:  tutorialHelp,
		Example: `  shardload tutorial
  shardload tutorial --commit
  shardload generate --tutorial && shardload tutorial --whole`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withServer(cmd.Context(), func(conn *pgx.Conn) error {
				return (&tutorialVerb{a}).run(cmd.Context(), conn, opt)
			})
		},
	}
	cmd.Flags().BoolVar(&opt.Whole, "whole", false, "run all of the tutorial: make, distribute and load the tables, too")
	cmd.Flags().BoolVar(&opt.Commit, "commit", false, "keep what the update and the deletes change")
	return cmd
}

func (v *tutorialVerb) run(ctx context.Context, conn *pgx.Conn, opt tutorial.Options) error {
	report, err := tutorial.Run(ctx, conn, opt)
	if err != nil {
		return err
	}
	if v.json {
		err = v.printJSON(report)
	} else {
		err = v.print(report)
	}
	if err != nil {
		return err
	}
	return tutorialProblem(report)
}

// tutorialProblem returns an error that names the statements which did not do
// what the tutorial says they do.
func tutorialProblem(report tutorial.Report) error {
	var problems []string
	for _, s := range report.Steps {
		if s.Problem != "" {
			problems = append(problems, s.Title+": "+s.Problem)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("not as the tutorial has it: %s", strings.Join(problems, "; "))
}

// print prints each statement with its result.
func (v *tutorialVerb) print(report tutorial.Report) error {
	for i, s := range report.Steps {
		head := []string{fmt.Sprintf("%d. %s", i+1, s.Title), milliseconds(s.Elapsed)}
		if s.Shards != nil {
			head = append(head, shardsText(*s.Shards))
		}
		if err := v.printf("%s\n", strings.Join(head, " · ")); err != nil {
			return err
		}
		for line := range strings.SplitSeq(s.SQL+";", "\n") {
			if err := v.printf("   %s\n", line); err != nil {
				return err
			}
		}
		if err := v.printResult(s); err != nil {
			return err
		}
		if err := v.printf("\n"); err != nil {
			return err
		}
	}
	end := "The changes were undone; --commit keeps them."
	if report.Committed {
		end = "The changes are committed."
	}
	return v.printf("%s\n", end)
}

// printResult prints the rows of a query, or how many rows a change hit.
func (v *tutorialVerb) printResult(s tutorial.Step) error {
	if s.Problem != "" {
		if err := v.printf("   not as the tutorial has it: %s\n", s.Problem); err != nil {
			return err
		}
	}
	if s.Note != "" {
		if err := v.printf("   (%s)\n", s.Note); err != nil {
			return err
		}
	}
	if len(s.Columns) == 0 {
		if s.Affected == 0 {
			return nil
		}
		return v.printf("   %s\n", plural(s.Affected, "row"))
	}
	rows := make([][]string, len(s.Rows))
	for i, row := range s.Rows {
		for _, value := range row {
			if value == nil {
				rows[i] = append(rows[i], "NULL")
				continue
			}
			rows[i] = append(rows[i], *value)
		}
	}
	if err := v.printf("\n"); err != nil {
		return err
	}
	var head []string
	for _, name := range s.Columns {
		head = append(head, `\`+name) // as it is
	}
	if err := printTable(v.Stdout, head, rows); err != nil {
		return err
	}
	if more := s.Affected - int64(len(s.Rows)); more > 0 {
		return v.printf("… and %s\n", plural(more, "more row"))
	}
	return nil
}

// shardsText says where Citus sent a statement.
func shardsText(s tutorial.Shards) string {
	if s.Tasks == 1 {
		return "one shard, on " + s.Node
	}
	return plural(int64(s.Tasks), "shard")
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
