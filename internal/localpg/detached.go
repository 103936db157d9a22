package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	// ErrRunning is returned when a cluster is to be started where one runs.
	ErrRunning = errors.New("a cluster is running in it: use that one, or stop it first")

	// ErrNoCluster is returned by Open for a directory without a cluster.
	ErrNoCluster = errors.New("there is no cluster in it: start one first")
)

// DefaultDir returns the directory in which a user's detached cluster is kept:
// shardload/cluster in $XDG_STATE_HOME, or in ~/.local/state. For root, whose home
// is closed to the user as whom its servers run, it is /var/lib/shardload/cluster,
// unless XDG_STATE_HOME is set.
func DefaultDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "shardload", "cluster"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/shardload/cluster", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "shardload", "cluster"), nil
}

// StartDetached is Start for a cluster that outlives this process. cfg.Dir is
// required. It returns an ErrRunning if the cluster in there runs already.
func StartDetached(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Dir == "" {
		return nil, errors.New("directory: a cluster that outlives the process needs one of its own")
	}
	return start(ctx, cfg, true)
}

// Open returns the cluster in dir, whether it runs or not. It returns an
// ErrNoCluster if there is none.
func Open(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // a server is known by its path
	}
	acc, err := serverAccount()
	if err != nil {
		return nil, err
	}
	h := home{dir: dir, account: acc}
	saved, found, err := h.readState()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("directory %s: %w", dir, ErrNoCluster)
	}
	c := &Cluster{home: h, database: saved.Database, citus: saved.Citus}
	for i, port := range saved.Ports {
		srv := h.server(nodeName(i), port)
		if p, ok := findPostmaster(srv.dir); ok {
			srv.proc = p
		}
		c.servers = append(c.servers, srv)
	}
	return c, nil
}

// A NodeStatus is how a node is doing.
type NodeStatus struct {
	Node
	Running bool
	Version string // of PostgreSQL; of a stopped server the major version alone
	Err     error  // why a running server could not be asked
}

// Status asks each node how it is doing, the coordinator first.
func (c *Cluster) Status(ctx context.Context) []NodeStatus {
	all := make([]NodeStatus, len(c.servers))
	for i, srv := range c.servers {
		st := NodeStatus{Node: srv.node()}
		st.Running = st.PID != 0
		if st.Running {
			st.Err = c.home.withConn(ctx, srv, c.database, func(conn *pgx.Conn) error {
				return conn.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&st.Version)
			})
		} else if major, err := os.ReadFile(filepath.Join(srv.dir, "PG_VERSION")); err == nil {
			st.Version = strings.TrimSpace(string(major))
		}
		all[i] = st
	}
	return all
}

// restart starts the servers of the cluster that was kept in s.home.
func (s *starter) restart(ctx context.Context, saved state) error {
	if have, want := len(saved.Ports)-1, s.cfg.Workers; have != want {
		return fmt.Errorf("directory %s: holds a cluster with %d workers, not %d: choose another directory, or remove this one",
			s.home.dir, have, want)
	}
	if saved.Database != s.database {
		return fmt.Errorf("directory %s: holds a cluster with the database %q, not %q: choose another directory, or remove this one",
			s.home.dir, saved.Database, s.database)
	}
	for i, port := range saved.Ports {
		srv := s.home.server(nodeName(i), port)
		if _, ok := findPostmaster(srv.dir); ok {
			return fmt.Errorf("directory %s: %w", s.home.dir, ErrRunning)
		}
		s.servers = append(s.servers, srv)
	}
	s.cfg.Log.DebugContext(ctx, "starting the cluster again", "dir", s.home.dir)
	if err := s.launchAll(ctx); err != nil {
		return err
	}
	if s.citus {
		if err := s.reform(ctx, saved.Ports); err != nil {
			return err
		}
	}
	return s.home.writeState(s.state())
}
