package loader_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// A meanwhile is what somebody does between two runs of a load.
type meanwhile struct {
	name string
	do   func(t *testing.T, dsn string, conn *pgx.Conn, path string)
	cfg  func(*loader.Config) // of the second run
	want string               // in its *JobError; "" if it completes the load
	on   string               // "citus" or "both"; "" is plain PostgreSQL alone
}

// sql makes what somebody does of a statement.
func sql(statement string) func(*testing.T, string, *pgx.Conn, string) {
	return func(t *testing.T, _ string, conn *pgx.Conn, _ string) {
		exec(t, conn, statement)
	}
}

// edit makes what somebody does of a change of the input.
func edit(change func(data []byte) []byte) func(*testing.T, string, *pgx.Conn, string) {
	return func(t *testing.T, _ string, _ *pgx.Conn, path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// madeAnew drops the table and makes it again as it was.
func madeAnew(t *testing.T, dsn string, conn *pgx.Conn, _ string) {
	exec(t, conn, "DROP TABLE flowing")
	makeFlowing(t, dsn)
}

// rebuilt drops the table and makes it again with the rows that it had.
func rebuilt(t *testing.T, dsn string, conn *pgx.Conn, path string) {
	exec(t, conn, "CREATE TABLE saved AS SELECT * FROM flowing")
	madeAnew(t, dsn, conn, path)
	exec(t, conn, "INSERT INTO flowing SELECT * FROM saved")
}

const (
	firstShard = "(SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'flowing'::regclass ORDER BY shardid LIMIT 1)"
	others     = "INSERT INTO flowing (id, tenant) SELECT g, g % 50 FROM generate_series(1000001, 1005000) AS g"
	// changedPlaces lets two columns change names.
	changedPlaces = "DO $$ BEGIN ALTER TABLE flowing RENAME id TO other; ALTER TABLE flowing RENAME tenant TO id; ALTER TABLE flowing RENAME other TO tenant; END $$"
	someRows      = "DELETE FROM flowing WHERE tenant = (SELECT tenant FROM flowing LIMIT 1)"
)

// emptied is what is said of a table that has lost its rows.
const emptied = "load it anew"

// meanwhiles are the same for unfinished and for complete jobs.
var meanwhiles = []meanwhile{
	{name: "truncate", do: sql("TRUNCATE flowing"), want: emptied},
	{name: "delete all", do: sql("DELETE FROM flowing"), want: emptied},
	{name: "delete some", on: "both", do: sql(someRows), want: emptied},
	{name: "made anew with rows", do: rebuilt, want: "the table was rebuilt"},
	{name: "truncate and refill", on: "both", do: sql("TRUNCATE flowing; " + others), want: "was rewritten since"},
	{name: "vacuum full", do: sql("VACUUM FULL flowing"), want: "go on with Config.Rewritten"},
	{name: "other null", cfg: func(c *loader.Config) { c.Null = "NULL" }, want: `null "NULL"`},
	{name: "alter_distributed_table", on: "citus", do: sql("SELECT alter_distributed_table('flowing', shard_count := 4, cascade_to_colocated := true)"), want: "the table was rebuilt"},
	{name: "undistribute_table", on: "citus", do: sql("SELECT undistribute_table('flowing')"), want: "the table was rebuilt"},

	{name: "nothing"},
	{name: "vacuum full and said so", do: sql("VACUUM FULL flowing"), cfg: func(c *loader.Config) { c.Rewritten = true }},
	{name: "add column", do: sql("ALTER TABLE flowing ADD COLUMN extra int")},
	{name: "made anew", on: "both", do: madeAnew},
	{name: "replace", do: func(t *testing.T, dsn string, _ *pgx.Conn, _ string) {
		if err := loader.Truncate(context.Background(), parse(t, dsn), "flowing"); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "move", on: "citus", do: func(t *testing.T, dsn string, conn *pgx.Conn, _ string) {
		move(t, conn, dsn, shards(t, conn, "flowing")[0], "block_writes")
	}},
	{name: "split", on: "citus", do: sql("SELECT citus_split_shard_by_split_points(s.shardid, ARRAY[((s.shardminvalue::bigint + s.shardmaxvalue::bigint) / 2)::text], ARRAY[n, n], 'block_writes') FROM pg_dist_shard s, (SELECT min(nodeid)::int AS n FROM pg_dist_node WHERE groupid > 0) AS w WHERE s.shardid = " + firstShard)},
	{name: "isolate tenant", on: "citus", do: sql("SELECT isolate_tenant_to_new_shard('flowing', 42, 'CASCADE', shard_transfer_mode := 'block_writes')")},
}

// TestBetweenRuns holds that what happens between two runs of a load is either of no
// consequence or noticed: then the error says what to do, and that helps.
func TestBetweenRuns(t *testing.T) {
	t.Parallel()
	unfinished := append([]meanwhile{
		{name: "other delimiter", cfg: func(c *loader.Config) { c.Delimiter = ';' }, do: edit(func(d []byte) []byte { return bytes.ReplaceAll(d, []byte(","), []byte(";")) }), want: `delimiter ','`},
		{name: "columns change places", on: "both", do: sql(changedPlaces), want: "its fields went into the columns"},
		{name: "column made anew", do: sql("ALTER TABLE flowing DROP COLUMN name; ALTER TABLE flowing ADD COLUMN name text"), want: "name (number 6)"},
		{name: "other time zone", cfg: func(c *loader.Config) { c.Conn.RuntimeParams["timezone"] = "Asia/Tokyo" }, want: "TimeZone Asia/Tokyo"},
		{name: "primary key", do: sql("ALTER TABLE flowing ADD PRIMARY KEY (id)"), want: "primary key"},
		{name: "progress dropped", do: sql(`DO $$ DECLARE p text; BEGIN SELECT progress INTO p FROM shardload_jobs; EXECUTE 'DROP TABLE ' || p; END $$`), want: emptied},
		{name: "progress emptied", on: "both", do: sql(`DO $$ DECLARE p text; BEGIN SELECT progress INTO p FROM shardload_jobs; EXECUTE 'DELETE FROM ' || p || ' WHERE lane = 3'; END $$`), want: emptied},
		{name: "rename", do: sql("ALTER TABLE flowing RENAME TO flown"), cfg: func(c *loader.Config) { c.Table = "flown" }},
	}, meanwhiles...)
	complete := append([]meanwhile{
		{name: "rename", do: sql("ALTER TABLE flowing RENAME TO flown"), cfg: func(c *loader.Config) { c.Table = "flown" }},
	}, meanwhiles...)
	for _, server := range []string{"postgres", "citus"} {
		t.Run(server, func(t *testing.T) {
			for i, m := range unfinished {
				if shared := i - (len(unfinished) - len(meanwhiles)); testing.Short() && m.want != "" && shared >= 0 && shared%2 == 0 {
					continue // it happens to the complete job
				}
				m.test(t, server, "unfinished", 10)
			}
			for i, m := range complete {
				if shared := i - (len(complete) - len(meanwhiles)); testing.Short() && shared%2 == 1 {
					continue // it happens to the unfinished job
				}
				m.test(t, server, "complete", 0)
			}
		})
	}
}

// test tries m, if it happens on such a server.
func (m meanwhile) test(t *testing.T, server, job string, batches int64) {
	start := pgtest.Plain
	if server == "citus" {
		start = pgtest.Citus
	}
	if job == "complete" && (server == "citus" && !long() || testing.Short() && m.want == "") {
		return
	}
	if testing.Short() && server == "citus" && len(m.name)%2 == 0 {
		return // the others' turn
	}
	if on := cmp.Or(m.on, "postgres"); on == server || on == "both" {
		t.Run(job+"/"+m.name, func(t *testing.T) { m.try(t, start(t), batches) })
	}
}

// try loads that many batches, or all, and loads again after the meanwhile.
func (m meanwhile) try(t *testing.T, dsn string, batches int64) {
	conn := makeFlowing(t, dsn)
	path, rows := flowFile(t, 3000)
	cfg := pieces(t, dsn)
	if _, err := run(t, cfg, loader.File(path), batches); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if m.do != nil {
		m.do(t, dsn, conn, path)
	}
	if m.cfg != nil {
		m.cfg(&cfg)
	}
	before := query(t, conn, "SELECT count(*) FROM "+cfg.Table)[0]
	_, err := run(t, cfg, loader.File(path), 0)
	if m.want != "" {
		_, ok := errors.AsType[*loader.JobError](err)
		if !ok || !strings.Contains(err.Error(), m.want) {
			t.Errorf("error %v\nwant a JobError with %q", err, m.want)
		}
		if got := query(t, conn, "SELECT count(*) FROM flowing")[0]; got != before {
			t.Errorf("%s rows, and %s before the second run", got, before)
		}
		if err := loader.Truncate(context.Background(), parse(t, dsn), cfg.Table); err != nil {
			t.Fatal(err)
		}
		rows = strings.Count(string(read(t, path)), "\n") - 1
		_, err = run(t, cfg, loader.File(path), 0)
		if strings.HasPrefix(m.name, "other ") {
			if got := query(t, conn, "SELECT count(*) FROM flowing")[0]; err != nil || got != fmt.Sprint(rows) {
				t.Errorf("after --replace: %s rows, want %d; %v", got, rows, err)
			}
			return
		}
	}
	if _, done := errors.AsType[*loader.CompleteError](err); err != nil && !done {
		t.Fatal(err)
	}
	sameRows(t, conn, cfg.Table, rows)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
