package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageWidth is how many columns the help of flags has.
const usageWidth = 100

// A topic has flags that are about the same, in the order in which the help shows them.
type topic struct {
	title string
	flags []string
	with  string // the flag of the commands that have the topic, "" for all
}

// topics are those of all commands, in their order. A flag belongs to the first one.
func topics() []topic {
	return []topic{
		{title: "What is measured", with: "arms", flags: []string{"arms", "rival", "shape", "routes", "streams", "batch", "format", "shards", "rows", "order", "cross"}},
		{title: "How often, and how long", flags: []string{"repeat", "warmup", "slow", "limit", "sample", "rounds", "max-streams"}},
		{title: "What is compared", with: "deep", flags: []string{"deep", "table", "select", "where", "rejects", "generate"}},
		{title: "What is loaded, and where", flags: []string{"table", "select", "where", "generate"}},
		{title: "How files are read", with: "header", flags: []string{
			"format", "compression", "http-header", "header", "skip", "delimiter", "null", "quote", "escape", "force-null", "force-not-null", "encoding", "max-record",
		}},
		{title: "What is written", flags: []string{"out", "stdout", "format", "split", "compress", "no-header", "no-checksums", "tutorial"}},
		{title: "The dataset", flags: []string{"ads", "campaigns", "companies", "size", "part", "seed", "skew", "dirty", "procs"}},
		{title: "Rows that are there", flags: []string{"replace", "on-conflict", "conflict-key"}},
		{title: "Records that are refused", flags: []string{"max-errors", "rejects", "no-detail"}},
		{title: "How rows get there", flags: []string{"route", "streams", "batch", "memory", "node-map", "defer-indexes", "analyze", "no-analyze"}},
		{title: "Stopping and going on", flags: []string{"job", "appended", "rewritten", "no-resume", "retry-for"}},
		{title: "Simulated clusters", flags: []string{"scale", "scale-workers", "scale-cores"}},
		{title: "The private cluster", flags: []string{"workers", "keep"}},
		{title: "What it does", flags: []string{
			"explain", "metrics", "yes", "dir", "commit", "whole", "remove", "licenses", "distribute", "require-citus", "threshold", "help",
		}},
	}
}

// fewFlags are so few that they need no topics.
const fewFlags = 7

// byTopic returns the flags of a command in the topics that it has, and as the last those of no
// topic.
func byTopic(flags *pflag.FlagSet) []topic {
	var list []topic
	seen := map[string]bool{}
	for _, t := range topics() {
		if t.with != "" && flags.Lookup(t.with) == nil {
			continue
		}
		of := topic{title: t.title}
		for _, name := range t.flags {
			if f := flags.Lookup(name); f != nil && !f.Hidden && !seen[name] {
				of.flags = append(of.flags, name)
				seen[name] = true
			}
		}
		if len(of.flags) > 0 {
			list = append(list, of)
		}
	}
	rest := topic{title: "Other flags"}
	flags.VisitAll(func(f *pflag.Flag) {
		if !seen[f.Name] && !f.Hidden {
			rest.flags = append(rest.flags, f.Name)
		}
	})
	if len(rest.flags) > 0 {
		list = append(list, rest)
	}
	return list
}

// flagsText returns the help of flags, by topic where there are many.
func flagsText(flags *pflag.FlagSet) string {
	list := byTopic(flags)
	count := 0
	for _, t := range list {
		count += len(t.flags)
	}
	if count <= fewFlags {
		return "\nFlags:\n" + flags.FlagUsagesWrapped(usageWidth)
	}
	var b strings.Builder
	for _, t := range list {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		set.SortFlags = false
		for _, name := range t.flags {
			set.AddFlag(flags.Lookup(name))
		}
		b.WriteString("\n" + t.title + ":\n" + set.FlagUsagesWrapped(usageWidth))
	}
	return b.String()
}

// usageText returns what --help says after the description of a command.
func usageText(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() || cmd.Name() == "bench" {
		b.WriteString("  " + cmd.UseLine() + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("  " + cmd.CommandPath() + " COMMAND\n")
	}
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n" + strings.TrimRight(cmd.Example, "\n") + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nAvailable Commands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				b.WriteString(fmt.Sprintf("  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short))
			}
		}
	}
	own, inherited := cmd.LocalFlags(), cmd.InheritedFlags()
	if own.HasAvailableFlags() {
		b.WriteString(flagsText(own))
	}
	if inherited.HasAvailableFlags() {
		b.WriteString("\nOf all commands:\n" + inherited.FlagUsagesWrapped(usageWidth))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString(fmt.Sprintf("\n\"%s COMMAND --help\" says more of a command.\n", cmd.CommandPath()))
	}
	return b.String()
}
