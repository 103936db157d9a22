package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// homes returns how many of the lanes lie in their own shards, as Citus has it.
func homes(t *testing.T, conn *pgx.Conn, target ledger.Target, j *ledger.Job) (n int) {
	t.Helper()
	for _, l := range readLanes(t, conn, target, j) {
		var shard int64
		row := conn.QueryRow(context.Background(), fmt.Sprintf("SELECT get_shard_id_for_distribution_column($1::text, key) FROM %s WHERE lane = $2::int", j.Progress), target.Table.SQL(), l.Number)
		if err := row.Scan(&shard); err != nil {
			t.Fatal(err)
		}
		var own bool
		for _, s := range target.Distribution.Shards {
			own = own || s.ID == shard && s.Min == l.Min && s.Max == l.Max
		}
		if own != l.Home() {
			t.Errorf("lane %d has the key %s: Home() is %v, and Citus says %v", l.Number, l.Key, l.Home(), own)
		}
		if own {
			n++
		}
	}
	return n
}

// Each shard has a progress row of its own, colocated, for any type that Citus
// distributes by.
func TestKeys(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.Exec(t, conn,
		`CREATE DOMAIN "Tenant no" AS int CHECK (VALUE BETWEEN 0 AND 5000)`,
		`CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0)`,
		`CREATE DOMAIN code AS varchar(9) COLLATE "C"`,
		`CREATE TYPE pair AS (a int, b text)`,
		`CREATE TYPE few AS ENUM ('a', 'b', 'it''s', '\')`)
	for _, c := range []struct {
		typ     string
		samples []string
		home    int // of 4 shards, -1 for at least one: few values there are
	}{
		{"smallint", nil, 4},
		{"integer", nil, 4},
		{"bigint", nil, 4},
		{"numeric(9,2)", nil, 4},
		{"real", nil, 4},
		{"double precision", nil, 4},
		{"text", nil, 4},
		{`text COLLATE "C"`, nil, 4},
		{"varchar(3)", nil, 4},
		{"char(5)", nil, 4},
		{"name", nil, 4},
		{"uuid", nil, 4},
		{"bytea", nil, 4},
		{"date", nil, 4},
		{"timestamp", nil, 4},
		{"timestamptz(0)", nil, 4},
		{"time", nil, 4},
		{"interval", nil, 4},
		{"inet", nil, 4},
		{"jsonb", nil, 4},
		{"macaddr", []string{"08:00:2b:01:02:03", "08:00:2b:01:02:04"}, -1},
		{"int[]", []string{"{1}", "{2,3}", ""}, -1},
		{"pair", []string{`(1,"x y")`}, -1},
		{"boolean", nil, -1},
		{"few", []string{"a", "it's", `\`}, -1},
		{`"Tenant no"`, nil, 4},
		{"even", []string{"2", "4", "6", "8", "10", "12", "14", "16", "18", "20"}, -1},
		{"code", nil, 4},
	} {
		t.Run(c.typ, func(t *testing.T) {
			pgtest.Exec(t, conn, "CREATE TABLE t (k "+c.typ+")", "SELECT create_distributed_table('t', 'k', shard_count => 4, colocate_with => 'none')")
			defer pgtest.Exec(t, conn, "DROP TABLE t")
			target := targetOf(t, conn, "t")
			j := newJob(t, conn, target, "in")
			if err := ledger.Create(context.Background(), conn, target, j, newLanes(target), c.samples); err != nil {
				t.Fatal(err)
			}
			if got := homes(t, conn, target, j); got != c.home && (c.home >= 0 || got == 0) {
				t.Errorf("%d lanes are at home, want %d", got, c.home)
			}
			same := pgtest.Query(t, conn, "SELECT count(DISTINCT colocationid) FROM pg_dist_partition WHERE logicalrelid IN ('t'::regclass, '"+j.Progress+"'::regclass)")
			if same[0] != "1" {
				t.Error("target and progress are not colocated")
			}
			finish(t, conn, target, j, readLanes(t, conn, target, j)) // rows of any key can be found again
		})
	}
}

// A type of which no value is known says so, and what to do.
func TestKeyCannotBeFound(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.Exec(t, conn, "CREATE TABLE t (k macaddr)", "SELECT create_distributed_table('t', 'k', shard_count => 4, colocate_with => 'none')")
	target := targetOf(t, conn, "t")
	err := ledger.Create(context.Background(), conn, target, &ledger.Job{ID: ledger.NewID(), Name: "in", Fingerprint: print}, newLanes(target), []string{"no address", ""})
	if err == nil || !strings.Contains(err.Error(), `column "k"`) || !strings.Contains(err.Error(), "Config.NoResume") {
		t.Errorf("error %v, want one that names the column and what to do", err)
	}
}

// newSplitTable makes a table of two shards, the first of which is then divided
// unevenly, and in which the tenant 'only' has a shard of its own.
func split(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	first := pgtest.Query(t, conn, "SELECT shardid, shardminvalue::int + 1000 FROM pg_dist_shard WHERE logicalrelid = 't'::regclass ORDER BY shardminvalue::int LIMIT 1")[0]
	shard, point, _ := strings.Cut(first, "|")
	nodes := pgtest.Query(t, conn, "SELECT string_agg(nodeid::text, ',') FROM (SELECT nodeid FROM pg_dist_node WHERE shouldhaveshards ORDER BY nodeid LIMIT 2) AS n")[0]
	pgtest.Exec(t, conn,
		fmt.Sprintf("SELECT citus_split_shard_by_split_points(%s, ARRAY['%s'], ARRAY[%s], 'block_writes')", shard, point, nodes),
		"SELECT isolate_tenant_to_new_shard('t', 'only', 'CASCADE', shard_transfer_mode => 'block_writes')")
}

func newTextTable(t *testing.T) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.Exec(t, conn, "CREATE TABLE t (k text, v int, PRIMARY KEY (k, v))", "SELECT create_distributed_table('t', 'k', shard_count => 2, colocate_with => 'none')")
	return conn
}

// Where a range has one hash only the input has a value for it. A range for which
// there is none borrows a key.
func TestUnevenRanges(t *testing.T) {
	ctx := context.Background()
	conn := newTextTable(t)
	split(t, conn)
	target := targetOf(t, conn, "t")
	shards := len(target.Distribution.Shards)
	for _, c := range []struct {
		samples []string
		home    int
	}{{nil, shards - 2}, {[]string{"other", "only"}, shards - 1}} {
		j := newJob(t, conn, target, "in")
		if err := ledger.Create(ctx, conn, target, j, newLanes(target), c.samples); err != nil {
			t.Fatal(err)
		}
		if got := homes(t, conn, target, j); got != c.home {
			t.Errorf("samples %q: %d of %d lanes are at home, want %d", c.samples, got, shards, c.home)
		}
	}
}

// After a split each new shard has a lane with the mark of the old one, once.
func TestSplit(t *testing.T) {
	ctx := context.Background()
	conn := newTextTable(t)
	before := targetOf(t, conn, "t")
	j, lanes := create(t, conn, before, "in")
	for i := range lanes {
		s := ledger.Step{To: ledger.Mark{Chunk: int64(i) + 1, Records: 5}, Place: ledger.Place{Offset: 100, Line: 10}, Rows: 20}
		if n := update(t, conn, markSQL(before, j.Progress, lanes[i], s)); n != 1 {
			t.Fatal(n)
		}
	}
	split(t, conn)
	after := targetOf(t, conn, "t")
	lanes = readLanes(t, conn, after, j)
	for _, want := range []bool{true, false} {
		changed, err := ledger.Split(ctx, conn, after, j, readLanes(t, conn, after, j), after.Distribution.Shards)
		if err != nil || changed != want {
			t.Fatalf("Split() = %v, %v; want %v", changed, err, want)
		}
	}
	var rows int64
	ranges := map[citus.Shard]bool{}
	for _, l := range readLanes(t, conn, after, j) {
		ranges[citus.Shard{Min: l.Min, Max: l.Max}] = true
		rows += l.Rows
		parent := lanes[0]
		if l.Min >= lanes[1].Min {
			parent = lanes[1]
		}
		if l.Mark != parent.Mark || l.Place != parent.Place {
			t.Errorf("lane %+v is not a part of %+v", l, parent)
		}
	}
	want := map[citus.Shard]bool{}
	for _, s := range after.Distribution.Shards {
		want[citus.Shard{Min: s.Min, Max: s.Max}] = true
	}
	if diff := cmp.Diff(want, ranges); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
	if rows != 40 {
		t.Errorf("the lanes have %d rows, want 40", rows)
	}
}

// A part of which no value is known borrows the key that the lane had.
func TestSplitBorrowsKey(t *testing.T) {
	ctx := context.Background()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.Exec(t, conn, "CREATE TABLE t (k boolean)", "SELECT create_distributed_table('t', 'k', shard_count => 1, colocate_with => 'none')")
	j, lanes := create(t, conn, targetOf(t, conn, "t"), "in")
	// No shard is divided here: the ranges alone matter, and all values lie in one.
	cut := lanes[0].KeyHash
	parts := []citus.Shard{{Min: lanes[0].Min, Max: cut}, {Min: cut + 1, Max: cut + 1}, {Min: cut + 2, Max: lanes[0].Max}}
	parts = parts[:2]
	pgtest.Exec(t, conn, fmt.Sprintf("UPDATE %s SET max = %d", j.Progress, parts[1].Max))
	lanes[0].Max = parts[1].Max
	target := targetOf(t, conn, "t")
	if changed, err := ledger.Split(ctx, conn, target, j, lanes, parts); err != nil || !changed {
		t.Fatalf("Split() = %v, %v", changed, err)
	}
	got := pgtest.Query(t, conn, "SELECT key, min, max FROM "+j.Progress+" ORDER BY min")
	key := lanes[0].Key[:1]
	want := []string{fmt.Sprintf("%s|%d|%d", key, parts[0].Min, parts[0].Max), fmt.Sprintf("%s|%d|%d", key, parts[1].Min, parts[1].Max)}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A table without a distribution column has one lane, and in a schema that is
// distributed as a whole the progress is colocated by itself.
func TestSingleShard(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
	schema := "tenant_" + strings.ToLower(ledger.NewID())
	pgtest.Exec(t, conn, "CREATE TABLE single (k int)", "SELECT create_distributed_table('single', NULL)",
		"SET citus.enable_schema_based_sharding = on", "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".t (k int)")
	t.Cleanup(func() { pgtest.Exec(t, conn, "DROP SCHEMA "+schema+" CASCADE") })
	for _, table := range []string{"single", schema + ".t"} {
		target := targetOf(t, conn, table)
		if target.Distribution.Kind != citus.Single {
			t.Fatalf("%s is of kind %s", table, target.Distribution.Kind)
		}
		j, lanes := create(t, conn, target, "in")
		if len(lanes) != 1 || !lanes[0].Home() {
			t.Errorf("%s: lanes %+v", table, lanes)
		}
		group := pgtest.Query(t, conn, "SELECT count(DISTINCT colocationid) FROM pg_dist_partition WHERE logicalrelid IN ('"+table+"'::regclass, '"+j.Progress+"'::regclass)")
		if group[0] != "1" {
			t.Errorf("%s: target and progress are not colocated", table)
		}
		finish(t, conn, target, j, lanes)
		if found := find(t, conn, target, "in"); found == nil || !found.Complete() {
			t.Errorf("%s: %+v; want a complete job", table, found)
		}
		list, err := ledger.List(context.Background(), conn)
		if err != nil || len(list.Jobs) == 0 {
			t.Fatalf("%s: %+v in the list, %v", table, list, err)
		}
		for _, e := range list.Jobs {
			if err := ledger.Forget(context.Background(), conn, e); err != nil {
				t.Errorf("%s: %v", table, err)
			}
		}
	}
}
