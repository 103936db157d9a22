package loader_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"shardload/loader"
)

// direct are the routes that go round the coordinator.
var direct = []loader.Route{loader.RouteShard, loader.RouteNode}

// TestShardsMove holds that shards which move to and fro under a load, with their
// writers held up and online, lose and double nothing.
func TestShardsMove(t *testing.T) { // alone: an online move waits for the transactions of other tests, too
	for _, route := range inTurn(0, direct) {
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
	t.Parallel()
	for _, route := range inTurn(1, direct) {
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

// TestRebalanceInBackground holds that a load and Citus's own rebalancing, which
// moves shards in the background, run beside each other.
func TestRebalanceInBackground(t *testing.T) {
	dsn, conn := flowTable(t)
	from, to := workers(t, conn)[0], workers(t, conn)[1]
	for _, shard := range query(t, conn, "SELECT shardid FROM citus_shards WHERE table_name = 'flowing'::regclass AND nodeport = "+from.port) {
		move(t, conn, dsn, shard, "block_writes")
	}
	r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: loader.RouteShard}, newFlow(0))
	within(t, dsn, "SELECT citus_rebalance_start(shard_transfer_mode => 'block_writes')", time.Minute)
	within(t, dsn, "SELECT citus_rebalance_wait()", time.Minute)
	res, err := r.finish()
	if err != nil {
		t.Fatal(err)
	}
	if res.Rows != int64(r.flow.rows) {
		t.Errorf("%d rows, want %d", res.Rows, r.flow.rows)
	}
	sameRows(t, conn, "flowing", r.flow.rows)
	if moved := query(t, conn, "SELECT count(*) FROM citus_shards WHERE table_name = 'flowing'::regclass AND nodeport = "+from.port)[0]; moved == "0" {
		t.Errorf("no shard has moved from %s back to %s", to.port, from.port)
	}
}

// TestSplitOfAFile holds that a load of a file goes on with a lane for each part of
// a shard that was split, straight to the shards.
func TestSplitOfAFile(t *testing.T) {
	t.Parallel()
	dsn, conn := flowTable(t)
	path, rows := flowFile(t, 120_000)
	var said strings.Builder
	l := open(t, loader.Config{
		Conn: parse(t, dsn), Table: "flowing", Batch: 32 << 10, Memory: 8 << 20, MaxRecord: 1 << 20,
		Log: logTo(&said),
	})
	var splitting sync.WaitGroup
	splitting.Go(func() {
		await(t, l)
		var shard, middle int64
		if err := conn.QueryRow(context.Background(), `SELECT shardid, (shardminvalue::bigint + shardmaxvalue::bigint) / 2
			FROM pg_dist_shard WHERE logicalrelid = 'flowing'::regclass ORDER BY shardid LIMIT 1`).Scan(&shard, &middle); err != nil {
			t.Error(err)
			return
		}
		ws := workers(t, conn)
		if err := tryWithin(t, dsn, fmt.Sprintf("SELECT citus_split_shard_by_split_points(%d, ARRAY['%d'], ARRAY[%s, %s], 'block_writes')", shard, middle, ws[0].id, ws[1].id), time.Minute); err != nil {
			t.Error(err)
		}
	})
	res, err := l.Load(context.Background(), loader.File(path))
	splitting.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if res.Rows != int64(rows) || !strings.Contains(said.String(), "a shard was split") {
		t.Errorf("%d rows, want %d; the load said:\n%s", res.Rows, rows, said.String())
	}
	sameRows(t, conn, "flowing", rows)
}

// logTo returns a log that writes to w.
func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// flowFile returns a file with the first rows of a flow.
func flowFile(t *testing.T, rows int) (path string, n int) {
	t.Helper()
	var b bytes.Buffer
	f := newFlow(0)
	b.Write(f.next)
	for f.rows < rows {
		b.Write(f.more())
	}
	path = filepath.Join(t.TempDir(), "flow.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, f.rows
}

// TestColocationChanges holds that a load does not go on under the locks of a
// colocation group that its table has left.
func TestColocationChanges(t *testing.T) {
	t.Parallel()
	for _, route := range direct {
		t.Run(string(route), func(t *testing.T) {
			dsn, conn := flowTable(t)
			exec(t, conn, "CREATE TABLE other (tenant int); SELECT create_distributed_table('other', 'tenant', colocate_with => 'flowing')")
			r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route}, newFlow(0))
			within(t, dsn, "SELECT update_distributed_table_colocation('flowing', colocate_with => 'none')", 2*time.Minute)
			move(t, conn, dsn, shards(t, conn, "flowing")[0], "block_writes")
			if _, err := r.finish(); err != nil && !changed(err) {
				t.Errorf("error %v", err)
			} else if err == nil {
				sameRows(t, conn, "flowing", r.flow.rows)
			}
		})
	}
}
