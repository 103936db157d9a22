// Package cli is the shardload command: its verbs, flags, messages and exit
// statuses. The answer of a verb goes to standard output; progress, notes and
// errors go to standard error. The work itself is done by the packages below;
// what is here asks for it and shows what came of it.
package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"shardload/internal/term"
)

// Env is what the process gives to the command. Progress bars and questions
// appear only where Stderr and Stdin are terminals.
type Env struct {
	Args   []string // without the program's name
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Getenv looks up DATABASE_URL. The PG* variables of libpq are read by the
	// driver, from the process itself.
	Getenv func(string) string
}

// An app is what all verbs share: the console, and the server that the user names.
type app struct {
	console
	dsn     string
	begun   time.Time // the command
	account []string  // what is said after an error: what was stored, and what to type
}

// Main runs the command and returns its exit status. It returns soon after ctx
// is cancelled, and then says what was stored by then.
func Main(ctx context.Context, env Env) int {
	env.Stdout, env.Stderr = term.NewWriter(env.Stdout), term.NewWriter(&sharedWriter{w: env.Stderr})
	a := &app{console: console{Env: env}, begun: time.Now()}
	root := newRootCommand(a)
	// Whatever goes wrong before a verb runs is the way it was called.
	running := false
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }

	err := misplacedServer(env.Args)
	if err == nil {
		var cmd *cobra.Command
		if cmd, err = root.ExecuteContextC(ctx); err != nil && !running {
			err = usageFor(cmd, err)
		}
	}
	err = a.finish(ctx, err)
	if err != nil && !running && asksForEvents(env.Args) {
		a.progressAs = progressJSON // a flag before it was wrong
	}
	switch text := describe(ctx, err); {
	case text == "":
	case a.progressAs == progressJSON:
		tellEvent(&a.console, eventJSON{Event: "error", Error: errorDocument(ctx, err)})
	default:
		a.tellError(text)
	}
	for _, line := range a.account {
		a.tell("%s\n", line)
	}
	return exitStatus(ctx, err)
}

const rootHelp = `shardload makes a multi-tenant dataset of any size, creates and distributes its
tables on a Citus cluster (or a plain PostgreSQL server), loads it as fast as the
servers can take it, and proves that every row arrived.

The server is named as for psql: by --dsn, a URL or a keyword string; else by
DATABASE_URL; else by libpq's PG* variables, service file and .pgpass.

Exit status:
    0  done
    1  failed
    2  wrong usage
    3  done, but records were rejected
    4  verification found a difference
  130  interrupted`

// Root returns the tree of verbs, for those who write of it: manual pages, completions. It is
// not to be run.
func Root() *cobra.Command { return newRootCommand(&app{}) }

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "shardload",
		Short: "Load multi-tenant data into Citus and PostgreSQL, fast and provably whole",
		Long:  rootHelp,
		Example: `  shardload demo
  shardload generate --out data --ads 10000000
  shardload load data --dsn postgres://me@db.example.com/app`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	addVersionFlag(a, root)
	root.SetArgs(a.Args)
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&a.dsn, "dsn", "", "the server: a URL or a keyword string (default: DATABASE_URL, then PG* variables)")
	flags.BoolVar(&a.json, "json", false, "print the answer as one JSON document")
	flags.BoolVar(&a.quiet, "quiet", false, "no progress and no notes; errors only")
	a.progressAs = progressAuto
	flags.Var(choiceValue[progressWay]{&a.progressAs, progressWays}, "progress", "how progress is shown on standard error (json: a line of JSON for each event): auto, json, none")
	_ = root.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(choiceValue[progressWay]{choices: progressWays}.words(), cobra.ShellCompDirectiveNoFileComp))

	root.AddCommand(
		newDemoCommand(a),
		newGenerateCommand(a),
		newSchemaCommand(a),
		newLoadCommand(a),
		newStatusCommand(a),
		newForgetCommand(a),
		newVerifyCommand(a),
		newTutorialCommand(a),
		newBenchCommand(a),
		newTuneCommand(a),
		newClusterCommand(a),
		newCleanCommand(a),
		newVersionCommand(a),
	)
	root.SetHelpCommand(newHelpCommand())
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		cmd.Print(usageText(cmd))
		return nil
	})
	root.SetHelpFunc(a.helpFunc(root.HelpFunc()))
	root.InitDefaultCompletionCmd()
	for _, sub := range root.Commands() {
		if sub.HasSubCommands() && sub.RunE == nil { // cobra's own completion
			sub.Args, sub.RunE = cobra.ArbitraryArgs, chooseSubcommand
			for _, shell := range sub.Commands() {
				shell.RunE = a.notAsJSON(shell.RunE, "a script for the shell")
			}
		}
	}
	return root
}

// chooseSubcommand is what a command does that only has other commands below it.
func chooseSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef(cmd, "a command is missing: one of %s", names(cmd))
	}
	msg := fmt.Sprintf("unknown command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		msg += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usagef(cmd, "%s", msg)
}

func names(cmd *cobra.Command) string {
	list := ""
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			list += ", " + sub.Name()
		}
	}
	return list[min(len(list), 2):]
}

func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Example: `  shardload help load
  shardload help schema create`,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return chooseSubcommand(topic, rest)
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}
