package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shardload/internal/localpg"
	"shardload/internal/owned"
)

const clusterHelp = `cluster keeps a private server on this machine, made from the PostgreSQL that is
installed here: a Citus coordinator and workers, or one plain PostgreSQL server. It
listens on the loopback interface only, under a random password that is kept in a
file; it works for root too (the servers then run as the user postgres).

SHARDLOAD_PG_BIN names the directory of the server's programs, if there are
several.`

// A clusterVerb is one of the verbs about a cluster that is kept.
type clusterVerb struct {
	*app
	dir string // as the user names it; "" for the default
}

func newClusterCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Keep a private PostgreSQL server or Citus cluster on this machine",
		Long:  clusterHelp,
		Example: `  export DATABASE_URL=$(shardload cluster start)
  shardload cluster status
  shardload cluster stop --remove`,
		Args: cobra.ArbitraryArgs,
		RunE: chooseSubcommand,
	}
	v := &clusterVerb{app: a}
	cmd.PersistentFlags().StringVar(&v.dir, "dir", "", "the cluster's directory (default: one of yours, see status)")
	cmd.AddCommand(newClusterStartCommand(v), newClusterStopCommand(v), newClusterStatusCommand(v))
	for _, sub := range cmd.Commands() {
		run := sub.RunE
		sub.RunE = func(cmd *cobra.Command, args []string) error {
			if a.dsn != "" {
				return usagef(cmd, "--dsn names a server; this is about one that is kept on this machine, and --dir says where")
			}
			return run(cmd, args)
		}
	}
	return cmd
}

// The answers of the verbs for machines.
type (
	startedJSON struct {
		DSN   string `json:"dsn"`
		Citus bool   `json:"citus"`
		Nodes int    `json:"nodes"`
	}
	stoppedJSON struct {
		Dir     string `json:"dir"`
		Removed bool   `json:"removed"` // the cluster; what is somebody else's in dir stays
	}
	clusterJSON struct {
		Dir   string     `json:"dir"`
		DSN   string     `json:"dsn"`
		Citus bool       `json:"citus"`
		Nodes []nodeJSON `json:"nodes"`
	}
	nodeJSON struct {
		Name    string `json:"name"`
		Host    string `json:"host"`
		Port    int    `json:"port"`
		Running bool   `json:"running"`
		PID     int    `json:"pid,omitempty"`
		Version string `json:"version,omitempty"` // of PostgreSQL
		Problem string `json:"problem,omitempty"` // why it cannot be asked although it runs
	}
)

// clusterDir returns the directory that the user or the default names.
func clusterDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	return localpg.DefaultDir()
}

func newClusterStartCommand(v *clusterVerb) *cobra.Command {
	var workers int
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the cluster, make it if need be, and print its DSN",
		Long: `start starts the cluster, makes it first if there is none, and prints its DSN: the
password is not in it, but in the file that it names. The cluster runs until
"shardload cluster stop". If it runs already, only the DSN is printed; a node of it that
has died is started again beside the others.`,
		Example: `  export DATABASE_URL=$(shardload cluster start)
  shardload cluster start --workers 4 --dir /tmp/four`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVar(&workers, "workers", 2, "Citus workers; 0 for plain PostgreSQL (default: 2, or 0 without Citus)")
	cmd.Flags().Lookup("workers").DefValue = "0" // pflag adds no default of its own then
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("workers") && !localpg.HasCitus() {
			workers = 0
		}
		return v.start(cmd.Context(), workers, cmd.Flags().Changed("workers"))
	}
	return cmd
}

func (v *clusterVerb) start(ctx context.Context, workers int, asked bool) error {
	dir, err := clusterDir(v.dir)
	if err != nil {
		return err
	}
	if err := forgetServers(); err != nil {
		return err
	}
	// A cluster that is there already knows best how many workers it has.
	if there, err := localpg.Open(dir); err == nil && !asked {
		workers = len(there.Nodes()) - 1
	}
	var revived []string
	c, err := localpg.StartDetached(ctx, localpg.Config{
		Dir: dir, Workers: workers,
		Waiting:  func() { v.note("another command starts or stops the cluster in %s: waiting for it", dir) },
		Reviving: func(names []string) { revived = names },
	})
	if errors.Is(err, localpg.ErrRunning) {
		v.note("the cluster in %s runs already", dir)
		if c, err = localpg.Open(dir); err == nil {
			return v.print(c)
		}
	}
	if err != nil {
		return err
	}
	if len(revived) > 0 {
		v.note("started %s again, beside the others in %s", strings.Join(revived, ", "), dir)
		return v.print(c)
	}
	v.note("started %s in %s", clusterText(c), dir)
	return v.print(c)
}

// print prints how to reach c: the DSN alone, so that a shell can use it.
func (v *clusterVerb) print(c *localpg.Cluster) error {
	if v.json {
		return v.printJSON(startedJSON{c.DSN(), c.Citus(), len(c.Nodes())})
	}
	return v.printf("%s\n", c.DSN())
}

// clusterText says what c is.
func clusterText(c *localpg.Cluster) string {
	if !c.Citus() {
		return "a plain PostgreSQL server"
	}
	return "a Citus coordinator with " + plural(int64(len(c.Nodes())-1), "worker")
}

func newClusterStopCommand(v *clusterVerb) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the cluster; its data stay",
		Example: `  shardload cluster stop
  shardload cluster stop --remove`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return v.stop(cmd.Context(), remove) },
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the cluster and all data in it")
	return cmd
}

func (v *clusterVerb) stop(ctx context.Context, remove bool) (err error) {
	c, err := openCluster(v.dir)
	if err != nil {
		return err
	}
	if v.json {
		defer func() { err = errors.Join(err, v.printJSON(stoppedJSON{c.Dir(), remove && err == nil})) }()
	}
	if !remove {
		if err := c.Stop(); err != nil {
			return err
		}
		v.note("stopped; its data stay in %s (--remove removes them)", c.Dir())
		return nil
	}
	err = c.Remove(ctx)
	if left, ok := errors.AsType[*owned.LeftError](err); ok {
		v.note("stopped, and removed all that was the cluster's; %v", left)
		return nil
	}
	if err != nil {
		return err
	}
	v.note("stopped, and removed %s", c.Dir())
	return nil
}

func newClusterStatusCommand(v *clusterVerb) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show where the cluster is and whether it runs",
		Example: "  shardload cluster status --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return v.status(cmd.Context()) },
	}
}

func (v *clusterVerb) status(ctx context.Context) error {
	c, err := openCluster(v.dir)
	if err != nil {
		return err
	}
	doc := clusterJSON{Dir: c.Dir(), DSN: c.DSN(), Citus: c.Citus()}
	var rows [][]string
	for _, n := range c.Status(ctx) {
		node := nodeJSON{n.Name, n.Host, n.Port, n.Running, n.PID, n.Version, ""}
		state := "stopped"
		if n.Running {
			state = fmt.Sprintf("runs, pid %d", n.PID)
		}
		if n.Err != nil {
			node.Problem = n.Err.Error()
			state += ", but cannot be asked"
		}
		doc.Nodes = append(doc.Nodes, node)
		rows = append(rows, []string{n.Name, fmt.Sprint(n.Port), state, n.Version})
	}
	if v.json {
		return v.printJSON(doc)
	}
	if err := v.printf("directory  %s\ndsn        %s\n\n", doc.Dir, doc.DSN); err != nil {
		return err
	}
	return printTable(v.Stdout, []string{"node", ">port", "state", "?PostgreSQL"}, rows)
}

// openCluster finds the cluster in dir, for verbs that need one.
func openCluster(dir string) (*localpg.Cluster, error) {
	dir, err := clusterDir(dir)
	if err != nil {
		return nil, err
	}
	if err := forgetServers(); err != nil {
		return nil, err
	}
	c, err := localpg.Open(dir)
	if errors.Is(err, localpg.ErrNoCluster) {
		return nil, &noClusterError{dir}
	}
	return c, err
}

// A noClusterError says what makes the cluster that there is not.
type noClusterError struct{ dir string }

func (e *noClusterError) Error() string {
	return fmt.Sprintf("directory %s: there is no cluster in it: shardload cluster start makes one", e.dir)
}

func (e *noClusterError) Unwrap() error { return localpg.ErrNoCluster }
