package bench

import (
	"math"
	"runtime"
	"slices"

	"shardload/internal/bench/shape"
	"shardload/loader"
)

// An Order is how the rows of the input follow each other.
type Order string

// The orders.
const (
	Mixed  Order = "mixed"  // neighbours belong to many tenants, as in an export
	Sorted Order = "sorted" // by tenant
)

// A Notation is how the loader sends rows. Reports and users call it their format.
type Notation string

// The notations.
const (
	Binary Notation = "binary" // as users' loads do, wherever they can
	CSV    Notation = "csv"    // as they are in the input
)

// A Grid says which settings to vary. The first value of each list is the base; the
// others are tried one at a time beside the base, unless Cross says that all are to be
// combined.
type Grid struct {
	Shapes     []string       // of package shape; empty means ads
	Routes     []loader.Route // empty means those that the server allows, the fastest first
	AllStreams []int          // connections in all; zero or empty means one per CPU, at least 2
	Batches    []int64        // bytes; empty means 4 MiB, 1 MiB and 16 MiB
	Notations  []Notation     // empty means Binary
	Shards     []int          // of the table on a Citus cluster; empty means 32
	Rows       []int64        // empty means as many as each shape has by default
	Orders     []Order        // empty means Mixed
	Cross      bool
}

// withDefaults returns g with its zero fields filled in.
func (g Grid) withDefaults() Grid {
	if len(g.AllStreams) == 0 {
		n := max(runtime.NumCPU(), 2)
		g.AllStreams = []int{n, 2 * n, 4 * n}
	}
	if len(g.Batches) == 0 {
		g.Batches = []int64{loader.DefaultBatch, 1 << 20, 16 << 20}
	}
	if len(g.Notations) == 0 {
		g.Notations = []Notation{Binary}
	}
	if len(g.Shards) == 0 {
		g.Shards = []int{DefaultShards}
	}
	if len(g.Shapes) == 0 {
		g.Shapes = []string{DefaultShape}
	}
	if len(g.Rows) == 0 {
		g.Rows = []int64{0} // which points fills in
	}
	if len(g.Orders) == 0 {
		g.Orders = []Order{Mixed}
	}
	return g
}

// check complains about values that cannot be measured.
func (g Grid) check(bad func(string, ...any)) {
	checkWords(bad, "shape", g.Shapes, shape.Names()...)
	checkWords(bad, "route", g.Routes, loader.RouteShard, loader.RouteNode, loader.RouteCoordinator)
	checkWords(bad, "format", g.Notations, Binary, CSV)
	checkWords(bad, "order", g.Orders, Mixed, Sorted)
	checkList(bad, "streams", g.AllStreams, 1, loader.MaxStreams)
	checkList(bad, "batch", g.Batches, 1, 1<<30)
	checkList(bad, "shards", g.Shards, 1, 64_000)
	if !slices.Equal(g.Rows, []int64{0}) {
		checkList(bad, "rows", g.Rows, 1, math.MaxInt32)
	}
}

// checkWords complains about words that are none of choices, and about one that is
// there twice.
func checkWords[T ~string](bad func(string, ...any), name string, list []T, choices ...T) {
	for i, v := range list {
		if !slices.Contains(choices, v) {
			bad("%s %q: want one of %q", name, v, choices)
		}
		if slices.Contains(list[:i], v) {
			bad("%s %s is there twice", name, v)
		}
	}
}

// checkList complains about values outside of a range, and about a value that is
// there twice.
func checkList[T int | int64](bad func(string, ...any), name string, list []T, low, high T) {
	for i, v := range list {
		if v < low || v > high {
			bad("%s %d: want %d to %d", name, v, low, high)
		}
		if slices.Contains(list[:i], v) {
			bad("%s %d is there twice", name, v)
		}
	}
}

// points returns the points of the loader's arms: the base first.
func (g Grid) points(routes []loader.Route) []Point {
	lists := []int{len(g.Shapes), len(routes), len(g.AllStreams), len(g.Batches), len(g.Notations), len(g.Shards), len(g.Rows), len(g.Orders)}
	var points []Point
	index := make([]int, len(lists))
	for {
		if g.Cross || changed(index) < 2 {
			p := Point{
				g.Shapes[index[0]], routes[index[1]], g.AllStreams[index[2]], g.Batches[index[3]],
				g.Notations[index[4]], g.Shards[index[5]], g.Rows[index[6]], g.Orders[index[7]],
			}
			if p.Rows == 0 {
				p.Rows = shape.Lookup(p.Shape).Rows
			}
			points = append(points, p)
		}
		at := 0
		for ; at < len(index); at++ {
			if index[at]++; index[at] < lists[at] {
				break
			}
			index[at] = 0
		}
		if at == len(index) {
			return points
		}
	}
}

// changed returns how many of a point's settings are not the base's.
func changed(index []int) int {
	n := 0
	for _, i := range index {
		if i > 0 {
			n++
		}
	}
	return n
}
