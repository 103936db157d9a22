package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"shardload/internal/bench/clock"
	"shardload/internal/term"
	"shardload/loader"
)

// Names of arms. Those of the first two go on with a route.
const (
	loaderName = "shardload"
	wireLimit  = "wire-limit"
	nullSink   = "null-sink" // stores nothing
	psqlName   = "psql"
)

// loaders makes the arms of the loader: as users run it, and parts of it alone.
type loaders struct {
	*site
	nodes int                  // to which streams connect on the routes shard and node; routes finds out
	lanes map[loader.Route]int // which it finds out, too
}

// distinct returns points with the streams that there will be, each once: the
// loader has as many on every node.
func (l *loaders) distinct(points []Point) (list []Point) {
	for _, p := range points {
		if p.Route != loader.RouteCoordinator && l.nodes > 1 {
			p.AllStreams = max(p.AllStreams/l.nodes, 1) * l.nodes
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// config returns the loader's Config for a point, without a stage.
func (l *loaders) config(p Point) loader.Config {
	streams := p.AllStreams
	if p.Route != loader.RouteCoordinator && l.nodes > 1 {
		streams = max(streams/l.nodes, 1) // the loader counts those of each node
	}
	return loader.Config{
		Conn: l.cfg.Conn, Table: l.table(p), Route: p.Route, Header: loader.HeaderYes, Streams: streams, SendCSV: p.Notation == CSV,
		Batch: int(p.Batch), Memory: max(loader.DefaultMemory, 4*int64(streams*max(l.nodes, 1))*p.Batch), NodeMap: l.cfg.NodeMap,
		Job: rand.Text(), // the same file is loaded again and again
	}
}

// arm is the loader as users run it, at one point.
func (l *loaders) arm(p Point) *Arm {
	settings := fmt.Sprintf("shardload load --route %s --streams %d --batch %s", p.Route, l.config(p).Streams, strings.ReplaceAll(term.Bytes(p.Batch), " ", ""))
	if p.Notation == CSV {
		settings += ", with the rows sent as the CSV that they are"
	}
	return &Arm{
		Name: armName(loaderName, p), Kind: KindLoader, Point: p, stores: true, Settings: settings,
		run: func(ctx context.Context) (outcome, error) {
			run, err := l.load(ctx, l.config(p), p, l.cfg.Duties)
			run.Connect += l.cfg.Starting.Seconds()
			return outcome{Times: run.Times, batches: run.Batches}, err
		},
	}
}

// sinkArm reads and encodes, and throws the batches away.
func (l *loaders) sinkArm(p Point) *Arm {
	p.AllStreams = 0
	return &Arm{
		Name: nullSink, Kind: KindLimit, Point: p, Settings: "reading and encoding alone: the loader without a server to send to",
		run: func(ctx context.Context) (outcome, error) {
			cfg := l.config(p)
			cfg.Stage = loader.StageDecode
			run, err := l.load(ctx, cfg, p, Duties{NoAnalyze: true})
			return outcome{Times: clock.Times{Copy: run.Result.Elapsed.Seconds()}}, err
		},
	}
}

// wireArm sends what was encoded before. Of the duties it has those of the server.
func (l *loaders) wireArm(p Point) *Arm {
	return &Arm{
		Name: armName(wireLimit, p), Kind: KindLimit, Point: p, stores: true,
		Settings: "sending and storing alone: the same batches over the same streams, connected, read and encoded before the clock starts",
		run: func(ctx context.Context) (outcome, error) {
			cfg := l.config(p)
			cfg.Stage, cfg.Memory = loader.StageStore, 4*l.file(p).bytes+loader.DefaultMemory
			run, err := l.load(ctx, cfg, p, l.cfg.Duties)
			of := clock.Times{Empty: run.Empty, Copy: run.Copy, Indexes: run.Indexes, Statistics: run.Statistics}
			return outcome{Times: of, batches: run.Batches, partial: true}, err
		},
	}
}

// load loads the point's file with cfg.
func (l *loaders) load(ctx context.Context, cfg loader.Config, p Point, duties Duties) (clock.Run, error) {
	cfg.Observe, cfg.Retried = l.cfg.Observe, l.cfg.Retried
	if limit := l.cfg.LimitMemory; limit != nil {
		defer limit(cfg.Memory)()
	}
	return clock.Load{
		Config: cfg, Input: loader.File(l.file(p).path), Replace: duties.Replace, NoAnalyze: duties.NoAnalyze,
		Check: func(plan loader.Plan) error {
			if plan.Route != p.Route {
				return fmt.Errorf("the loader takes route %s, not %s: %s", plan.Route, p.Route, plan.Why)
			}
			return nil
		},
	}.Run(ctx)
}

// routes returns the routes that the loader can take here, the fastest first, and
// why it cannot take the others.
func (l *loaders) routes(ctx context.Context, table Point) (can []loader.Route, cannot []Skip) {
	l.lanes = map[loader.Route]int{}
	for _, route := range []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
		opened, err := loader.Open(ctx, l.config(Point{Shape: table.Shape, Route: route, AllStreams: 1, Shards: table.Shards, Batch: 1 << 20}))
		if err != nil {
			cannot = append(cannot, Skip{armName(loaderName, Point{Route: route}), err.Error()})
			continue
		}
		if plan := opened.Plan(); plan.Route == route {
			can = append(can, route)
			l.nodes, l.lanes[route] = max(l.nodes, plan.Nodes), plan.Lanes
		} else {
			cannot = append(cannot, Skip{armName(loaderName, Point{Route: route}), plan.Why})
		}
		if err := opened.Close(); err != nil {
			cannot = append(cannot, Skip{armName(loaderName, Point{Route: route}), err.Error()})
		}
	}
	return can, cannot
}

// warm reads a file, so that no run is the first to touch it.
func warm(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(io.Discard, f)
	return err
}
