package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/localpg"
	"shardload/internal/owned"
	"shardload/internal/provision"
	"shardload/internal/server"
	"shardload/internal/tutorial"
	"shardload/loader"
)

const demoHelp = `demo goes the whole way once: it starts a private cluster, creates and distributes
the dataset's tables, generates a dataset, loads it, verifies that every row is there
and in its place, runs the statements of the Citus tutorial, and says how fast that
was and where the time went.

The cluster is made from the PostgreSQL that is installed on this machine: a Citus
coordinator with two workers where the Citus extension is installed, else one plain
PostgreSQL server, whose tables are not distributed. At the end it is removed, and
the files with it, also after Ctrl-C; --keep leaves both, for "shardload cluster".

With --dsn it runs on that server instead, and the loaded tables stay there. Tables
of the dataset that exist are emptied first, after a question or with --yes; a table
of that name with another shape is refused. Only --dsn names a server here:
DATABASE_URL and PG* variables do not count.`

// demoOptions are the flags of demo, the dataset's sizes apart.
type demoOptions struct {
	workers int // -1: two if there is Citus
	keep    bool
	yes     bool
}

func newDemoCommand(a *app) *cobra.Command {
	opt := demoOptions{workers: -1}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole way once, on a private cluster: create, generate, load, verify, query",
		Long:  demoHelp,
		Example: `  shardload demo
  shardload demo --ads 10_000_000 --keep
  shardload demo --dsn postgres://me@db.example.com/scratch`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	sizes := addSizeFlags(flags)
	sizes.addProcsFlag()
	flags.IntVar(&opt.workers, "workers", opt.workers, "Citus workers of the private cluster; 0 for plain PostgreSQL (default: 2, or 0 without Citus)")
	flags.Lookup("workers").DefValue = "0" // pflag adds no default of its own then
	flags.BoolVar(&opt.keep, "keep", false, "leave the private cluster and the files where they are")
	flags.BoolVar(&opt.yes, "yes", false, "empty tables that exist on --dsn without asking")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.dsn != "" && flags.Changed("workers") {
			return usagef(cmd, "--workers is about a private cluster; --dsn names another")
		}
		data, err := sizes.dataset(cmd)
		if err != nil {
			return err
		}
		d := &demo{app: a, opt: opt, data: data}
		return d.run(cmd)
	}
	return cmd
}

// A demo is one run of the demo.
type demo struct {
	*app
	opt  demoOptions
	data *generate.Dataset

	conn   *pgx.Conn
	inputs []tableInput
	phases phases
	report demoReport
}

// A demoReport is what a demo has to say.
type demoReport struct {
	Server   string          `json:"server"`
	Citus    bool            `json:"citus"`
	Phases   []phase         `json:"phases"`
	Load     loadReport      `json:"load"`
	Verify   verifyReport    `json:"verify"`
	Tutorial tutorial.Report `json:"tutorial"`
}

// run finds a server, runs the demo there, and cleans up whatever happens.
func (d *demo) run(cmd *cobra.Command) (err error) {
	ctx := cmd.Context()
	at, stop, err := d.startServer(ctx)
	if err != nil {
		return err
	}
	if d.dsn == "" && !d.opt.keep {
		defer func() {
			if err != nil { // nothing that it advises could be typed
				err = &goneError{err}
				d.account = append(d.account, "the demo's cluster and its files are removed")
			}
		}()
	}
	defer func() { err = errors.Join(err, stop()) }()
	if d.conn, err = d.connect(ctx, at); err != nil {
		return err
	}
	defer server.CloseSoon(d.conn.PgConn())
	if a := d.app; a.dsn != "" {
		if err := d.mayTouch(cmd); err != nil {
			return err
		}
	}
	dir, err := owned.MakeScratch(owned.Demo, 0o700)
	if err != nil {
		return err
	}
	if d.opt.keep {
		d.note("the files are kept in %s", dir.Path)
		err = dir.Release() // they are the user's now
	} else {
		defer func() { err = errors.Join(err, dir.RemoveScratch()) }()
	}
	if err != nil {
		return err
	}
	if err := d.steps(ctx, at, dir.Path); err != nil {
		if d.json {
			err = errors.Join(err, d.print()) // what there is
		}
		return err
	}
	return d.print()
}

// startServer returns the server to run on, and how to clean up.
func (d *demo) startServer(ctx context.Context) (server *pgx.ConnConfig, stop func() error, err error) {
	if d.dsn != "" {
		server, err = parseDSN(d.dsn, "--dsn", d.warn)
		return server, func() error { return nil }, err
	}
	if err := forgetServers(); err != nil {
		return nil, nil, err
	}
	var c *localpg.Cluster
	err = d.phases.run(ctx, &d.console, "cluster", func() (string, error) {
		c, err = d.startCluster(ctx)
		if err != nil {
			return "", err
		}
		return clusterText(c), nil
	})
	if err != nil {
		return nil, nil, err
	}
	stop = c.Stop
	if d.opt.keep {
		stop = func() error { return nil }
		d.note("the cluster is kept; it is at %s\nit ends with: shardload cluster stop --remove", c.DSN())
	}
	if !c.Citus() {
		d.note("this is one PostgreSQL server without Citus: the tables are not distributed")
	}
	server, err = parseDSN(c.DSN(), "the private cluster", nil)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return server, stop, nil
}

// startCluster starts a private cluster. One that is kept is the one that the verb
// cluster knows, and must not be there yet.
func (d *demo) startCluster(ctx context.Context) (*localpg.Cluster, error) {
	cfg := localpg.Config{Workers: d.opt.workers}
	if cfg.Workers < 0 {
		cfg.Workers = 0
		if localpg.HasCitus() {
			cfg.Workers = 2
		}
	}
	if !d.opt.keep {
		return localpg.Start(ctx, cfg)
	}
	var err error
	if cfg.Dir, err = localpg.DefaultDir(); err != nil {
		return nil, err
	}
	if _, err := localpg.Open(cfg.Dir); !errors.Is(err, localpg.ErrNoCluster) {
		return nil, fmt.Errorf("directory %s: a cluster is kept there already: run the demo on it (--dsn \"$(shardload cluster start)\") or remove it (shardload cluster stop --remove)", cfg.Dir)
	}
	return localpg.StartDetached(ctx, cfg)
}

// mayTouch finds out whether the demo may have the tables on the user's server.
func (d *demo) mayTouch(cmd *cobra.Command) error {
	list, err := provision.Status(cmd.Context(), d.conn)
	if err != nil {
		return err
	}
	var there []string
	for _, t := range list {
		if t.Problem != "" {
			return fmt.Errorf("table %s: %s; the demo does not touch it: choose another database", t.Table, t.Problem)
		}
		if t.Exists {
			there = append(there, fmt.Sprintf("%s (%s)", t.Table, plural(t.Rows, "row")))
		}
	}
	switch {
	case len(there) == 0 || d.opt.yes:
		return nil
	case !d.canAsk():
		return usagef(cmd, "on that server there is %s: allow with --yes to empty what is there", strings.Join(there, ", "))
	case !d.confirm(cmd.Context(), fmt.Sprintf("there is %s in %s; empty it?", strings.Join(there, ", "), serverName(d.conn))):
		return errors.New("nothing was changed")
	}
	return nil
}

// steps does the work, phase by phase.
func (d *demo) steps(ctx context.Context, server *pgx.ConnConfig, dir string) error {
	for _, step := range []struct {
		name string
		do   func() (string, error)
	}{
		{"schema", func() (string, error) { return d.makeTables(ctx) }},
		{"generate", func() (string, error) { return d.makeFiles(ctx, dir) }},
		{"load", func() (string, error) { return d.loadFiles(ctx, server, dir) }},
		{"verify", func() (string, error) { return d.check(ctx) }},
		{"tutorial", func() (string, error) { return d.query(ctx) }},
	} {
		if err := d.phases.run(ctx, &d.console, step.name, step.do); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) makeTables(ctx context.Context) (string, error) {
	if _, err := provision.Create(ctx, d.conn, server.Waiting{}); err != nil {
		return "", err
	}
	done, err := provision.Distribute(ctx, d.conn, false)
	if err != nil {
		return "", err
	}
	last := done[len(done)-1]
	return last.Table + " " + last.Did, nil
}

func (d *demo) makeFiles(ctx context.Context, dir string) (string, error) {
	m, err := (&generateVerb{d.app, d.data}).write(ctx, dir, generate.Output{})
	if err != nil {
		return "", err
	}
	var rows, bytes int64
	for _, f := range m.Files {
		rows += f.Rows
		bytes += f.Bytes
	}
	return fmt.Sprintf("%s, %s of CSV", plural(rows, "row"), size(bytes)), nil
}

func (d *demo) loadFiles(ctx context.Context, server *pgx.ConnConfig, dir string) (text string, err error) {
	if d.inputs, err = directory(dir); err != nil {
		return "", err
	}
	v, clock := &loadVerb{d.app}, &loadClock{begun: time.Now()}
	tables, err := v.open(ctx, loader.Config{Conn: server, Header: loader.HeaderYes}, d.inputs, nil, clock)
	if err != nil {
		return "", err
	}
	closing := sync.OnceValue(tables.Close)
	defer func() { err = errors.Join(err, closing()) }()
	plan := tables.Tables()[0].Loader().Plan()
	d.report.Server, d.report.Citus = plan.Server, plan.Shards
	if d.dsn != "" { // what is there may go, and only there can something be
		begun := time.Now()
		if err := loader.Truncate(ctx, server, tableNames(d.inputs)...); err != nil {
			return "", err
		}
		clock.empty = time.Since(begun)
	}
	d.report.Load, err = v.load(ctx, tables, loader.SetOptions{}, clock)
	err = errors.Join(err, closing())
	clock.end(&d.report.Load)
	d.report.Load.passing = true // and demo, run again, begins anew
	if err != nil {
		if d.dsn != "" || d.opt.keep {
			d.account = append(d.account, "stored before that: "+d.report.Load.stored(err))
		}
		return "", err
	}
	return fmt.Sprintf("%s, %s rows/s: %s", plural(d.report.Load.total(), "row"), count(d.report.Load.RowsPerSecond), d.report.Load.Parts), nil
}

func (d *demo) check(ctx context.Context) (string, error) {
	v := &verifyVerb{app: d.app}
	begun := time.Now()
	report, err := v.check(ctx, d.conn, true, d.inputs)
	if err != nil {
		return "", err
	}
	report.Seconds = time.Since(begun).Seconds()
	d.report.Verify = report
	if !report.Passed && !d.json {
		err = v.print(report)
	}
	return report.sentence(), errors.Join(report.problem(), err)
}

func (d *demo) query(ctx context.Context) (string, error) {
	report, err := tutorial.Run(ctx, d.conn, tutorial.Options{})
	if err != nil {
		return "", err
	}
	d.report.Tutorial = report
	return plural(int64(len(report.Steps)), "statement"), tutorialProblem(report)
}
