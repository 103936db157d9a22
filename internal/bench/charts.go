package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

const thousandRows = "thousand rows per second"

// charts returns the charts that the report has something to show in.
func (r *Report) charts() []chart {
	var list []chart
	add := func(c chart, ok bool) {
		if ok {
			list = append(list, c)
		}
	}
	add(r.armsChart())
	add(r.cpuChart())
	for _, s := range sweeps {
		add(r.sweepChart(s))
	}
	add(r.latencyChart())
	add(r.scaleChart())
	return list
}

// armsChart shows the throughput of all arms.
func (r *Report) armsChart() (chart, bool) {
	c := chart{name: "arms", title: "Throughput", x: thousandRows,
		note: "Medians; the thin lines run from the slowest to the fastest run. The null sink, which stores nothing, is in the table alone."}
	for _, g := range r.Groups() {
		if g.Arm().Arm == nullSink {
			continue // it would make all others look alike
		}
		c.bars = append(c.bars, bar{name: g.Label, kind: g.Arm().Kind, value: g.value(0)})
	}
	return c, len(c.bars) > 0
}

// cpuChart shows what a million rows cost, which depends less on what else the
// machine does than how long they take.
func (r *Report) cpuChart() (chart, bool) {
	c := chart{name: "cpu", title: "CPU time", x: "CPU seconds for a million rows",
		note: "Of the client with the programs that it runs, and of all server processes; medians. What else the machine does changes this less than the throughput."}
	client, server := layer{name: "client"}, layer{name: "servers"}
	for _, g := range r.Groups() {
		mine, ok := g.MedianOf(func(r *Result) *float64 { return r.ClientCPU })
		theirs, known := g.MedianOf(func(r *Result) *float64 { return r.ServerCPU })
		if !ok || !known || g.Arm().Kind == KindLimit {
			continue
		}
		million := float64(g.Arm().Rows) / 1e6
		c.ticks = append(c.ticks, g.Label)
		client.values, server.values = append(client.values, mine/million), append(server.values, theirs/million)
	}
	c.stack = []layer{client, server}
	return c, len(c.ticks) > 0
}

// value returns the group's throughput, in thousands, at x.
func (g *Group) value(x float64) value {
	rates := g.Rates()
	return value{x: x, y: g.Median() / 1e3, low: rates[0] / 1e3, high: rates[len(rates)-1] / 1e3}
}

// A sweep is a setting whose values a chart compares.
type sweep struct {
	name, title, axis string
	take              func(*Point) string // takes the setting out of a point
	order             func(a, b *Point) int
	words             bool // the values are words
}

var sweeps = []sweep{
	{"streams", "Throughput by streams", "streams over all nodes",
		func(p *Point) string { n := p.Streams; p.Streams = 0; return fmt.Sprint(n) },
		func(a, b *Point) int { return a.Streams - b.Streams }, false},
	{"batch", "Throughput by batch size", "size of a batch",
		func(p *Point) string { n := p.Batch; p.Batch = 0; return sizeText(n) },
		func(a, b *Point) int { return cmp.Compare(a.Batch, b.Batch) }, false},
	{"format", "Throughput by format", "how the rows are sent",
		func(p *Point) string { f := p.Format; p.Format = ""; return string(f) },
		func(a, b *Point) int { return cmp.Compare(a.Format, b.Format) }, true},
	{"shards", "Throughput by shards", "shards of the table",
		func(p *Point) string { n := p.Shards; p.Shards = 0; return fmt.Sprint(n) },
		func(a, b *Point) int { return a.Shards - b.Shards }, false},
	{"rows", "Throughput by rows", "rows",
		func(p *Point) string { n := p.Rows; p.Rows = 0; return humanize.Comma(n) },
		func(a, b *Point) int { return cmp.Compare(a.Rows, b.Rows) }, false},
	{"order", "Throughput by order of the rows", "rows in the input",
		func(p *Point) string { o := p.Order; p.Order = ""; return string(o) },
		func(a, b *Point) int { return cmp.Compare(a.Order, b.Order) }, true},
}

// sweepChart compares the values of one setting: a line for each set of arms of
// the loader that differ in nothing else.
func (r *Report) sweepChart(s sweep) (chart, bool) {
	c := chart{name: s.name, title: s.title, x: s.axis, y: thousandRows, words: s.words,
		note: "The other settings as in the base, or as the line says. Medians, slowest and fastest run."}
	lines := map[string][]Group{}
	var names []string
	for _, g := range r.Groups() {
		if g.Arm().Kind != KindLoader {
			continue
		}
		rest, base := g.Arm().Point, *basePoint(r.Results)
		s.take(&rest)
		s.take(&base)
		name := labelOf(g.Arm().Arm, KindLoader, rest, &base)
		if lines[name] == nil {
			names = append(names, name)
		}
		lines[name] = append(lines[name], g)
	}
	maps.DeleteFunc(lines, func(_ string, groups []Group) bool { return len(groups) < 2 })
	if len(lines) == 0 {
		return c, false
	}
	c.ticks = s.ticks(lines)
	for _, name := range names {
		groups := lines[name]
		slices.SortFunc(groups, func(a, b Group) int { return s.order(&a.Runs[0].Point, &b.Runs[0].Point) })
		line := series{name: wrap(name)}
		for _, g := range groups {
			p := g.Arm().Point
			line.values = append(line.values, g.value(float64(slices.Index(c.ticks, s.take(&p)))))
		}
		if len(line.values) > 0 {
			c.lines = append(c.lines, line)
		}
	}
	return c, true
}

// ticks returns all values of the setting among the groups of lines, in order.
func (s sweep) ticks(lines map[string][]Group) (ticks []string) {
	var points []Point
	for _, groups := range lines {
		for _, g := range groups {
			points = append(points, g.Arm().Point)
		}
	}
	slices.SortFunc(points, func(a, b Point) int { return s.order(&a, &b) })
	for _, p := range points {
		if tick := s.take(&p); !slices.Contains(ticks, tick) {
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// wrap breaks a label of a legend into lines.
func wrap(label string) string { return strings.ReplaceAll(label, ", ", ",\n") }

// latencyBins is the number of spans into which a run is cut.
const latencyBins = 12

// latencyChart shows how long the base's batches took in the course of its runs.
func (r *Report) latencyChart() (chart, bool) {
	c := chart{name: "latency", x: "seconds since the start of the run", y: "milliseconds from BEGIN to COMMIT"}
	base := Base(r.Groups())
	if base == nil {
		return c, false
	}
	batches, end := r.batchesOf(base.Arm())
	if len(batches) < 2*latencyBins {
		return c, false
	}
	c.title = "Batch latency, " + base.Label
	c.note = fmt.Sprintf("Batches: %d; runs: %d; by when they were stored.", len(batches), len(base.Runs))
	bins := make([][]float64, latencyBins)
	for _, b := range batches {
		at := min(int((b.Started+b.Seconds)/end*latencyBins), latencyBins-1)
		bins[at] = append(bins[at], b.Seconds*1e3)
	}
	for _, q := range []struct {
		name  string
		share float64
	}{{"99 % are faster", 0.99}, {"90 % are faster", 0.9}, {"half are faster", 0.5}} {
		line := series{name: q.name}
		for i, bin := range bins {
			if len(bin) == 0 {
				continue
			}
			slices.Sort(bin)
			v := *quantile(bin, q.share)
			line.values = append(line.values, value{x: (float64(i) + 0.5) * end / latencyBins, y: v, low: v, high: v})
		}
		c.lines = append(c.lines, line)
	}
	return c, true
}

// batchesOf returns the batches of all runs of an arm, and when the last of them
// ended, in seconds from the start of its run.
func (r *Report) batchesOf(arm Result) (batches []Batch, end float64) {
	for _, b := range r.Batches {
		if b.Arm == arm.Arm && b.Streams == arm.Streams && b.Size == arm.Batch && b.Format == arm.Format && b.Shards == arm.Shards && b.Table == arm.Rows && b.Order == arm.Order {
			batches = append(batches, b)
			end = max(end, b.Started+b.Seconds)
		}
	}
	return batches, end
}

// scaleChart shows throughput by nodes against what the first one would make of
// them.
func (r *Report) scaleChart() (chart, bool) {
	c := chart{name: "scale", title: "Simulated scale-out", x: "workers", y: thousandRows,
		note: "Each node may use the same small share of a core, so that the nodes set the pace and not this machine." +
			" There are as many rows for each worker; the loader's time runs from its first BEGIN to its last COMMIT. The thin dotted line is the first value times the workers."}
	var names []string
	byArm := map[string][]ScaleResult{}
	for _, s := range r.Scale {
		if byArm[s.Arm] == nil {
			names = append(names, s.Arm)
		}
		byArm[s.Arm] = append(byArm[s.Arm], s)
		if tick := fmt.Sprint(s.Workers); !slices.Contains(c.ticks, tick) {
			c.ticks = append(c.ticks, tick)
		}
	}
	for i, name := range names {
		list := byArm[name]
		line := series{name: name}
		ideal := series{name: "ideal", ideal: true}
		for _, s := range list {
			x := float64(slices.Index(c.ticks, fmt.Sprint(s.Workers)))
			line.values = append(line.values, value{x: x, y: s.Median / 1e3, low: s.Low / 1e3, high: s.High / 1e3})
			v := list[0].Median / 1e3 * float64(s.Workers) / float64(list[0].Workers)
			ideal.values = append(ideal.values, value{x: x, y: v, low: v, high: v})
		}
		c.lines = append(c.lines, line)
		if i == 0 {
			c.lines = append(c.lines, ideal)
		}
	}
	return c, len(c.ticks) > 1
}
