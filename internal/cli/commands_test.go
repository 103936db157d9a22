package cli

import "github.com/spf13/cobra"

// leaves returns the commands below cmd, or cmd, that do something of their own.
func leaves(cmd *cobra.Command) (list []*cobra.Command) {
	if !cmd.HasSubCommands() || cmd.Name() == "bench" {
		list = append(list, cmd)
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			list = append(list, leaves(sub)...)
		}
	}
	return list
}
