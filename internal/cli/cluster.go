package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"shardload/internal/localpg"
)

const clusterHelp = `cluster keeps a private server on this machine, made from the PostgreSQL that is
installed here: a Citus coordinator and workers, or one plain PostgreSQL server. It
listens on the loopback interface only, under a random password that is kept in a
file; it works for root too (the servers then run as the user postgres).

SHARDLOAD_PG_BIN names the directory of the server's programs, if there are
several.`

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
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "dir", "", "the cluster's directory (default: one of yours, see status)")
	cmd.AddCommand(newClusterStartCommand(a, &dir), newClusterStopCommand(a, &dir), newClusterStatusCommand(a, &dir))
	return cmd
}

// clusterDir returns the directory that the user or the default names.
func clusterDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	return localpg.DefaultDir()
}

func newClusterStartCommand(a *app, dir *string) *cobra.Command {
	var workers int
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the cluster, make it if need be, and print its DSN",
		Long: `start starts the cluster, makes it first if there is none, and prints its DSN: the
password is not in it, but in the file that it names. The cluster runs until
"shardload cluster stop". If it runs already, only the DSN is printed.`,
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
		return a.runClusterStart(cmd.Context(), *dir, workers, cmd.Flags().Changed("workers"))
	}
	return cmd
}

func (a *app) runClusterStart(ctx context.Context, dir string, workers int, asked bool) error {
	dir, err := clusterDir(dir)
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
	c, err := localpg.StartDetached(ctx, localpg.Config{Dir: dir, Workers: workers})
	if errors.Is(err, localpg.ErrRunning) {
		a.note("the cluster in %s runs already", dir)
		if c, err = localpg.Open(dir); err == nil {
			return a.printCluster(c)
		}
	}
	if err != nil {
		return err
	}
	a.note("started %s in %s", clusterText(c), dir)
	return a.printCluster(c)
}

// printCluster prints how to reach c: the DSN alone, so that a shell can use it.
func (a *app) printCluster(c *localpg.Cluster) error {
	if a.json {
		return a.printJSON(struct {
			DSN   string `json:"dsn"`
			Citus bool   `json:"citus"`
			Nodes int    `json:"nodes"`
		}{c.DSN(), c.Citus(), len(c.Nodes())})
	}
	_, err := fmt.Fprintln(a.Stdout, c.DSN())
	return err
}

// clusterText says what c is.
func clusterText(c *localpg.Cluster) string {
	if !c.Citus() {
		return "a plain PostgreSQL server"
	}
	return "a Citus coordinator with " + plural(int64(len(c.Nodes())-1), "worker")
}

func newClusterStopCommand(a *app, dir *string) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the cluster; its data stay",
		Example: `  shardload cluster stop
  shardload cluster stop --remove`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.runClusterStop(*dir, remove) },
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the cluster and all data in it")
	return cmd
}

func (a *app) runClusterStop(dir string, remove bool) error {
	c, err := openCluster(dir)
	if err != nil {
		return err
	}
	if err := c.Stop(); err != nil {
		return err
	}
	if !remove {
		a.note("stopped; its data stay in %s (--remove removes them)", c.Dir())
		return nil
	}
	if err := os.RemoveAll(c.Dir()); err != nil {
		return err
	}
	a.note("stopped, and removed %s", c.Dir())
	return nil
}

func newClusterStatusCommand(a *app, dir *string) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show where the cluster is and whether it runs",
		Example: "  shardload cluster status --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runClusterStatus(cmd.Context(), *dir) },
	}
}

func (a *app) runClusterStatus(ctx context.Context, dir string) error {
	c, err := openCluster(dir)
	if err != nil {
		return err
	}
	type nodeJSON struct {
		Name    string `json:"name"`
		Host    string `json:"host"`
		Port    int    `json:"port"`
		Running bool   `json:"running"`
		PID     int    `json:"pid,omitempty"`
		Version string `json:"version,omitempty"`
		Error   string `json:"error,omitempty"`
	}
	doc := struct {
		Dir   string     `json:"dir"`
		DSN   string     `json:"dsn"`
		Citus bool       `json:"citus"`
		Nodes []nodeJSON `json:"nodes"`
	}{Dir: c.Dir(), DSN: c.DSN(), Citus: c.Citus()}
	var rows [][]string
	for _, n := range c.Status(ctx) {
		node := nodeJSON{n.Name, n.Host, n.Port, n.Running, n.PID, n.Version, ""}
		state := "stopped"
		if n.Running {
			state = fmt.Sprintf("runs, pid %d", n.PID)
		}
		if n.Err != nil {
			node.Error = n.Err.Error()
			state += ", but cannot be asked"
		}
		doc.Nodes = append(doc.Nodes, node)
		rows = append(rows, []string{n.Name, fmt.Sprint(n.Port), state, n.Version})
	}
	if a.json {
		return a.printJSON(doc)
	}
	fmt.Fprintf(a.Stdout, "directory  %s\ndsn        %s\n\n", doc.Dir, doc.DSN)
	return printTable(a.Stdout, []string{"node", ">port", "state", "PostgreSQL"}, rows)
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
		return nil, fmt.Errorf("directory %s: there is no cluster in it: shardload cluster start makes one", dir)
	}
	return c, err
}
