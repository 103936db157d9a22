package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/localpg"
)

// A shared server belongs to all tests of the test binary, and starts when the
// first of them asks.
type shared struct {
	env     string
	workers int

	once     sync.Once
	cluster  *localpg.Cluster // nil for a server named by env
	dsn      string
	template string // the end of a CREATE DATABASE: what it copies, and how
	err      error

	mu   sync.Mutex
	free []*pgx.Conn // kept: a new one costs several times what a database does
}

func (s *shared) get(t testing.TB) string {
	t.Helper()
	s.need()
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.dsn
}

// need starts the server, or learns which to use, when it is first asked for.
func (s *shared) need() {
	s.once.Do(func() {
		s.template = " TEMPLATE template0"
		if s.dsn = os.Getenv(s.env); s.dsn == "" {
			s.start()
		} else if u, err := url.Parse(s.dsn); err != nil || u.Host == "" {
			s.err = fmt.Errorf("%s: want a URL like postgresql://user@host:5432/database", s.env)
		}
		if s.err == nil && s.workers > 0 {
			s.err = execute(s.dsn, groupsSQL)
		}
	})
}

func (s *shared) start() {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	settings := map[string]string{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
	if s.workers > 0 {
		settings["citus.shard_count"] = "8"
		settings["citus.executor_slow_start_interval"] = "1000"
	}
	s.cluster, s.err = localpg.Start(ctx, localpg.Config{Temp: memoryDir(), Workers: s.workers, Settings: settings})
	if s.err == nil {
		s.dsn = s.cluster.DSN()
		s.template, s.err = makeTemplate(s.dsn)
	}
}

// makeTemplate makes what databases are copied from. A session has been in it, and has left
// the file with which the next ones begin: the first in a database without it costs twice as
// much. Since version 15 a server otherwise writes all pages to its log, which takes several
// times as long where nothing is durable.
func makeTemplate(dsn string) (end string, err error) {
	const name = "pgtest_template"
	if err := execute(dsn, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return "", err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	end = " TEMPLATE " + name
	if ask(u.String(), "SELECT 'yes' WHERE current_setting('server_version_num')::int >= 150000") == "\nyes" {
		end += " STRATEGY file_copy"
	}
	return end, nil
}

// exec is execute for a test, also when t is being cleaned up.
func (s *shared) exec(t testing.TB, sql string) {
	t.Helper()
	if err := s.execute(sql); err != nil {
		t.Fatal(err)
	}
}

// execute runs sql on a connection that nobody else has meanwhile: what is dropped waits for
// the sessions of other tests, which in turn may want a database.
func (s *shared) execute(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	conn, kept, err := s.take(ctx)
	if err != nil {
		return err
	}
	if err = executeOn(ctx, conn, s.dsn, sql); err != nil && kept && ctx.Err() == nil {
		// A session of a coordinator keeps connections to workers, which may be gone: a test
		// has ended the servers since. The statement has been rolled back on all of them.
		_ = conn.Close(ctx)
		if conn, err = pgx.Connect(ctx, s.dsn); err != nil {
			return err
		}
		err = executeOn(ctx, conn, s.dsn, sql)
	}
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, conn)
	return nil
}

// take returns a connection that was kept and still answers, or a new one.
func (s *shared) take(ctx context.Context) (conn *pgx.Conn, kept bool, err error) {
	for {
		conn := s.pop()
		if conn == nil {
			conn, err := pgx.Connect(ctx, s.dsn)
			return conn, false, err
		}
		if conn.Ping(ctx) == nil {
			return conn, true, nil
		}
		_ = conn.Close(ctx)
	}
}

// pop returns a free connection, or nil.
func (s *shared) pop() *pgx.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		return nil
	}
	conn := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return conn
}

// memoryDir returns a directory in memory for the servers of tests, which make and
// drop thousands of tables, or "" where there is none with room.
func memoryDir() string {
	const (
		dir  = "/dev/shm"
		room = 4 << 30
	)
	var info syscall.Statfs_t
	if err := syscall.Statfs(dir, &info); err != nil || info.Bavail*uint64(info.Bsize) < room {
		return ""
	}
	return dir
}

// stop ends the connections, and the server if it is of our own.
func (s *shared) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	var failed []error
	for conn := s.pop(); conn != nil; conn = s.pop() {
		failed = append(failed, conn.Close(ctx))
	}
	if s.cluster != nil {
		failed = append(failed, s.cluster.Stop())
	}
	return errors.Join(failed...)
}
