package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
)

// A killing is a moment at which a load that defers indexes is killed.
type killing struct {
	name string
	// lockAt is the condition under which a writer locks the table, "" for not at all; then is
	// the one under which the load is killed, with the lock still there.
	lockAt, then string
}

const (
	indexesGone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = 'events'::regclass AND NOT indisunique)"
	built       = "SELECT 1 FROM pg_index WHERE indrelid = 'events'::regclass AND NOT indisunique"
	waitsFor    = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'events'::regclass AND mode = '%s'"
)

var killings = []killing{
	{"before the drop", "SELECT 1", fmt.Sprintf(waitsFor, "AccessExclusiveLock")},
	{"after the drop", "", indexesGone},
	{"in the load", "", "SELECT 1 FROM (SELECT count(*) AS n FROM events) AS e WHERE n > 5000"},
	{"before the build", indexesGone, fmt.Sprintf(waitsFor, "ShareLock")},
	{"in the build", "", built},
	{"after all", "", "SELECT 1 WHERE to_regclass('shardload_jobs') IS NOT NULL AND EXISTS (SELECT FROM shardload_jobs WHERE finished IS NOT NULL)"},
}

// TestKilledIndexes kills a load with --defer-indexes with SIGKILL between its steps, and runs it
// again: every row is stored once, and all indexes are as they were, on every shard.
func TestKilledIndexes(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		runSQL(t, conn, "CREATE TABLE events (id int, tenant int, what text, PRIMARY KEY (id, tenant))")
		onCitus := strings.HasSuffix(t.Name(), "/citus")
		if onCitus {
			runSQL(t, conn, "SELECT create_distributed_table('events', 'tenant', colocate_with => 'none')")
		}
		for _, sql := range []string{
			"CREATE INDEX events_what ON events (what)", "CREATE INDEX events_expr ON events ((id % 10), lower(what)) WHERE id > 100",
			"CREATE INDEX events_hash ON events USING hash (what)", "CREATE INDEX events_gin ON events USING gin (string_to_array(what, ' '))",
			"ALTER INDEX events_expr ALTER COLUMN 1 SET STATISTICS 99", "CREATE UNIQUE INDEX events_once ON events (tenant, id, what)", "COMMENT ON INDEX events_hash IS 'it is'",
		} {
			runSQL(t, conn, sql)
		}
		before := indexesOf(t, conn, onCitus)
		path, records := filepath.Join(t.TempDir(), "events.csv"), 30_000
		var in bytes.Buffer
		in.WriteString("id,tenant,what\n")
		for i := range records {
			fmt.Fprintf(&in, "%d,%d,what %d\n", i, i%89, i*7)
		}
		if err := os.WriteFile(path, in.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		load := func() (*exec.Cmd, *bytes.Buffer) {
			cmd := command(dsn, "load", "--table", "events", "--defer-indexes", "--batch", "60kB", "--memory", "8MiB", path)
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			return cmd, &said
		}
		for _, k := range killings {
			t.Run(k.name, func(t *testing.T) {
				runSQL(t, conn, "TRUNCATE events")
				runSQL(t, conn, "DO $$BEGIN IF to_regclass('shardload_jobs') IS NOT NULL THEN DELETE FROM shardload_jobs; END IF; END$$")
				if k.lockAt == "SELECT 1" {
					defer lockEvents(t, dsn)()
				}
				cmd, said := load()
				unlock := func() {}
				if k.lockAt == indexesGone {
					awaitRow(t, conn, said, k.lockAt)
					unlock = lockEvents(t, dsn)
				}
				if k.then == built { // again
					awaitRow(t, conn, said, indexesGone)
				}
				awaitRow(t, conn, said, k.then)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				unlock()
			})
			cmd, said := load()
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%s: again: %v\n%s", k.name, err, said)
			}
			if diff := cmp.Diff(before, indexesOf(t, conn, onCitus)); diff != "" {
				t.Errorf("%s: indexes (-before +after):\n%s\n%s", k.name, diff, said)
			}
			const digest = "SELECT count(*), count(DISTINCT id), sum(hashtextextended(concat_ws('|', id, tenant, what), 0)) FROM "
			want := row(t, conn, digest+fmt.Sprintf("(SELECT i AS id, i %% 89 AS tenant, 'what ' || i * 7 AS what FROM generate_series(0, %d) AS i) AS e", records-1))
			if diff := cmp.Diff(want, row(t, conn, digest+"events")); diff != "" {
				t.Errorf("%s: count, different, sum (-want +got):\n%s", k.name, diff)
			}
			if left := row(t, conn, "SELECT count(*) FROM pg_class WHERE relname ~ '^shardload_(indexes|trial)_' AND relnamespace = current_schema()::regnamespace"); left != "(0)" {
				t.Errorf("%s: %s relations are left behind", k.name, left)
			}
		}
	})
}

// lockEvents locks the table as a writer does, until unlock is called.
func lockEvents(t *testing.T, dsn string) (unlock func()) {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	runSQL(t, conn, "BEGIN; LOCK TABLE events IN ROW EXCLUSIVE MODE")
	return func() { runSQL(t, conn, "COMMIT") }
}

// awaitRow waits until sql has a row.
func awaitRow(t *testing.T, conn *pgx.Conn, said fmt.Stringer, sql string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		rows, err := conn.Query(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		there := rows.Next()
		rows.Close()
		if there {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no row yet: %s\n%s", sql, said)
		}
	}
}

// indexesOf returns what the indexes of events are, on each shard, too.
func indexesOf(t *testing.T, conn *pgx.Conn, onCitus bool) string {
	t.Helper()
	const of = `SELECT coalesce(string_agg(pg_get_indexdef(indexrelid) || ' ' || indisvalid || coalesce(' ' || %[2]s, '') ||
		coalesce((SELECT string_agg(attnum || ' ' || attstattarget, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = indexrelid AND attstattarget >= 0), ''), E'\n' ORDER BY indexrelid::regclass::text), '')
		FROM pg_index WHERE indrelid = '%[1]s'::regclass`
	list := row(t, conn, fmt.Sprintf(of, "events", "obj_description(indexrelid, 'pg_class')"))
	if onCitus {
		list += row(t, conn, "SELECT string_agg(shardid || result, E'\n' ORDER BY shardid) FROM run_command_on_shards('events', $$"+fmt.Sprintf(of, "%s", "''")+"$$)")
	}
	return list
}
