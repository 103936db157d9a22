package verify_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/verify"
)

// Citus places an enum by the coordinator's OIDs, and so does verify: a node's are
// others. Nothing is printed that would send rows where a node's hashes say.
func TestPlacementOfEnums(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	var node string
	if err := conn.QueryRow(context.Background(), `SELECT nodename || ':' || nodeport FROM pg_dist_node WHERE groupid > 0 ORDER BY 1 LIMIT 1`).Scan(&node); err != nil {
		t.Fatal(err)
	}
	exec(t, connectNode(t, conn, node), `DO $$ BEGIN FOR i IN 1..50 LOOP EXECUTE 'CREATE TEMP TABLE moves_the_oids_' || i || ' (a int)'; END LOOP; END $$`)
	exec(t, conn, `CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'great', 'bored', 'odd')`, `CREATE DOMAIN feeling AS mood`)
	for _, typ := range []string{"mood", "feeling", "mood[]"} {
		table := map[string]string{"mood": "enums", "feeling": "domains", "mood[]": "arrays"}[typ]
		value := func(v string) string {
			if typ == "mood[]" {
				return "'{" + v + "}'::mood[]"
			}
			return "'" + v + "'::" + typ
		}
		exec(t, conn, `CREATE TABLE `+table+` (k `+typ+`, n int)`, `SELECT create_distributed_table('`+table+`', 'k')`)
		t.Cleanup(func() { exec(t, conn, `DROP TABLE `+table) }) // before its type
		for i, label := range []string{"sad", "ok", "happy", "great", "bored", "odd"} {
			exec(t, conn, `INSERT INTO `+table+` SELECT `+value(label)+`, g FROM generate_series(1, 50) g`)
			if got := placement(t, conn, table); got.Rows != int64(50*(i+1)) || len(got.Misplaced) > 0 {
				t.Fatalf("%s: rows of the coordinator's own: %+v", typ, got)
			}
		}
		shard, node := foreignShard(t, conn, table, value("happy"))
		exec(t, connectNode(t, conn, node), `INSERT INTO `+shard+` VALUES (`+value("happy")+`, 51)`)
		got := placement(t, conn, table)
		if len(got.Misplaced) != 1 || got.Misplaced[0].Rows != 1 || got.Misplaced[0].Shard != shard || got.Misplaced[0].Repair != "" {
			t.Errorf("%s: a row in the wrong shard: %+v", typ, got)
		}
	}
}

// Columnar tables, alone and as a partition, and xml can be verified, too.
func TestKindsOfTables(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	if _, err := conn.Exec(context.Background(), `CREATE EXTENSION IF NOT EXISTS citus_columnar`); err != nil {
		t.Skip("columnar tables: ", err)
	}
	exec(t, conn,
		`CREATE TABLE columns (k int, v text) USING columnar`,
		`CREATE TABLE mixed (k int, v text) PARTITION BY RANGE (v)`,
		`CREATE TABLE mixed_old PARTITION OF mixed FOR VALUES FROM ('a') TO ('m') USING columnar`,
		`CREATE TABLE mixed_new PARTITION OF mixed FOR VALUES FROM ('m') TO ('z')`,
		`CREATE TABLE papers (k int, v xml)`,
		`CREATE DOMAIN note AS text COLLATE "C"`,
		`CREATE TABLE notes (k int, v note)`)
	t.Cleanup(func() { exec(t, conn, `DROP TABLE notes`) })
	for table, values := range map[string][2]string{
		"columns": {"b", "n"}, "mixed": {"b", "n"}, "papers": {"<a>b</a>", "<n/>"}, "notes": {"b", "n"},
	} {
		exec(t, conn, `SELECT create_distributed_table('`+table+`', 'k')`)
		in := "k,v\n1," + values[0] + "\n2," + values[1] + "\n3,\n"
		for k, v := range map[int]any{1: values[0], 2: values[1]} {
			if _, err := conn.Exec(context.Background(), `INSERT INTO `+table+` VALUES ($1, $2)`, pgx.QueryExecModeSimpleProtocol, k, v); err != nil {
				t.Fatal(err)
			}
		}
		rows := int64(2)
		if table == "papers" || table == "notes" {
			exec(t, conn, `INSERT INTO `+table+` VALUES (3, NULL)`)
			rows++
		} else {
			in = "k,v\n1," + values[0] + "\n2," + values[1] + "\n"
		}
		if got := placement(t, conn, table); got.Rows != rows || len(got.Misplaced) > 0 {
			t.Errorf("%s: placement: %+v", table, got)
		}
		path := filepath.Join(t.TempDir(), "in.csv")
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: table, Inputs: []verify.Input{verify.File(path)}})
		if err != nil || !got.Same() {
			t.Errorf("%s: contents: %+v, %v", table, got, err)
		}
	}
}
