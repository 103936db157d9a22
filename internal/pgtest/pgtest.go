// Package pgtest gives tests real servers: a plain PostgreSQL and a Citus cluster
// of their own, started when the first test of a package asks, and for each test a
// new, empty place in them.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// The servers do not care for durability, and their data are in memory where it has
// room, which makes them fast and of no use to measure with. SHARDLOAD_TEST_DSN and
// SHARDLOAD_TEST_CITUS_DSN, URLs of superusers, name other servers to use instead.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/localpg"
)

const (
	plainEnv = "SHARDLOAD_TEST_DSN"
	citusEnv = "SHARDLOAD_TEST_CITUS_DSN"

	// startTimeout is generous: other packages' servers may start beside.
	startTimeout = 2 * time.Minute
	// cleanupTimeout is, too: what is dropped waits for locks of other tests' sessions, and on
	// a busy machine some of these have a minute's work.
	cleanupTimeout = 5 * time.Minute
)

// groupsSQL keeps a table in each of Citus's default colocation groups. Without them two tests
// that distribute tables at a time can make a group twice, and then tables of one test are in
// different groups now and then.
const groupsSQL = `DO $$
DECLARE kind text;
BEGIN
	CREATE SCHEMA IF NOT EXISTS colocation_groups;
	FOREACH kind IN ARRAY '{integer,bigint,uuid}'::text[] LOOP
		IF to_regclass('colocation_groups.of_' || kind) IS NULL THEN
			EXECUTE format('CREATE TABLE colocation_groups.of_%1$s (k %1$s)', kind);
			PERFORM create_distributed_table('colocation_groups.of_' || kind, 'k', shard_count => 8);
		END IF;
	END LOOP;
END $$`

// A shared server belongs to all tests of the test binary, and starts when the
// first of them asks.
type shared struct {
	env     string
	workers int

	once    sync.Once
	cluster *localpg.Cluster // nil for a server named by env
	dsn     string
	create  string // how a database is made
	err     error
}

// The testing package calls tests without anything of ours in hand, so what they
// share has to be here.
var (
	plain = &shared{env: plainEnv}
	citus = &shared{env: citusEnv, workers: 2}
)

// Main runs the tests of m, stops the servers that they have started, and exits.
func Main(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	defer func() {
		if err := errors.Join(plain.stop(), citus.stop()); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest: stop:", err)
			code = 1
		}
	}()
	return m.Run()
}

// Plain returns the URL of a new, empty database on a plain PostgreSQL server. The
// database is dropped after t.
func Plain(t testing.TB) string {
	t.Helper()
	dsn := plain.get(t)
	name := newName(t)
	exec(t, dsn, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0"+plain.create)
	t.Cleanup(func() {
		// It waits for every session of the server, those of other tests, too, even one that
		// waits for its client in the middle of a COPY. A server of our own is gone soon.
		if err := execute(dsn, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil && plain.cluster == nil {
			t.Error(err)
		}
	})
	return edit(t, dsn, func(u *url.URL) { u.Path = "/" + name })
}

// Citus returns the URL of a database on a Citus cluster of a coordinator and two
// workers, with citus.shard_count at 8 and a search_path that is a new, empty
// schema. The schema is dropped after t. All tests of a package share the database
// and thus Citus's colocation groups. On a machine without the extension t is
// skipped.
func Citus(t testing.TB) string {
	t.Helper()
	if os.Getenv(citusEnv) == "" && !localpg.HasCitus() {
		t.Skip("the Citus extension is not installed")
	}
	dsn := citus.get(t)
	name := newName(t)
	exec(t, dsn, "CREATE SCHEMA "+pgx.Identifier{name}.Sanitize())
	t.Cleanup(func() {
		exec(t, dsn, "DROP SCHEMA "+pgx.Identifier{name}.Sanitize()+" CASCADE")
	})
	return edit(t, dsn, func(u *url.URL) {
		// Not by Values.Encode, which writes a blank as +: libpq reads only %20.
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&options=-csearch_path%3D"+name, "&")
	})
}

// OwnCitus returns the URL of a Citus cluster as Citus does, which is t's alone: for what
// must hold for all that is in a database, or changes it for all. It takes some seconds.
func OwnCitus(t testing.TB) string {
	t.Helper()
	if !localpg.HasCitus() {
		t.Skip("the Citus extension is not installed")
	}
	s := &shared{workers: 2}
	if s.start(); s.err != nil {
		t.Fatal(s.err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s.dsn
}

// Each runs fn as the subtests "postgres" and "citus", each with a DSN as from
// Plain and Citus.
func Each(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) { fn(t, Plain(t)) })
	t.Run("citus", func(t *testing.T) { fn(t, Citus(t)) })
}

// One is Each, and in the short tests runs fn on one of them alone, Citus where it is installed: for
// what takes long, and goes the same way on both but for what others test.
func One(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	switch {
	case !testing.Short():
		Each(t, fn)
	case os.Getenv(citusEnv) != "" || localpg.HasCitus():
		t.Run("citus", func(t *testing.T) { fn(t, Citus(t)) })
	default:
		t.Run("postgres", func(t *testing.T) { fn(t, Plain(t)) })
	}
}

// Connect returns a connection to dsn that is closed after t.
func Connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := conn.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return conn
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
		s.create = copyFiles(s.dsn)
	}
}

// copyFiles returns what lets CREATE DATABASE copy the template's files. Since version 15 a
// server otherwise writes all of them to its log, which takes several times as long where
// nothing is durable.
func copyFiles(dsn string) string {
	if ask(dsn, "SELECT 'yes' WHERE current_setting('server_version_num')::int >= 150000") == "\nyes" {
		return " STRATEGY file_copy"
	}
	return ""
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

func (s *shared) stop() error {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Stop()
}

// newName returns a name that no other test has, and that tells which test it is
// from.
func newName(t testing.TB) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(t.Name()))
	const most = 40 // of the 63 bytes of a name
	return "t_" + readable[:min(len(readable), most)] + "_" + strings.ToLower(rand.Text()[:12])
}

// exec runs sql on a connection of its own, also when t is being cleaned up.
func exec(t testing.TB, dsn, sql string) {
	t.Helper()
	if err := execute(dsn, sql); err != nil {
		t.Fatal(err)
	}
}

// execute runs statements on a connection of its own.
func execute(dsn string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		_, err := conn.Exec(ctx, sql)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w; in the server: %s", err, sessions(dsn))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// Sessions returns what the sessions of a server, and of the nodes of its cluster, do and wait
// for, what is prepared there, and which moves of shards are under way: to be read by a person.
func Sessions(dsn string) string {
	said := sessions(dsn)
	u, err := url.Parse(dsn)
	if err != nil {
		return said
	}
	for _, port := range strings.Fields(ask(dsn, "SELECT nodeport::text FROM pg_dist_node WHERE groupid <> 0")) {
		u.Host = u.Hostname() + ":" + port
		said += "\nnode " + port + ":" + sessions(u.String())
	}
	return said
}

// sessions is Sessions of one server.
func sessions(dsn string) string {
	return ask(dsn, `SELECT format(E'%s %s (%s since %s, waits for %s %s, behind %s): %s', pid, application_name, state, state_change::time(0), wait_event_type, wait_event, pg_blocking_pids(pid), left(query, 200))
		FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type IN ('client backend', 'logical replication worker', 'walsender')
		UNION ALL SELECT format('%s is prepared since %s', gid, prepared::time(0)) FROM pg_prepared_xacts
		UNION ALL SELECT format('subscription %s, of workers: %s', subname, (SELECT count(pid) FROM pg_stat_subscription s WHERE s.subid = b.oid)) FROM pg_subscription b
		UNION ALL SELECT format('slot %s, active: %s', slot_name, active) FROM pg_replication_slots`)
}

// ask returns the texts that a query gives, each on a line of its own, or why it gives none.
func ask(dsn, sql string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err.Error()
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err.Error()
	}
	return "\n" + strings.Join(lines, "\n")
}

func edit(t testing.TB, dsn string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("dsn: not a URL") // the error would quote it, password and all
	}
	change(u)
	return u.String()
}
