package loader_test

import (
	"fmt"
	"testing"
	"time"

	"shardload/loader"
)

// direct are the routes that go round the coordinator.
var direct = []loader.Route{loader.RouteShard, loader.RouteNode}

// TestShardsMove holds that shards which move to and fro under a load, with their
// writers held up and online, lose and double nothing.
func TestShardsMove(t *testing.T) {
	for i, route := range direct {
		if testing.Short() && i > 0 {
			continue
		}
		t.Run(string(route), func(t *testing.T) {
			dsn, conn := flowTable(t)
			r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route}, newFlow(0))
			all := shards(t, conn, "flowing")
			for _, m := range [][2]string{{all[0], "block_writes"}, {all[1], "force_logical"}, {all[0], "block_writes"}, {all[1], "block_writes"}} {
				move(t, conn, dsn, m[0], m[1])
			}
			res, err := r.finish()
			if err != nil {
				t.Fatal(err)
			}
			if res.Rows != int64(r.flow.rows) || res.Batches < 100 {
				t.Errorf("%d rows in %d batches, want %d in at least 100", res.Rows, res.Batches, r.flow.rows)
			}
			sameRows(t, conn, "flowing", r.flow.rows)
		})
	}
}

// TestShardsSplit holds the same of shards that are split, of a tenant that gets a
// shard of its own, and of a rebalance.
func TestShardsSplit(t *testing.T) {
	for i, route := range direct {
		if testing.Short() && i > 0 {
			continue
		}
		t.Run(string(route), func(t *testing.T) {
			dsn, conn := flowTable(t)
			r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route}, newFlow(0))
			split := query(t, conn, `SELECT shardid || '|' || (shardminvalue::bigint + shardmaxvalue::bigint) / 2 FROM pg_dist_shard WHERE logicalrelid = 'flowing'::regclass ORDER BY shardid LIMIT 1`)[0]
			var shard, middle int64
			if _, err := fmt.Sscanf(split, "%d|%d", &shard, &middle); err != nil {
				t.Fatal(err)
			}
			ws := workers(t, conn)
			within(t, dsn, fmt.Sprintf("SELECT citus_split_shard_by_split_points(%d, ARRAY['%d'], ARRAY[%s, %s], 'block_writes')", shard, middle, ws[0].id, ws[1].id), time.Minute)
			within(t, dsn, "SELECT isolate_tenant_to_new_shard('flowing', 7, 'CASCADE', shard_transfer_mode => 'block_writes')", time.Minute)
			for _, shard := range shards(t, conn, "flowing")[:2] {
				move(t, conn, dsn, shard, "block_writes")
			}
			within(t, dsn, "SELECT rebalance_table_shards('flowing', shard_transfer_mode => 'block_writes')", time.Minute)
			res, err := r.finish()
			if err != nil {
				t.Fatal(err)
			}
			if res.Rows != int64(r.flow.rows) {
				t.Errorf("%d rows, want %d", res.Rows, r.flow.rows)
			}
			sameRows(t, conn, "flowing", r.flow.rows)
		})
	}
}

// TestColocationChanges holds that a load does not go on under the locks of a
// colocation group that its table has left.
func TestColocationChanges(t *testing.T) {
	for _, route := range direct {
		t.Run(string(route), func(t *testing.T) {
			dsn, conn := flowTable(t)
			exec(t, conn, "CREATE TABLE other (tenant int); SELECT create_distributed_table('other', 'tenant', colocate_with => 'flowing')")
			r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route}, newFlow(0))
			within(t, dsn, "SELECT update_distributed_table_colocation('flowing', colocate_with => 'none')", 30*time.Second)
			move(t, conn, dsn, shards(t, conn, "flowing")[0], "block_writes")
			if _, err := r.finish(); err != nil && !changed(err) {
				t.Errorf("error %v", err)
			} else if err == nil {
				sameRows(t, conn, "flowing", r.flow.rows)
			}
		})
	}
}
