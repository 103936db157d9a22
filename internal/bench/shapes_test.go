package bench

import (
	"context"
	"strings"
	"testing"

	"shardload/internal/bench/shape"
	"shardload/internal/pgtest"
	"shardload/loader"
)

// Each shape is loaded by every route as psql loads it: the same rows, value by value.
func TestShapesLoad(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		cfg := testConfig(t, dsn)
		cfg.Shapes, cfg.Rows, cfg.Arms = shape.Names(), []int64{700}, []string{"shardload", "wire-limit", "psql"}
		if testing.Short() && strings.HasSuffix(t.Name(), "citus") {
			cfg.Routes = []loader.Route{loader.RouteShard}
		}
		b, err := Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.Close(ctx); err != nil {
				t.Error(err)
			}
		}()
		loaded := map[string]map[string]string{} // what is in the table, by shape and arm
		for _, a := range b.arms {
			table := b.table(a.Point)
			if err := b.place.empty(ctx, table); err != nil {
				t.Fatal(err)
			}
			if _, err := a.run(ctx); err != nil {
				t.Fatalf("%s of %s: %v", a.Name, a.Shape, err)
			}
			var sum string
			err := b.conn.QueryRow(ctx, "SELECT concat(count(*), ' rows, ', sum(hashtextextended(r::text, 0)::numeric)) FROM "+table+" r").Scan(&sum)
			if err != nil {
				t.Fatal(err)
			}
			if loaded[a.Shape] == nil {
				loaded[a.Shape] = map[string]string{}
			}
			loaded[a.Shape][a.Name] = sum
		}
		for _, name := range shape.Names() {
			arms := loaded[name]
			if len(arms) < 3 || !strings.HasPrefix(arms[psqlName], "700 rows, ") {
				t.Errorf("%s was loaded by %v", name, arms)
			}
			for arm, sum := range arms {
				if sum != arms[psqlName] {
					t.Errorf("%s: %s stores %s, psql %s", name, arm, sum, arms[psqlName])
				}
			}
		}
	})
}

// The parts of a run are those of its arm, and all arms have the duties that are asked for.
func TestDuties(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		cfg := testConfig(t, dsn)
		cfg.Replace, cfg.Repeat = true, 1
		cfg.Arms = []string{"shardload", "wire-limit", "null-sink", "psql", "psql-split", "copy-batches", "server-file"}
		if testing.Short() {
			cfg.Routes, cfg.Arms = []loader.Route{loader.RouteCoordinator}, []string{"shardload", "wire-limit", "null-sink", "psql", "copy-batches"}
		}
		b, err := Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		report, err := b.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range report.Results {
			stores := r.Arm != nullSink
			duties := r.Empty > 0 && r.Statistics > 0
			if r.Copy <= 0 || duties != stores || r.Total() != r.Seconds {
				t.Errorf("%s: %+v of %v s", r.Arm, r.Times, r.Seconds)
			}
			if starts := r.Connect > 0 && r.Finish > 0; starts != (r.Kind != KindLimit) {
				t.Errorf("%s: %+v", r.Arm, r.Times)
			}
		}
		if got := report.Environment.Clock; got != "from start to finish: connect, empty the table, copy, ANALYZE" {
			t.Error(got)
		}
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// Batches that are larger than a lane's rows are left out, but the smallest of them.
func TestTellApart(t *testing.T) {
	t.Parallel()
	b := &Bench{site: site{cfg: Config{}.withDefaults(), files: map[Point]*inputFile{}}}
	b.loaders = loaders{site: &b.site, lanes: map[loader.Route]int{loader.RouteCoordinator: 2}}
	base := Point{Shape: DefaultShape, Route: loader.RouteShard, AllStreams: 2, Shards: 32, Rows: 200_000, Order: Mixed}
	b.files[inputOf(base)] = &inputFile{bytes: 32 << 20} // 1 MiB a lane
	var points []Point
	for _, size := range []int64{4 << 20, 1 << 19, 16 << 20, 1 << 20} {
		base.Batch = size
		points = append(points, base)
	}
	base.Route = loader.RouteCoordinator
	points = append(points, base)
	base.Batch = 16 << 20
	points = append(points, base)
	var got []string
	for _, p := range b.tellApart(points) {
		got = append(got, p.settings(&points[0]))
	}
	if text := strings.Join(got, "; "); text != "; 512 KiB; 1 MiB; 1 MiB; 16 MiB" {
		t.Errorf("%s", text)
	}
	if len(b.report.Skipped) != 1 || b.report.Skipped[0].Arm != "shardload:shard, 16 MiB" {
		t.Errorf("%+v", b.report.Skipped)
	}
}
