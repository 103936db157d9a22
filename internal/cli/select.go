package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shardload/loader"
)

// selectFlags adds the flags of a list and a condition.
func selectFlags(flags *pflag.FlagSet, cfg *loader.Config) {
	flags.StringVar(&cfg.Select, "select", "", "what is loaded of the fields of each record, as SQL has it between SELECT and FROM")
	flags.StringVar(&cfg.Where, "where", "", "a condition, as SQL has it, of the records that are loaded")
}

// checkSelect refuses a list of nothing, and one for several tables.
func checkSelect(cmd *cobra.Command, cfg *loader.Config, table string) error {
	for _, flag := range []struct{ name, value string }{{"select", cfg.Select}, {"where", cfg.Where}} {
		switch {
		case !cmd.Flags().Changed(flag.name):
		case strings.TrimSpace(flag.value) == "":
			return usagef(cmd, "--%s is empty: leave it out, or say what to load", flag.name)
		case table == "":
			return usagef(cmd, "--%s is about the fields of one table's files: name it with --table", flag.name)
		}
	}
	return nil
}

// selectionLines says in lines where values are evaluated, one for files of which the same is said.
func selectionLines(table string, list []fileHeading) (lines []string) {
	files := map[string]int{}
	for _, h := range list {
		if h.Selected == nil {
			continue
		}
		line := "what is selected is read here"
		if h.Selected.Staged {
			line = "what is selected passes through a temporary table at the server, because of " + h.Selected.Because
		}
		if files[line]++; files[line] == 1 {
			lines = append(lines, table+": "+line)
		}
	}
	return lines
}
