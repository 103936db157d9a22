package verify_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/verify"
)

func portText(port int32) string { return strconv.Itoa(int(port)) }

// foreignShard returns a shard of table that does not own value, and its node.
func foreignShard(t *testing.T, conn *pgx.Conn, table, value string) (shard, node string) {
	t.Helper()
	err := conn.QueryRow(context.Background(), fmt.Sprintf(`
		SELECT shard_name, nodename || ':' || nodeport FROM citus_shards
		 WHERE table_name = '%s'::regclass AND shardid <> get_shard_id_for_distribution_column('%s', %s)
		 ORDER BY shardid LIMIT 1`, table, table, value)).Scan(&shard, &node)
	if err != nil {
		t.Fatal(err)
	}
	return shard, node
}

func placement(t *testing.T, conn *pgx.Conn, table string) verify.PlacementCheck {
	t.Helper()
	got, err := verify.Placement(context.Background(), conn, []string{table})
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

// A row that was put into another tenant's shard is counted and has its parent
// in no shard; its repair brings it home.
func TestMisplacedRowIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	conn := load(t, pgtest.Citus(t))
	shard, node := foreignShard(t, conn, "ads", "5")
	worker := connectNode(t, conn, node)
	exec(t, worker, `INSERT INTO `+shard+` VALUES (9001, 5, 1, 'ad', 'u', 'u', 1, 1, now(), now()), (9002, 5, 1, 'ad', 'u', 'u', 1, 1, now(), now())`)

	r := check(t, conn)
	want := verify.Misplaced{Shard: shard, Node: node, Rows: 2}
	got := r.Placement[2]
	if len(got.Misplaced) != 1 || got.Rows != 2002 {
		t.Fatalf("placement: %+v, want one shard with misplaced rows", got)
	}
	if diff := cmp.Diff(want, got.Misplaced[0], cmpopts.IgnoreFields(want, "Problem", "Repair")); diff != "" {
		t.Errorf("misplaced (-want +got):\n%s", diff)
	}
	problem := fmt.Sprintf("ads: 2 rows in shard %s on %s belong to other shards", shard, node)
	remedy := "; to bring them home, run on " + node + ": WITH misplaced AS (DELETE FROM " + shard
	if found := strings.Join(r.Problems(), "\n"); r.OK() || !strings.Contains(found, problem) || !strings.Contains(found, remedy) {
		t.Errorf("problems: %s\nwant: %s…%s…", found, problem, remedy)
	}

	exec(t, worker, got.Misplaced[0].Repair)
	if got := placement(t, conn, "ads"); len(got.Misplaced) > 0 || got.Rows != 2002 {
		t.Errorf("after the repair: %+v", got)
	}
	var home int
	err := conn.QueryRow(context.Background(), `SELECT count(*) FROM ads WHERE company_id = 5 AND id IN (9001, 9002)`).Scan(&home)
	if err != nil || home != 2 {
		t.Errorf("%d rows are found by their tenant after the repair, want 2 (%v)", home, err)
	}
}

func TestPlacementOfOddTables(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, table string
		make        []string
		insert      string // into the table
		value       string // one that is inserted
		damage      string // a row of that value, to be put into the wrong shard
	}{
		{
			"text with a collation and odd names", `"Odd ""t"`,
			[]string{
				`CREATE TABLE "Odd ""t" ("The ""key" text COLLATE "C", n bigint GENERATED ALWAYS AS IDENTITY, twice integer GENERATED ALWAYS AS (7 * 2) STORED)`,
				`SELECT create_distributed_table('"Odd ""t"', 'The "key')`,
			},
			`INSERT INTO "Odd ""t" ("The ""key") SELECT 'tenant ' || g FROM generate_series(1, 100) g`,
			`'tenant 7'`, `INSERT INTO %s ("The ""key", n) OVERRIDING SYSTEM VALUE VALUES ('tenant 7', 7)`,
		},
		{
			"uuid in a long name", strings.Repeat("long", 15) + "est",
			[]string{
				`CREATE TABLE ` + strings.Repeat("long", 15) + `est (k uuid)`,
				`SELECT create_distributed_table('` + strings.Repeat("long", 15) + `est', 'k')`,
			},
			`INSERT INTO ` + strings.Repeat("long", 15) + `est SELECT md5(g::text)::uuid FROM generate_series(1, 100) g`,
			`md5('7')::uuid`, `INSERT INTO %s VALUES (md5('7')::uuid)`,
		},
		{
			"partitioned", "parts",
			[]string{
				`CREATE TABLE parts (k integer, at date) PARTITION BY RANGE (at)`,
				`CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')`,
				`CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')`,
				`SELECT create_distributed_table('parts', 'k')`,
			},
			`INSERT INTO parts SELECT g, '2024-06-01'::date + 4 * g FROM generate_series(1, 100) g`,
			"7", `INSERT INTO %s VALUES (7, '2025-06-01')`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := pgtest.Connect(t, pgtest.Citus(t))
			exec(t, conn, tt.make...)
			exec(t, conn, tt.insert)
			if got := placement(t, conn, tt.table); got.Rows != 100 || got.Shards != 8 || len(got.Misplaced) > 0 {
				t.Fatalf("intact: %+v", got)
			}
			shard, node := foreignShard(t, conn, tt.table, tt.value)
			worker := connectNode(t, conn, node)
			exec(t, worker, fmt.Sprintf(tt.damage, shard))
			got := placement(t, conn, tt.table)
			if got.Rows != 101 || len(got.Misplaced) != 1 || got.Misplaced[0].Rows != 1 {
				t.Fatalf("damaged: %+v", got)
			}
			exec(t, worker, got.Misplaced[0].Repair)
			if got := placement(t, conn, tt.table); got.Rows != 101 || len(got.Misplaced) > 0 {
				t.Errorf("repaired: %+v", got)
			}
		})
	}
}

func TestPlacementFindsNulls(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	exec(t, conn, `CREATE TABLE t (k integer)`, `SELECT create_distributed_table('t', 'k')`)
	shard, node := foreignShard(t, conn, "t", "1")
	exec(t, connectNode(t, conn, node), `INSERT INTO `+shard+` VALUES (NULL), (NULL)`)
	want := []verify.Misplaced{{
		Shard: shard, Node: node, Nulls: 2,
		Problem: fmt.Sprintf("2 rows in shard %s on %s have no k: delete them there", shard, node),
	}}
	if diff := cmp.Diff(want, placement(t, conn, "t").Misplaced); diff != "" {
		t.Errorf("misplaced (-want +got):\n%s", diff)
	}
}

// TestPlacementOfRowsOfNulls holds that a composite value all of NULLs is a value: it has a
// place, where queries find its rows, and SQL says alone of it that it IS NULL.
func TestPlacementOfRowsOfNulls(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	exec(t, conn, `CREATE TYPE label AS ENUM ('a')`)
	for name, fields := range map[string]string{"hashed": "a integer, b text", "labelled": "a label, b text"} {
		exec(t, conn, `CREATE TYPE comp_`+name+` AS (`+fields+`)`, `CREATE TABLE `+name+` (k comp_`+name+`)`, `SELECT create_distributed_table('`+name+`', 'k')`,
			`INSERT INTO `+name+` SELECT ROW(NULL, NULL)::comp_`+name+` UNION ALL SELECT ROW(NULL, 'x')::comp_`+name)
		if got := placement(t, conn, name); got.Rows != 2 || len(got.Misplaced) > 0 {
			t.Errorf("%s: intact: %+v", name, got)
		}
		shard, node := foreignShard(t, conn, name, "ROW(NULL, NULL)::comp_"+name)
		exec(t, connectNode(t, conn, node), `INSERT INTO `+shard+` VALUES (NULL)`)
		if got := placement(t, conn, name).Misplaced; len(got) != 1 || got[0].Nulls != 1 || got[0].Rows != 0 {
			t.Errorf("%s: with a NULL: %+v", name, got)
		}
		exec(t, conn, "DROP TABLE "+name) // with the schema, after its type, Citus cannot
	}
}

func TestPlacementSkipsWhatIsNotHashed(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
	exec(t, conn, `CREATE TABLE here (k integer)`, `CREATE TABLE everywhere (k integer)`, `CREATE TABLE one (k integer)`,
		`SELECT create_reference_table('everywhere')`, `SELECT create_distributed_table('one', NULL)`)
	for table, want := range map[string]string{"here": "local", "everywhere": "reference", "one": "single"} {
		if got := placement(t, conn, table).Skipped; got != "not distributed by hash but "+want {
			t.Errorf("%s: skipped because %q, want %s", table, got, want)
		}
	}
	if _, err := verify.Placement(context.Background(), conn, []string{"nowhere"}); err == nil {
		t.Error("no error for a table that does not exist")
	}
}
