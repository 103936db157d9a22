package citus_test

import (
	"context"
	"testing"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/pgtest"
)

func TestDistribute(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
	if v, err := citus.Version(ctx, conn); err != nil || v == "" {
		t.Fatalf("version %q, %v", v, err)
	}
	if g, err := citus.LocalGroup(ctx, conn); g != 0 || err != nil {
		t.Errorf("the coordinator's group is %d, %v", g, err)
	}
	nodes, err := citus.Nodes(ctx, conn)
	if err != nil || len(nodes) < 3 || nodes[0].Group != 0 || !nodes[1].Active || !nodes[1].Synced || !nodes[1].HasShards {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	for _, sql := range []string{
		`CREATE TABLE h (k text, v int); SELECT create_distributed_table('h', 'k', shard_count => 5, colocate_with => 'none')`,
		`CREATE TABLE ref (k int); SELECT create_reference_table('ref')`,
		`CREATE TABLE single (k int); SELECT create_distributed_table('single', NULL)`,
		`CREATE TABLE managed (k int); SELECT citus_add_local_table_to_metadata('managed')`,
		`CREATE TABLE rng (k int); SELECT create_distributed_table('rng', 'k', 'range')`,
		`CREATE TABLE app (k int); SELECT create_distributed_table('app', 'k', 'append')`,
		`CREATE TABLE loc (k int)`,
	} {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for table, want := range map[string]struct {
		kind   citus.Kind
		column string
		shards int
	}{
		"h": {citus.Hash, "k", 5}, "ref": {citus.Reference, "", 1}, "single": {citus.Single, "", 1}, "managed": {citus.Managed, "", 1},
		"rng": {citus.Range, "k", 0}, "app": {citus.Append, "k", 0}, "loc": {citus.Local, "", 0},
	} {
		info, err := catalog.Lookup(ctx, conn, table)
		if err != nil {
			t.Fatal(err)
		}
		d, err := citus.Distribute(ctx, conn, info.OID)
		if err != nil {
			t.Errorf("%s: %v", table, err)
			continue
		}
		if d.Kind != want.kind || d.Column != want.column || len(d.Shards) != want.shards || d.Replicated != (table == "rng" || table == "app") {
			t.Errorf("%s: %+v, want %+v", table, d, want)
		}
	}
}
