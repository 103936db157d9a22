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
	plain.exec(t, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+plain.template)
	t.Cleanup(func() {
		// It waits for every session of the server, those of other tests, too, even one that
		// waits for its client in the middle of a COPY. A server of our own is gone soon.
		if err := plain.execute("DROP DATABASE " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)"); err != nil && plain.cluster == nil {
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
	citus.exec(t, "CREATE SCHEMA "+pgx.Identifier{name}.Sanitize())
	t.Cleanup(func() {
		citus.exec(t, "DROP SCHEMA "+pgx.Identifier{name}.Sanitize()+" CASCADE")
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
		if err := executeOn(ctx, conn, dsn, sql); err != nil {
			return err
		}
	}
	return nil
}

// executeOn runs sql on conn, a connection to the server at dsn.
func executeOn(ctx context.Context, conn *pgx.Conn, dsn, sql string) error {
	_, err := conn.Exec(ctx, sql)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w; in the server: %s", err, sessions(dsn))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
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
