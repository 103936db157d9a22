package loader_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestStagedHit is TestHit where the server evaluates all columns, that which decides the
// shard among them.
func TestStagedHit(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, dsn string) {
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
