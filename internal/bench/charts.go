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
	add(r.shapesChart())
	add(r.cpuChart())
	for _, s := range sweeps {
		add(r.sweepChart(s))
	}
	add(r.latencyChart())
	add(r.scaleChart())
	return list
}

// armsChart shows the throughput of the arms with the base's rows, the fastest first.
func (r *Report) armsChart() (chart.Chart, bool) {
	c := chart.Chart{
		Name: "arms", Title: r.Finding(), X: thousandRows, Groups: kindNames,
		Note: "From start to finish. Medians; the thin lines run from the slowest to the fastest run. The null sink, which stores nothing, is in the table alone.",
	}
	for _, f := range r.Figures() {
		if f.Arm == nullSink || strings.HasPrefix(f.Arm, nullSink+",") || f.Shape != basePoint(r.Results).Shape {
			continue // it would make all others look alike; other shapes have a chart
		}
		name := f.Arm
		if f.Short {
			name += " (shorter than the noise)"
		}
		c.Bars = append(c.Bars, chart.Bar{
			Name: name, Group: slices.Index(kinds, f.Kind),
			Value: chart.Value{Y: f.RowsPerSecond / 1e3, Low: f.Low / 1e3, High: f.High / 1e3},
		})
	}
	return c, len(c.Bars) > 0
}

// shapesChart shows how much faster than psql the base loads each shape, beside its limit.
func (r *Report) shapesChart() (chart.Chart, bool) {
	c := chart.Chart{
		Name: "shapes", X: `times psql \copy of the same rows`, Groups: kindNames[:2],
		Note: "From start to finish. Medians of the rounds; the thin lines run from the least to the most of a round.",
	}
	var least, most float64
	for _, f := range r.Figures() {
		of, ours := r.groupOf(f.Arm)
		if f.Psql == nil || f.Kind == KindRival || !of.sentAs(*basePoint(r.Results)) || of.Route != basePoint(r.Results).Route {
			continue
		}
		name := f.Shape
		if ours {
			least, most = min(cmp.Or(least, f.Psql.Median), f.Psql.Median), max(most, f.Psql.Median)
		} else {
			name += ", wire limit"
		}
		c.Bars = append(c.Bars, chart.Bar{
			Name: name, Group: slices.Index(kinds, f.Kind), Value: chart.Value{Y: f.Psql.Median, Low: f.Psql.Low, High: f.Psql.High},
		})
	}
	slices.SortStableFunc(c.Bars, func(a, b chart.Bar) int { return cmp.Compare(b.Y, a.Y) })
	c.Title = fmt.Sprintf(`%s is %.2f to %.2f times as fast as psql \copy, by what is loaded`, loaderName, least, most)
	shapes := map[string]bool{}
	for _, result := range r.Results {
		shapes[result.Shape] = true
	}
	return c, len(shapes) > 1 && most > 0
}

// groupOf returns the point of the arm with that label, and whether it is the loader's.
func (r *Report) groupOf(label string) (Point, bool) {
	g := find(r.Groups(), func(result Result) bool { return result.label(basePoint(r.Results)) == label })
	return g.Arm().Point, g.Arm().Kind == KindLoader
}

// cpuChart shows what a million rows cost, which depends less on what else the
// machine does than how long they take.
func (r *Report) cpuChart() (chart.Chart, bool) {
	c := chart.Chart{
		Name: "cpu", X: "CPU seconds for a million rows",
		Note: "Of the client with the programs that it runs, and of all server processes; medians. What else the machine does changes this less than the throughput.",
	}
	client, server := chart.Layer{Name: "client"}, chart.Layer{Name: "servers"}
	type bar struct {
		g              *Group
		client, server float64
	}
	var bars []bar
	groups := r.Groups()
	for i := range groups {
		g := &groups[i]
		mine, ok := g.MedianOf(func(r *Result) *float64 { return r.ClientCPU })
		theirs, known := g.MedianOf(func(r *Result) *float64 { return r.ServerCPU })
		if !ok || !known || g.Arm().Kind == KindLimit || g.Arm().Shape != basePoint(r.Results).Shape {
			continue
		}
		million := float64(g.Arm().Rows) / 1e6
		bars = append(bars, bar{g, mine / million, theirs / million})
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(a.client+a.server, b.client+b.server) })
	sums := map[string]float64{}
	for _, b := range bars {
		c.Ticks = append(c.Ticks, b.g.Label)
		client.Values, server.Values = append(client.Values, b.client), append(server.Values, b.server)
		sums[b.g.Label] = b.client + b.server
	}
	c.Stack = []chart.Layer{client, server}
	c.Title = "What a million rows cost all machines together"
	base := Base(groups)
	if base != nil && base.Arm().Kind == KindLoader && sums[base.Label] > 0 && sums[psqlName] > 0 {
		c.Title = fmt.Sprintf(`psql \copy costs all machines together %.2f times the CPU time of %s`, sums[psqlName]/sums[base.Label], loaderName)
	}
	return c, len(c.Ticks) > 0
}

// value returns the group's throughput, in thousands, at x.
func (g *Group) value(x float64) chart.Value {
	rates := g.Rates()
	return chart.Value{X: x, Y: g.Median() / 1e3, Low: rates[0] / 1e3, High: rates[len(rates)-1] / 1e3}
}

// A sweep is a setting whose values a chart compares.
type sweep struct {
	name, what, axis string
	take             func(*Point) string // takes the setting out of a point
	order            func(a, b *Point) int
	words            bool // the values are words
}

var sweeps = []sweep{
	{
		"streams", "number of streams", "streams over all nodes",
		func(p *Point) string { n := p.AllStreams; p.AllStreams = 0; return fmt.Sprint(n) },
		func(a, b *Point) int { return a.AllStreams - b.AllStreams }, false,
	},
	{
		"batch", "size of batches", "size of a batch",
		func(p *Point) string { n := p.Batch; p.Batch = 0; return term.Bytes(n) },
		func(a, b *Point) int { return cmp.Compare(a.Batch, b.Batch) }, false,
	},
	{
		"format", "format of what is sent", "how the rows are sent",
		func(p *Point) string { n := p.Notation; p.Notation = ""; return string(n) },
		func(a, b *Point) int { return cmp.Compare(a.Notation, b.Notation) }, true,
	},
	{
		"shards", "number of shards", "shards of the table",
		func(p *Point) string { n := p.Shards; p.Shards = 0; return fmt.Sprint(n) },
		func(a, b *Point) int { return a.Shards - b.Shards }, false,
	},
	{
		"rows", "number of rows", "rows",
		func(p *Point) string { n := p.Rows; p.Rows = 0; return humanize.Comma(n) },
		func(a, b *Point) int { return cmp.Compare(a.Rows, b.Rows) }, false,
	},
	{
		"order", "order of the rows", "rows in the input",
		func(p *Point) string { o := p.Order; p.Order = ""; return string(o) },
		func(a, b *Point) int { return cmp.Compare(a.Order, b.Order) }, true,
	},
}

// sweepChart compares the values of one setting: a line for each set of arms of
// the loader that differ in nothing else.
func (r *Report) sweepChart(s sweep) (chart.Chart, bool) {
	c := chart.Chart{
		Name: s.name, X: s.axis, Y: thousandRows, Words: s.words,
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
		line := chart.Series{Name: name}
		for _, g := range groups {
			p := g.Arm().Point
			line.Values = append(line.Values, g.value(float64(slices.Index(c.Ticks, s.take(&p)))))
		}
		if len(line.Values) > 0 {
			c.Lines = append(c.Lines, line)
		}
	}
	c.Title = s.finding(r, lines)
	return c, true
}

// finding says which value is best for the base's arm, if that can be told.
func (s sweep) finding(r *Report, lines map[string][]Group) string {
	base := Base(r.Groups())
	for _, groups := range lines {
		at := slices.IndexFunc(groups, func(g Group) bool { return g.Label == base.Label })
		if at < 0 {
			continue
		}
		best := slices.MaxFunc(groups, func(a, b Group) int { return cmp.Compare(a.Median(), b.Median()) })
		worst := slices.MinFunc(groups, func(a, b Group) int { return cmp.Compare(a.Median(), b.Median()) })
		if worst.Rates()[len(worst.Runs)-1] >= best.Rates()[0] {
			return fmt.Sprintf("The %s makes no difference that the spread does not cover", s.what)
		}
		p, q := best.Arm().Point, worst.Arm().Point
		return fmt.Sprintf("The best %s is %s: %.2f times as fast as with %s", s.what, s.take(&p), best.Median()/worst.Median(), s.take(&q))
	}
	return "Throughput by " + s.what
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
	c.Title = latencyFinding(batches)
	c.Note = fmt.Sprintf("Of %s. Batches: %d; runs: %d; by when they were stored.", base.Label, len(batches), len(base.Runs))
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

func latencyFinding(batches []Batch) string {
	var list []float64
	for _, b := range batches {
		list = append(list, b.Seconds)
	}
	slices.Sort(list)
	return fmt.Sprintf("A batch is stored in %.0f ms at the median, 99 %% of them in %.0f ms", *quantile(list, 0.5)*1e3, *quantile(list, 0.99)*1e3)
}

// batchesOf returns the batches of all runs of an arm, and when the last of them
// ended, in seconds from the start of its run.
func (r *Report) batchesOf(arm Result) (batches []Batch, end float64) {
	for _, b := range r.Batches {
		if b.Arm == arm.Arm && b.Shape == arm.Shape && b.AllStreams == arm.AllStreams && b.Size == arm.Batch && b.Notation == arm.Notation && b.Shards == arm.Shards && b.Table == arm.Rows && b.Order == arm.Order {
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
		Name: "scale", Title: scaleFinding(r.Scale), X: "workers", Y: thousandRows,
		Note: "Each node may use the same small share of a core, so that the nodes set the pace and not this machine." +
			" There are as many rows for each worker; the time of all arms is that of the copying alone. The thin dotted line is the first value times the workers.",
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

// scaleFinding says what the most workers make of each arm.
func scaleFinding(list []ScaleResult) string {
	first, last := map[string]ScaleResult{}, map[string]ScaleResult{}
	var names []string
	for _, s := range list {
		if _, ok := first[s.Arm]; !ok {
			first[s.Arm] = s
			names = append(names, s.Arm)
		}
		last[s.Arm] = s
	}
	var parts []string
	for i, name := range names {
		text := fmt.Sprintf("%s %.1f times", name, last[name].Median/first[name].Median)
		if i == 0 {
			text = fmt.Sprintf("From %d to %d simulated workers: %s", first[name].Workers, last[name].Workers, text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}
