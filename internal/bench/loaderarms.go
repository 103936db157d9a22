package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"shardload/internal/term"
	"shardload/loader"
)

// An observer collects a loader's batches.
type observer struct {
	mu   sync.Mutex
	list []loader.StoredBatch
}

func (o *observer) add(b loader.StoredBatch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, b)
}

// span returns the time from the first batch's start to the last one's end.
func (o *observer) span() time.Duration {
	var first, last time.Time
	for i, b := range o.list {
		if end := b.Started.Add(b.Elapsed); end.After(last) {
			last = end
		}
		if i == 0 || b.Started.Before(first) {
			first = b.Started
		}
	}
	return last.Sub(first)
}

// Names of arms. Those of the first two go on with a route.
const (
	loaderName = "shardload"
	wireLimit  = "wire-limit"
	nullSink   = "null-sink" // stores nothing
)

// loaders makes the arms of the loader: as users run it, and parts of it alone.
type loaders struct {
	*site
	nodes int // to which streams connect on the routes shard and node; routes finds out
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
			return l.load(ctx, l.config(p), p)
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
			return l.load(ctx, cfg, p)
		},
	}
}

// wireArm sends what was encoded before.
func (l *loaders) wireArm(p Point) *Arm {
	return &Arm{
		Name: armName(wireLimit, p), Kind: KindLimit, Point: p, stores: true,
		Settings: "sending and storing alone: the same batches over the same streams, read and encoded before the clock starts",
		run: func(ctx context.Context) (outcome, error) {
			cfg := l.config(p)
			cfg.Stage, cfg.Memory = loader.StageStore, 4*l.file(p).bytes+loader.DefaultMemory
			out, err := l.load(ctx, cfg, p)
			o := observer{list: out.batches}
			out.elapsed, out.partial = o.span(), true
			return out, err
		},
	}
}

// load loads the point's file with cfg.
func (l *loaders) load(ctx context.Context, cfg loader.Config, p Point) (out outcome, err error) {
	var seen observer
	cfg.Observe, cfg.Retried = seen.add, l.cfg.Retried
	if l.cfg.Observe != nil {
		cfg.Observe = func(batch loader.StoredBatch) {
			seen.add(batch)
			l.cfg.Observe(batch)
		}
	}
	opened, err := loader.Open(ctx, cfg)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	if plan := opened.Plan(); plan.Route != p.Route {
		return out, fmt.Errorf("the loader takes route %s, not %s: %s", plan.Route, p.Route, plan.Why)
	}
	result, err := opened.Load(ctx, loader.File(l.file(p).path))
	out = outcome{elapsed: result.Elapsed, batches: seen.list}
	if l.cfg.steady && len(seen.list) > 0 {
		out.elapsed = seen.span()
	}
	return out, err
}

// routes returns the routes that the loader can take here, the fastest first, and
// why it cannot take the others.
func (l *loaders) routes(ctx context.Context, shards int) (can []loader.Route, cannot []Skip) {
	for _, route := range []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
		opened, err := loader.Open(ctx, l.config(Point{Route: route, AllStreams: 1, Shards: shards, Batch: 1 << 20}))
		if err != nil {
			cannot = append(cannot, Skip{armName(loaderName, Point{Route: route}), err.Error()})
			continue
		}
		if plan := opened.Plan(); plan.Route == route {
			can = append(can, route)
			l.nodes = max(l.nodes, plan.Nodes)
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
