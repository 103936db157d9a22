package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/tutorial"
)

const tutorialHelp = `tutorial runs the statements of the Citus multi-tenant tutorial on the dataset's
tables, literally, and shows what each returned and how long it took. On Citus it
also shows how many shards a statement went to: a tenant's needs one.

What the statements change is undone at the end, unless --commit.`

func newTutorialCommand(a *app) *cobra.Command {
	var opt tutorial.Options
	cmd := &cobra.Command{
		Use:   "tutorial",
		Short: "Run the Citus tutorial's queries, update and transaction",
		Long:  tutorialHelp,
		Example: `  shardload tutorial
  shardload tutorial --commit`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withServer(cmd.Context(), func(conn *pgx.Conn) error {
				return a.runTutorial(cmd.Context(), conn, opt)
			})
		},
	}
	cmd.Flags().BoolVar(&opt.Commit, "commit", false, "keep what the update and the deletes change")
	return cmd
}

func (a *app) runTutorial(ctx context.Context, conn *pgx.Conn, opt tutorial.Options) error {
	report, err := tutorial.Run(ctx, conn, opt)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(report)
	} else {
		err = printTutorial(a.Stdout, report)
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

// printTutorial prints each statement with its result.
func printTutorial(w io.Writer, report tutorial.Report) error {
	for i, s := range report.Steps {
		head := []string{fmt.Sprintf("%d. %s", i+1, s.Title), milliseconds(s.Elapsed)}
		if s.Shards != nil {
			head = append(head, shardsText(*s.Shards))
		}
		indented := "   " + strings.ReplaceAll(s.SQL, "\n", "\n   ") + ";"
		if _, err := fmt.Fprintf(w, "%s\n%s\n", strings.Join(head, " · "), indented); err != nil {
			return err
		}
		if err := printResult(w, s); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	end := "The changes were undone; --commit keeps them."
	if report.Committed {
		end = "The changes are committed."
	}
	_, err := fmt.Fprintln(w, end)
	return err
}

// printResult prints the rows of a query, or how many rows a change hit.
func printResult(w io.Writer, s tutorial.Step) error {
	if s.Problem != "" {
		if _, err := fmt.Fprintln(w, "   not as the tutorial has it: "+s.Problem); err != nil {
			return err
		}
	}
	if len(s.Columns) == 0 {
		if s.Affected == 0 {
			return nil
		}
		_, err := fmt.Fprintf(w, "   %s\n", plural(s.Affected, "row"))
		return err
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
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := printTable(w, s.Columns, rows); err != nil {
		return err
	}
	if more := s.Affected - int64(len(s.Rows)); more > 0 {
		_, err := fmt.Fprintf(w, "… and %s\n", plural(more, "more row"))
		return err
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
