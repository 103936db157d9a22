// Package localpg runs a private PostgreSQL server, or a private Citus cluster,
// from the PostgreSQL that is installed on this machine.
//
// Its servers listen on the loopback interface only and have no Unix socket. They
// know one role, a superuser named shardload, whose random password is kept in
// files that only their readers can open, and is never in a DSN, an error or a
// log. Each start chooses a new one, and a stop removes the files. Started by root, the servers run as the user postgres (or nobody, where
// that does not exist), since PostgreSQL refuses to run as root.
//
// Start binds the servers to the life of this process: Stop ends them, and on
// Linux the kernel does when the process dies without having called it.
// StartDetached makes a cluster that outlives the process; Open finds it again.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
)

const (
	superuser = "shardload"
	loopback  = "127.0.0.1"
)

// Config says what to run. Its zero value is one plain PostgreSQL server in a
// temporary directory.
type Config struct {
	// Dir holds the data of the cluster. It is made if it does not exist; a
	// cluster that is found in it is started again with its data. Empty means a
	// new temporary directory, which Stop removes.
	Dir string

	// Temp is where the temporary directory is made. Empty, or a directory that the
	// servers' user cannot enter, means where the system has its temporary files.
	Temp string

	// Workers is the number of Citus workers beside the coordinator. Zero means
	// one plain PostgreSQL server; more than zero needs the Citus extension.
	Workers int

	// Database is the name of the database to create on each server. Empty means
	// "shardload".
	Database string

	// Waiting, unless nil, is called when another process starts or stops the
	// cluster in Dir, which is waited for.
	Waiting func()

	// Reviving, unless nil, is called with the names of the servers that are started beside
	// others of the cluster in Dir, which run.
	Reviving func(names []string)

	// Settings are added to the configuration of each server, after this
	// package's own.
	Settings map[string]string

	// Log is told what is done, at level Debug. Nil means nobody.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Database == "" {
		c.Database = "shardload"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.Workers < 0 || c.Workers > maxWorkers {
		errs = append(errs, fmt.Errorf("workers: %d, want 0 to %d", c.Workers, maxWorkers))
	}
	for name := range c.Settings {
		if !settingName.MatchString(name) {
			errs = append(errs, fmt.Errorf("setting %q: not the name of a setting", name))
		}
	}
	return errors.Join(errs...)
}

// maxWorkers bounds what one machine is asked to run: each worker is a whole
// PostgreSQL server with shared memory of its own.
const maxWorkers = 32

// A Node is one server of a cluster.
type Node struct {
	Name string // "coordinator" (also of a plain server), "worker1", …
	Host string // always the loopback address
	Port int
	PID  int    // of the postmaster; 0 when it does not run
	Dir  string // its data directory
}

// A Cluster is one plain PostgreSQL server, or a Citus coordinator and its
// workers. Its methods may be called from several goroutines at once.
type Cluster struct {
	home     home
	database string
	citus    bool
	servers  []*server // the first is the coordinator

	stopping sync.Mutex
	stopped  bool
}

// Start runs the cluster that cfg describes and returns when it takes
// connections. Its servers end with Stop, or with this process. ctx bounds the
// start alone. When Start fails it leaves no process, and nothing on disk that was
// not there before.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	return start(ctx, cfg, false)
}

// DSN returns the URL of the cluster's database on the coordinator. psql, libpq
// and pgx understand it. The password is not inside but in the file that it names,
// which only the user who started the cluster can read. TLS is off: nothing
// leaves this machine.
func (c *Cluster) DSN() string {
	return c.home.dsn(c.servers[0].port, c.database)
}

// Nodes returns the servers of the cluster, the coordinator first.
func (c *Cluster) Nodes() []Node {
	nodes := make([]Node, len(c.servers))
	for i, s := range c.servers {
		nodes[i] = s.node()
	}
	return nodes
}

// Citus reports whether the servers are a Citus cluster.
func (c *Cluster) Citus() bool { return c.citus }

// Dir returns the directory that holds the data of all servers, their logs and
// the password file, which is there while they run.
func (c *Cluster) Dir() string { return c.home.dir }

// Stop ends the servers and returns when they are gone. A temporary directory is
// removed with them. Calling Stop again does nothing, unless the first call
// failed.
func (c *Cluster) Stop() error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	if c.stopped {
		return nil
	}
	if err := c.ours(context.Background()); errors.Is(err, ErrNoCluster) {
		return nil // it was removed meanwhile
	} else if err != nil {
		return err
	}
	if err := errors.Join(c.stopServers(c.home.temporary)...); err != nil {
		return err
	}
	c.stopped = true
	if c.home.temporary {
		return c.home.remove()
	}
	err := c.home.passwords().forget()
	if gone := c.home.own.Root.Remove(attachedFile); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return errors.Join(err, c.home.own.Close())
}

// stopServers ends all servers at once.
func (c *Cluster) stopServers(atOnce bool) []error {
	errs := make([]error, len(c.servers))
	var wg sync.WaitGroup
	for i, s := range c.servers {
		wg.Go(func() { errs[i] = s.stop(atOnce) })
	}
	wg.Wait()
	return errs
}
