package loader_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestStagedHit is TestHit where the server evaluates all columns, that which decides the
// shard among them.
func TestStagedHit(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing"}
		conns := []*pgx.Conn{pgtest.Connect(t, dsn)}
		if strings.HasSuffix(t.Name(), "/citus") {
			cfg = ordinary(t, dsn, conn, "hit_staged")
			for _, w := range workers(t, conn) {
				conns = append(conns, pgtest.Connect(t, w.at(t, dsn)))
			}
		}
		cfg.Select = "id::int AS id, (tenant::int + 1) AS tenant, name || '' AS name, n::bigint AS n, at::timestamp AS at"
		cfg.Where = "name <> ''"
		path, bad := hitInput(t, 6000)
		for i, route := range append(routes(t), loader.RouteAuto) {
			cfg.Job, cfg.Route, cfg.RejectsDir = string(route), route, t.TempDir()
			cfg.MaxErrors, cfg.Batch, cfg.RetryFor = loader.ErrorLimit{Percent: 10}, 64<<10, 20*time.Second
			t.Run(cfg.Job, func(t *testing.T) { holdsWhenHit(t, conn, conns, cfg, path, bad, uint64(i)) })
		}
	})
}

// A pooled connection says that another process is the server's, as a connection pooler does.
type pooled struct {
	net.Conn
	told bool
}

func (c *pooled) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if i := bytes.Index(p[:n], []byte("K\x00\x00\x00\x0c")); i >= 0 && i+9 <= n && !c.told {
		p[i+8] ^= 1 // the last byte of the process's number
		c.told = true
	}
	return n, err
}

// TestStagedBehindPooler holds that rows are evaluated behind a connection pooler, too, and that no
// table stays in its sessions.
func TestStagedBehindPooler(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE shown (id int PRIMARY KEY, n int)")
	for _, through := range []bool{true, false} {
		var left atomic.Int64
		cfg := loader.Config{
			Conn: parse(t, dsn), Table: "shown", Select: "id, n::int * 2 AS n", NoResume: true, OnConflict: loader.ConflictUpdate,
			Observe: func(loader.StoredBatch) {
				var n int64
				err := pgtest.Connect(t, dsn).QueryRow(context.Background(), "SELECT count(*) FROM pg_class WHERE relname LIKE 'shardload_rows_%' AND relpersistence = 't' AND relkind = 'r'").Scan(&n)
				if err != nil {
					t.Error(err)
				}
				left.Store(max(left.Load(), n))
			},
		}
		if dial := cfg.Conn.DialFunc; through {
			cfg.Conn.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				return &pooled{Conn: c}, err
			}
			cfg.Streams = 1
		}
		res, err := open(t, cfg).Load(context.Background(), loader.Reader("in", strings.NewReader("id,n\n1,2\n2,3\n")))
		if err != nil || res.Rows != 2 {
			t.Fatalf("%d rows, %v", res.Rows, err)
		}
		if stays := left.Load() > 0; stays == through {
			t.Errorf("behind a pooler %t: %d tables after a batch", through, left.Load())
		}
	}
}

// TestStagedGoesOnFromOlderMarks holds that a load goes on whose marks a version before conditions
// has made: they have no column for what is left out.
func TestStagedGoesOnFromOlderMarks(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	cfg := pieces(t, dsn)
	path := writeInput(t, []byte("id,tenant,name,n,at\n"+idRecords(0, 30_000)))
	if _, err := run(t, cfg, loader.File(path), 5); err == nil {
		t.Fatal("it was not stopped")
	}
	exec(t, conn, withProgress(t, conn, "ALTER TABLE PROGRESS DROP COLUMN filtered"))
	l, err := ledger.List(context.Background(), conn)
	if err != nil || len(l.Jobs) != 1 || l.Jobs[0].Problem+l.Jobs[0].Unread != "" || l.Jobs[0].Rows == 0 {
		t.Errorf("%+v, %v", l.Jobs[0], err)
	}
	res, err := run(t, cfg, loader.File(path), 0)
	if err != nil || res.Before == 0 || res.Before+res.Rows != 30_000 {
		t.Errorf("%d rows before, %d now: %v", res.Before, res.Rows, err)
	}
}
