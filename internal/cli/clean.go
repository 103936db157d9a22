package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/bench/left"
	"shardload/internal/ledger"
	"shardload/internal/localpg"
	"shardload/internal/owned"
	"shardload/internal/server"
)

const cleanHelp = `clean finds what commands have left behind that were killed: temporary directories and
private clusters in them, programs that a benchmark has started, control groups, and, in
the database that --dsn, DATABASE_URL or PG* variables name, the copies of tables that
tune makes, the schemas of bench, and progress tables whose job is gone. It lists them,
and removes them with --yes.

All of it is known by marks that only shardload sets, and that only you can set on what
is yours. What a living process uses, what belongs to another user or role, and clusters
that are kept (shardload cluster) are never removed. A load that was stopped leaves nothing
to clean: the same load command goes on, and shardload forget drops what is known of it.`

// A cleanVerb is one run of clean.
type cleanVerb struct {
	*app
	yes bool
}

func newCleanCommand(a *app) *cobra.Command {
	v := &cleanVerb{app: a}
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "List what killed commands have left behind, and remove it",
		Long:  cleanHelp,
		Example: `  shardload clean
  shardload clean --yes --dsn postgres://me@db.example.com/app`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&v.yes, "yes", false, "remove what is listed and not in use")
	return cmd
}

// A leftover is something that clean may remove.
type leftover struct {
	left.Leftover
	Removed bool `json:"removed"`
	remove  func(context.Context) error
}

// A cleanJSON is the answer of clean for machines.
type cleanJSON struct {
	Leftovers []leftover `json:"leftovers"`
}

func (v *cleanVerb) run(ctx context.Context) error {
	list := localLeftovers()
	work := func(conn *pgx.Conn) error {
		var errs []error
		if conn != nil {
			found, err := serverLeftovers(ctx, conn)
			list, errs = append(list, found...), append(errs, err)
		}
		if v.yes {
			errs = append(errs, removeLeftovers(ctx, list)...)
		}
		return errors.Join(append(errs, v.print(list))...)
	}
	if v.namesServer() {
		return v.withServer(ctx, work)
	}
	v.note("no server is named (--dsn, DATABASE_URL or PG* variables): databases are not looked at")
	return work(nil)
}

// namesServer reports whether the user has named a server in any way.
func (a *app) namesServer() bool {
	return a.dsn != "" || a.Getenv("DATABASE_URL") != "" ||
		slices.ContainsFunc([]string{"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"}, func(name string) bool { return os.Getenv(name) != "" })
}

// serverLeftovers finds what is left in conn's database. What was found before an error is
// returned, too.
func serverLeftovers(ctx context.Context, conn *pgx.Conn) (list []leftover, err error) {
	objects, err := left.Objects(ctx, conn)
	for _, o := range objects {
		list = append(list, leftover{Leftover: o.Leftover, remove: func(ctx context.Context) error { return o.Drop(ctx, conn) }})
	}
	orphans, failed := ledger.Orphans(ctx, conn)
	for _, o := range orphans {
		l := leftover{Leftover: left.Leftover{What: "progress table", Name: o.Table}, remove: func(ctx context.Context) error { return ledger.RemoveOrphan(ctx, conn, o) }}
		if len(o.Users) > 0 {
			l.InUse = server.DescribeHolders(o.Users) + " it locked"
		}
		list = append(list, l)
	}
	return list, errors.Join(err, failed)
}

// localLeftovers finds what is left on this machine.
func localLeftovers() []leftover {
	var list []leftover
	for _, l := range localpg.Leftovers(owned.TempDirs()...) {
		list = append(list, leftover{
			Leftover: left.Leftover{What: "private cluster", Name: l.Path, Made: l.Made},
			remove:   func(context.Context) error { return localpg.RemoveLeftover(l) },
		})
	}
	for _, l := range owned.Scratch(owned.TempDirs()...) {
		list = append(list, leftover{
			Leftover: left.Leftover{What: "directory", Name: l.Path, Made: l.Made},
			remove:   func(context.Context) error { return owned.RemoveLeftover(l) },
		})
	}
	for _, l := range left.Programs() {
		list = append(list, leftover{Leftover: l, remove: func(context.Context) error { return left.EndPrograms() }})
	}
	for _, l := range left.Groups() {
		list = append(list, leftover{Leftover: l, remove: func(context.Context) error { return left.RemoveGroup(l) }})
	}
	return list
}

// removeLeftovers removes what nobody uses.
func removeLeftovers(ctx context.Context, list []leftover) (errs []error) {
	for i := range list {
		l := &list[i]
		if l.InUse != "" {
			continue
		}
		if err := l.remove(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		l.Removed = true
	}
	return errs
}

func (v *cleanVerb) print(list []leftover) error {
	if v.json {
		return v.printJSON(cleanJSON{append([]leftover{}, list...)})
	}
	if len(list) == 0 {
		return v.printf("nothing is left behind\n")
	}
	var rows [][]string
	for _, l := range list {
		made, state := "", "left behind"
		if !l.Made.IsZero() {
			made = l.Made.Local().Format(time.DateTime)
		}
		switch {
		case l.Removed:
			state = "removed"
		case l.InUse != "":
			state = "in use: " + l.InUse
		}
		rows = append(rows, []string{l.What, l.Name, made, state})
	}
	if err := printTable(v.Stdout, []string{"what", "~name", "?made", "<state"}, rows); err != nil {
		return err
	}
	if !v.yes {
		v.note("shardload clean --yes removes what is left behind")
	}
	return nil
}
