package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"shardload/internal/bench/chart"
	"shardload/internal/term"
)

// kinds and kindNames are the groups of bars, in the order of their colours.
var (
	kinds     = []Kind{KindLoader, KindLimit, KindRival}
	kindNames = []string{"shardload", "a part of it alone", "other ways"}
)

const thousandRows = "thousand rows per second"

// charts returns the charts that the report has something to show in.
func (r *Report) charts() []chart.Chart {
	var list []chart.Chart
	add := func(c chart.Chart, ok bool) {
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
func (r *Report) armsChart() (chart.Chart, bool) {
	c := chart.Chart{
		Name: "arms", Title: "Throughput", X: thousandRows, Groups: kindNames,
		Note: "Medians; the thin lines run from the slowest to the fastest run. The null sink, which stores nothing, is in the table alone.",
	}
	for _, g := range r.Groups() {
		if g.Arm().Arm == nullSink {
			continue // it would make all others look alike
		}
		c.Bars = append(c.Bars, chart.Bar{Name: g.Label, Group: slices.Index(kinds, g.Arm().Kind), Value: g.value(0)})
	}
	return c, len(c.Bars) > 0
}

// cpuChart shows what a million rows cost, which depends less on what else the
// machine does than how long they take.
func (r *Report) cpuChart() (chart.Chart, bool) {
	c := chart.Chart{
		Name: "cpu", Title: "CPU time", X: "CPU seconds for a million rows",
		Note: "Of the client with the programs that it runs, and of all server processes; medians. What else the machine does changes this less than the throughput.",
	}
	client, server := chart.Layer{Name: "client"}, chart.Layer{Name: "servers"}
	for _, g := range r.Groups() {
		mine, ok := g.MedianOf(func(r *Result) *float64 { return r.ClientCPU })
		theirs, known := g.MedianOf(func(r *Result) *float64 { return r.ServerCPU })
		if !ok || !known || g.Arm().Kind == KindLimit {
			continue
		}
		million := float64(g.Arm().Rows) / 1e6
		c.Ticks = append(c.Ticks, g.Label)
		client.Values, server.Values = append(client.Values, mine/million), append(server.Values, theirs/million)
	}
	c.Stack = []chart.Layer{client, server}
	return c, len(c.Ticks) > 0
}

// value returns the group's throughput, in thousands, at x.
func (g *Group) value(x float64) chart.Value {
	rates := g.Rates()
	return chart.Value{X: x, Y: g.Median() / 1e3, Low: rates[0] / 1e3, High: rates[len(rates)-1] / 1e3}
}

// A sweep is a setting whose values a chart compares.
type sweep struct {
	name, title, axis string
	take              func(*Point) string // takes the setting out of a point
	order             func(a, b *Point) int
	words             bool // the values are words
}

var sweeps = []sweep{
	{
		"streams", "Throughput by streams", "streams over all nodes",
		func(p *Point) string { n := p.AllStreams; p.AllStreams = 0; return fmt.Sprint(n) },
		func(a, b *Point) int { return a.AllStreams - b.AllStreams }, false,
	},
	{
		"batch", "Throughput by batch size", "size of a batch",
		func(p *Point) string { n := p.Batch; p.Batch = 0; return term.Bytes(n) },
		func(a, b *Point) int { return cmp.Compare(a.Batch, b.Batch) }, false,
	},
	{
		"format", "Throughput by format", "how the rows are sent",
		func(p *Point) string { n := p.Notation; p.Notation = ""; return string(n) },
		func(a, b *Point) int { return cmp.Compare(a.Notation, b.Notation) }, true,
	},
	{
		"shards", "Throughput by shards", "shards of the table",
		func(p *Point) string { n := p.Shards; p.Shards = 0; return fmt.Sprint(n) },
		func(a, b *Point) int { return a.Shards - b.Shards }, false,
	},
	{
		"rows", "Throughput by rows", "rows",
		func(p *Point) string { n := p.Rows; p.Rows = 0; return humanize.Comma(n) },
		func(a, b *Point) int { return cmp.Compare(a.Rows, b.Rows) }, false,
	},
	{
		"order", "Throughput by order of the rows", "rows in the input",
		func(p *Point) string { o := p.Order; p.Order = ""; return string(o) },
		func(a, b *Point) int { return cmp.Compare(a.Order, b.Order) }, true,
	},
}

// sweepChart compares the values of one setting: a line for each set of arms of
// the loader that differ in nothing else.
func (r *Report) sweepChart(s sweep) (chart.Chart, bool) {
	c := chart.Chart{
		Name: s.name, Title: s.title, X: s.axis, Y: thousandRows, Words: s.words,
		Note: "The other settings as in the base, or as the line says. Medians, slowest and fastest run.",
	}
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
	c.Ticks = s.ticks(lines)
	for _, name := range names {
		groups := lines[name]
		slices.SortFunc(groups, func(a, b Group) int { return s.order(&a.Runs[0].Point, &b.Runs[0].Point) })
		line := chart.Series{Name: wrap(name)}
		for _, g := range groups {
			p := g.Arm().Point
			line.Values = append(line.Values, g.value(float64(slices.Index(c.Ticks, s.take(&p)))))
		}
		if len(line.Values) > 0 {
			c.Lines = append(c.Lines, line)
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
func (r *Report) latencyChart() (chart.Chart, bool) {
	c := chart.Chart{Name: "latency", X: "seconds since the start of the run", Y: "milliseconds from BEGIN to COMMIT"}
	base := Base(r.Groups())
	if base == nil {
		return c, false
	}
	batches, end := r.batchesOf(base.Arm())
	if len(batches) < 2*latencyBins {
		return c, false
	}
	c.Title = "Batch latency, " + base.Label
	c.Note = fmt.Sprintf("Batches: %d; runs: %d; by when they were stored.", len(batches), len(base.Runs))
	bins := make([][]float64, latencyBins)
	for _, b := range batches {
		at := min(int((b.Started+b.Seconds)/end*latencyBins), latencyBins-1)
		bins[at] = append(bins[at], b.Seconds*1e3)
	}
	for _, q := range []struct {
		name  string
		share float64
	}{{"99 % are faster", 0.99}, {"90 % are faster", 0.9}, {"half are faster", 0.5}} {
		line := chart.Series{Name: q.name}
		for i, bin := range bins {
			if len(bin) == 0 {
				continue
			}
			slices.Sort(bin)
			v := *quantile(bin, q.share)
			line.Values = append(line.Values, chart.Value{X: (float64(i) + 0.5) * end / latencyBins, Y: v, Low: v, High: v})
		}
		c.Lines = append(c.Lines, line)
	}
	return c, true
}

// batchesOf returns the batches of all runs of an arm, and when the last of them
// ended, in seconds from the start of its run.
func (r *Report) batchesOf(arm Result) (batches []Batch, end float64) {
	for _, b := range r.Batches {
		if b.Arm == arm.Arm && b.AllStreams == arm.AllStreams && b.Size == arm.Batch && b.Notation == arm.Notation && b.Shards == arm.Shards && b.Table == arm.Rows && b.Order == arm.Order {
			batches = append(batches, b)
			end = max(end, b.Started+b.Seconds)
		}
	}
	return batches, end
}

// scaleChart shows throughput by nodes against what the first one would make of
// them.
func (r *Report) scaleChart() (chart.Chart, bool) {
	c := chart.Chart{
		Name: "scale", Title: "Simulated scale-out", X: "workers", Y: thousandRows,
		Note: "Each node may use the same small share of a core, so that the nodes set the pace and not this machine." +
			" There are as many rows for each worker; the loader's time runs from its first BEGIN to its last COMMIT. The thin dotted line is the first value times the workers.",
	}
	var names []string
	byArm := map[string][]ScaleResult{}
	for _, s := range r.Scale {
		if byArm[s.Arm] == nil {
			names = append(names, s.Arm)
		}
		byArm[s.Arm] = append(byArm[s.Arm], s)
		if tick := fmt.Sprint(s.Workers); !slices.Contains(c.Ticks, tick) {
			c.Ticks = append(c.Ticks, tick)
		}
	}
	for i, name := range names {
		list := byArm[name]
		line := chart.Series{Name: name}
		ideal := chart.Series{Name: "ideal", Ideal: true}
		for _, s := range list {
			x := float64(slices.Index(c.Ticks, fmt.Sprint(s.Workers)))
			line.Values = append(line.Values, chart.Value{X: x, Y: s.Median / 1e3, Low: s.Low / 1e3, High: s.High / 1e3})
			v := list[0].Median / 1e3 * float64(s.Workers) / float64(list[0].Workers)
			ideal.Values = append(ideal.Values, chart.Value{X: x, Y: v, Low: v, High: v})
		}
		c.Lines = append(c.Lines, line)
		if i == 0 {
			c.Lines = append(c.Lines, ideal)
		}
	}
	return c, len(c.Ticks) > 1
}
