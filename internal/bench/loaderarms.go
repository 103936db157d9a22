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

// distinct returns points with the streams that there will be, each once: the
// loader has as many on every node.
func (b *Bench) distinct(points []Point) (list []Point) {
	for _, p := range points {
		if p.Route != loader.RouteCoordinator && b.nodes > 1 {
			p.Streams = max(p.Streams/b.nodes, 1) * b.nodes
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// config returns the loader's Config for a point, without a stage.
func (b *Bench) config(p Point) loader.Config {
	streams := p.Streams
	if p.Route != loader.RouteCoordinator && b.nodes > 1 {
		streams = max(streams/b.nodes, 1) // the loader counts those of each node
	}
	return loader.Config{
		Conn: b.cfg.Conn, Table: b.place.table(p.Shards), Route: p.Route, Header: loader.HeaderYes, Streams: streams, SendCSV: p.Format == CSV,
		Batch: int(p.Batch), Memory: max(loader.DefaultMemory, 4*int64(streams*max(b.nodes, 1))*p.Batch), NodeMap: b.cfg.NodeMap,
		Job: rand.Text(), // the same file is loaded again and again
	}
}

// loaderArm is the loader as users run it, at one point.
func (b *Bench) loaderArm(p Point) *Arm {
	settings := fmt.Sprintf("shardload load --route %s --streams %d --batch %s", p.Route, b.config(p).Streams, strings.ReplaceAll(sizeText(p.Batch), " ", ""))
	if p.Format == CSV {
		settings += ", with the rows sent as the CSV that they are"
	}
	return &Arm{Name: armName(loaderName, p), Kind: KindLoader, Point: p, stores: true, Settings: settings,
		run: func(ctx context.Context) (outcome, error) {
			return b.load(ctx, b.config(p), p)
		}}
}

// sinkArm reads and encodes, and throws the batches away.
func (b *Bench) sinkArm(p Point) *Arm {
	p.Streams = 0
	return &Arm{Name: nullSink, Kind: KindLimit, Point: p, Settings: "reading and encoding alone: the loader without a server to send to",
		run: func(ctx context.Context) (outcome, error) {
			cfg := b.config(p)
			cfg.Stage = loader.StageDecode
			return b.load(ctx, cfg, p)
		}}
}

// wireArm sends what was encoded before.
func (b *Bench) wireArm(p Point) *Arm {
	return &Arm{Name: armName(wireLimit, p), Kind: KindLimit, Point: p, stores: true,
		Settings: "sending and storing alone: the same batches over the same streams, read and encoded before the clock starts",
		run: func(ctx context.Context) (outcome, error) {
			cfg := b.config(p)
			cfg.Stage, cfg.Memory = loader.StageStore, 4*b.file(p).bytes+loader.DefaultMemory
			out, err := b.load(ctx, cfg, p)
			o := observer{list: out.batches}
			out.elapsed, out.partial = o.span(), true
			return out, err
		}}
}

// load loads the point's file with cfg.
func (b *Bench) load(ctx context.Context, cfg loader.Config, p Point) (out outcome, err error) {
	var seen observer
	cfg.Observe, cfg.Retried = seen.add, b.cfg.Retried
	if b.cfg.Observe != nil {
		cfg.Observe = func(batch loader.StoredBatch) {
			seen.add(batch)
			b.cfg.Observe(batch)
		}
	}
	l, err := loader.Open(ctx, cfg)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if plan := l.Plan(); plan.Route != p.Route {
		return out, fmt.Errorf("the loader takes route %s, not %s: %s", plan.Route, p.Route, plan.Why)
	}
	result, err := l.Load(ctx, loader.File(b.file(p).path))
	out = outcome{elapsed: result.Elapsed, batches: seen.list}
	if b.cfg.steady && len(seen.list) > 0 {
		out.elapsed = seen.span()
	}
	return out, err
}

// routes returns the routes that the loader can take here, the fastest first, and
// why it cannot take the others.
func (b *Bench) routes(ctx context.Context, shards int) (can []loader.Route, cannot []Skip) {
	for _, route := range []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
		l, err := loader.Open(ctx, b.config(Point{Route: route, Streams: 1, Shards: shards, Batch: 1 << 20}))
		if err != nil {
			cannot = append(cannot, Skip{armName(loaderName, Point{Route: route}), err.Error()})
			continue
		}
		if plan := l.Plan(); plan.Route == route {
			can = append(can, route)
			b.nodes = max(b.nodes, plan.Nodes)
		} else {
			cannot = append(cannot, Skip{armName(loaderName, Point{Route: route}), plan.Why})
		}
		if err := l.Close(); err != nil {
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
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}
