package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/provision"
	"shardload/internal/server"
)

const schemaHelp = `schema makes, distributes, shows and drops the dataset's tables: companies,
campaigns and ads, as the Citus multi-tenant tutorial states them. They are found
through the search path and made in its first schema. create and distribute may be
repeated; a table of that name with another shape is refused. print FILE writes a table
for files of your own.`

// A schemaVerb is one of the verbs about the dataset's tables.
type schemaVerb struct{ *app }

func newSchemaCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Create, distribute, show and drop the dataset's tables",
		Long:  schemaHelp,
		Example: `  shardload schema create && shardload schema distribute
  shardload schema status
  shardload schema print | psql
  shardload schema print events.csv`,
		Args: cobra.ArbitraryArgs,
		RunE: chooseSubcommand,
	}
	v := &schemaVerb{a}
	cmd.AddCommand(
		newSchemaCreateCommand(v),
		newSchemaDistributeCommand(v),
		newSchemaStatusCommand(v),
		newSchemaDropCommand(v),
		newSchemaPrintCommand(a),
	)
	return cmd
}

func newSchemaCreateCommand(v *schemaVerb) *cobra.Command {
	return &cobra.Command{
		Use:     "create",
		Short:   "Create the tables that do not exist, with their primary keys",
		Example: "  shardload schema create --dsn postgres://me@db.example.com/app",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return v.act(cmd.Context(), func(ctx context.Context, conn *pgx.Conn) ([]provision.Action, error) {
				return provision.Create(ctx, conn, v.waiting())
			})
		},
	}
}

func newSchemaDistributeCommand(v *schemaVerb) *cobra.Command {
	var require bool
	cmd := &cobra.Command{
		Use:   "distribute",
		Short: "Distribute the tables by company over the Citus cluster",
		Long: `distribute makes the tables distributed tables in one colocation group: companies by
id, campaigns and ads by company_id. On a server without Citus they stay local.`,
		Example: "  shardload schema distribute --require-citus",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return v.act(cmd.Context(), func(ctx context.Context, conn *pgx.Conn) ([]provision.Action, error) {
				return provision.Distribute(ctx, conn, require)
			})
		},
	}
	cmd.Flags().BoolVar(&require, "require-citus", false, "fail on a server without Citus")
	return cmd
}

func newSchemaStatusCommand(v *schemaVerb) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show the tables' sizes, rows and shards, and where they are",
		Example: "  shardload schema status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return v.withServer(cmd.Context(), func(conn *pgx.Conn) error {
				list, err := provision.Status(cmd.Context(), conn)
				if err != nil {
					return err
				}
				return v.printStatus(list)
			})
		},
	}
}

func newSchemaDropCommand(v *schemaVerb) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "drop",
		Short: "Drop the tables, with all their rows",
		Long: `drop drops those of the tables that exist, all of them or none. It asks first; where
it cannot ask it needs --yes.`,
		Example: "  shardload schema drop --yes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes && !v.canAsk() {
				return usagef(cmd, "drop loses all rows of companies, campaigns and ads: confirm with --yes")
			}
			return v.act(cmd.Context(), func(ctx context.Context, conn *pgx.Conn) ([]provision.Action, error) {
				if !yes && !v.confirm(ctx, "drop companies, campaigns and ads in "+serverName(conn)+", with all their rows?") {
					return nil, errors.New("nothing was dropped")
				}
				return provision.Drop(ctx, conn, v.waiting())
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// The answers of the verbs for machines.
type (
	actionsJSON struct {
		Tables []provision.Action `json:"tables"`
	}
	tablesJSON struct {
		Tables []provision.TableStatus `json:"tables"`
	}
	// sqlJSON has statements.
	sqlJSON struct {
		SQL string `json:"sql"`
	}
)

// printDataset prints the statements that make the dataset's tables.
func printDataset(a *app, cmd *cobra.Command, distribute bool) error {
	if err := checkNoFiles(cmd); err != nil {
		return err
	}
	if a.json {
		var text strings.Builder
		err := provision.Print(&text, distribute)
		return errors.Join(err, a.printJSON(sqlJSON{text.String()}))
	}
	return provision.Print(a.data(), distribute)
}

// serverName says which database conn is connected to.
func serverName(conn *pgx.Conn) string {
	cfg := conn.Config()
	return fmt.Sprintf("database %s on %s:%d", cfg.Database, cfg.Host, cfg.Port)
}

// waiting says whose lock is waited for.
func (v *schemaVerb) waiting() server.Waiting {
	return server.Waiting{Tell: func(holders []server.Holder) {
		v.note("waiting for the lock under which tables are made and dropped, which %s", server.DescribeHolders(holders))
	}}
}

// act does something about the tables, and prints what was done, also if it then
// came to an error.
func (v *schemaVerb) act(ctx context.Context, do func(context.Context, *pgx.Conn) ([]provision.Action, error)) error {
	return v.withServer(ctx, func(conn *pgx.Conn) error {
		done, err := do(ctx, conn)
		if v.json {
			return errors.Join(err, v.printJSON(actionsJSON{append([]provision.Action{}, done...)}))
		}
		for _, action := range done {
			if err := v.printf("%s: %s\n", action.Table, action.Did); err != nil {
				return err
			}
		}
		return err
	})
}

// printStatus prints what there is of the tables.
func (v *schemaVerb) printStatus(list []provision.TableStatus) error {
	if v.json {
		return v.printJSON(tablesJSON{list})
	}
	var rows [][]string
	for _, t := range list {
		switch {
		case !t.Exists:
			rows = append(rows, []string{t.Table, "", "", "does not exist"})
		case t.Problem != "":
			rows = append(rows, []string{t.Table, "", "", t.Problem})
		default:
			rows = append(rows, []string{t.Table, count(t.Rows), size(t.Bytes), whereText(t)})
		}
	}
	return printTable(v.Stdout, []string{"~table", ">rows", ">size", "<where"}, rows)
}

// whereText says where the rows of a table are.
func whereText(t provision.TableStatus) string {
	if t.Shards == 0 {
		return "on this server alone"
	}
	var nodes []string
	for _, n := range t.Nodes {
		nodes = append(nodes, fmt.Sprintf("%s (%d)", n.Node, n.Shards))
	}
	text := plural(int64(t.Shards), "shard")
	if t.Column != "" {
		text += " by " + t.Column
	}
	return text + ": " + strings.Join(nodes, ", ")
}
