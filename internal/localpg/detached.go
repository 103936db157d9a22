package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/owned"
	"shardload/internal/term"
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
// required. It returns an ErrRunning if the cluster in there runs already. Where only some of
// its servers do, the others are started beside them.
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
	acc, err := serverAccount()
	if err != nil {
		return nil, err
	}
	own, err := owned.Open(dir)
	if errors.Is(err, owned.ErrNoMark) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("directory %s: %w", dir, ErrNoCluster)
	}
	if err != nil {
		return nil, err
	}
	c := &Cluster{home: home{dir: own.Path, own: own, account: acc}}
	if err := c.look(); err != nil {
		return nil, errors.Join(err, own.Close())
	}
	return c, nil
}

// look finds out what is in the directory, and which servers run.
func (c *Cluster) look() error {
	saved, found, err := c.home.readState()
	if err != nil {
		return err
	}
	if !found || c.home.own.Mark.Kind != kindKept {
		return fmt.Errorf("directory %s: %w", c.home.dir, ErrNoCluster)
	}
	c.database, c.citus, c.servers = saved.Database, saved.Citus, nil
	for i, port := range saved.Ports {
		srv := c.home.server(nodeName(i), port)
		if p, ok := findPostmaster(c.home.account, srv.dir); ok {
			srv.proc = p
		}
		c.servers = append(c.servers, srv)
	}
	return nil
}

// ours locks the cluster, which is another process's while that starts or stops it,
// and looks again.
func (c *Cluster) ours(ctx context.Context) error {
	if c.home.own.Locked() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.home.lock(ctx, nil); err != nil {
		if errors.Is(err, owned.ErrGone) {
			return fmt.Errorf("directory %s: %w", c.home.dir, ErrNoCluster)
		}
		return err
	}
	if err := c.look(); err != nil {
		return errors.Join(err, c.home.unlock())
	}
	return nil
}

// Remove stops the servers, and removes the cluster with all of its data. What is not
// ours in its directory stays, and is named by an owned.LeftError.
func (c *Cluster) Remove(ctx context.Context) error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	if err := c.ours(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.stopServers(true)...); err != nil {
		return errors.Join(err, c.home.unlock())
	}
	// Servers that cluster.json does not name are servers, too.
	if err := c.home.endServers(); err != nil {
		return errors.Join(err, c.home.unlock())
	}
	c.stopped = true
	return c.home.remove()
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
		} else if major, err := readIn(srv.dir, "PG_VERSION"); err == nil {
			st.Version = strings.TrimSpace(major)
		}
		all[i] = st
	}
	return all
}

// restart starts the servers of the cluster that was kept in s.home.
func (s *starter) restart(ctx context.Context, saved state) error {
	if have, want := len(saved.Ports)-1, s.cfg.Workers; have != want {
		return fmt.Errorf("directory %s: holds a cluster with %s, not %d: choose another directory, or remove this one",
			s.home.dir, term.Plural(have, "worker"), want)
	}
	if saved.Database != s.database {
		return fmt.Errorf("directory %s: holds a cluster with the database %q, not %q: choose another directory, or remove this one",
			s.home.dir, saved.Database, s.database)
	}
	running := 0
	for i, port := range saved.Ports {
		srv := s.home.server(nodeName(i), port)
		if _, ok := findPostmaster(s.home.account, srv.dir); ok {
			running++
		}
		s.servers = append(s.servers, srv)
	}
	switch {
	case running == len(s.servers) || running > 0 && !s.detached:
		return fmt.Errorf("directory %s: %w", s.home.dir, ErrRunning)
	case running > 0:
		return s.revive(ctx, saved)
	}
	if err := s.home.vacant(); err != nil {
		return err
	}
	s.cfg.Log.DebugContext(ctx, "starting the cluster again", "dir", s.home.dir)
	if err := s.newPasswords(ctx); err != nil {
		return err
	}
	if err := s.launchAll(ctx); err != nil {
		return err
	}
	if s.citus {
		if err := s.upgrade(ctx); err != nil {
			return err
		}
		if err := s.reform(ctx, saved.Ports); err != nil {
			return err
		}
	}
	return s.home.writeState(s.state())
}

// newPasswords gives servers that do not run a password of this start alone: whoever
// listened at their ports since may have been told the one before.
func (s *starter) newPasswords(ctx context.Context) error {
	password, err := s.home.passwords().choose()
	if err != nil {
		return err
	}
	return s.setPasswords(ctx, password)
}

// setPasswords gives the servers, which do not run, a password.
func (s *starter) setPasswords(ctx context.Context, password string) error {
	layers := s.layers(ctx)
	return s.each(ctx, func(ctx context.Context, srv *server) error {
		if err := s.home.writeSettings(srv, layers...); err != nil {
			return err
		}
		return s.programs().setPassword(ctx, srv, password)
	})
}
