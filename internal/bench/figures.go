package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"shardload/internal/bench/clock"
	"shardload/internal/bench/meter"
)

// A Ratio is by how much faster one arm was than another: the median of the rounds in which both
// ran, and the least and the most. What else the machine does meets both arms of a round alike.
type Ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// over returns how many times as fast as other g was, nil if there is no other.
func (g *Group) over(other *Group) *Ratio {
	if other == nil {
		return nil
	}
	var ratios []float64
	for _, mine := range g.Runs {
		at := slices.IndexFunc(other.Runs, func(r Result) bool { return r.Run == mine.Run })
		if at >= 0 {
			ratios = append(ratios, mine.RowsPerSecond/other.Runs[at].RowsPerSecond)
		}
	}
	if len(ratios) == 0 { // a slow arm ran once, and not in a round of these
		ratio := g.Median() / other.Median()
		return &Ratio{ratio, ratio, ratio}
	}
	return &Ratio{meter.Median(ratios), slices.Min(ratios), slices.Max(ratios)}
}

// A Figure is what a report says first of an arm.
type Figure struct {
	Arm   string `json:"arm"` // with the settings in which it differs from the base
	Kind  Kind   `json:"kind"`
	Shape string `json:"shape"`
	// Psql is how many times as fast as one psql \copy of the same rows it was, Limit which
	// share of the wire limit of its route it reached. They are nil where that did not run.
	Psql  *Ratio `json:"times_psql,omitempty"`
	Limit *Ratio `json:"share_of_wire_limit,omitempty"`

	Rows          int64   `json:"rows"`
	RowsPerSecond float64 `json:"rows_per_second"` // the median
	Low           float64 `json:"rows_per_second_low"`
	High          float64 `json:"rows_per_second_high"`
	Seconds       float64 `json:"seconds"` // of a run; its parts are medians, too
	clock.Times
	// Short says that a run took no longer than runs of the same arm differ: that its rate
	// says little.
	Short bool `json:"shorter_than_noise,omitempty"`
}

// Figures returns a Figure for each arm: by shape, the fastest first.
func (r *Report) Figures() []Figure {
	groups := r.Groups()
	noise := noiseOf(groups)
	var list []Figure
	for i := range groups {
		g := &groups[i]
		arm, rates, secs := g.Arm(), g.Rates(), g.Seconds()
		f := Figure{
			Arm: g.Label, Kind: arm.Kind, Shape: arm.Shape,
			Rows: arm.Rows, RowsPerSecond: g.Median(), Low: rates[0], High: rates[len(rates)-1],
			Seconds: secs, Times: g.Times(), Short: secs < noise,
		}
		if arm.Arm != nullSink { // which stores nothing
			f.Psql = g.over(psqlOf(groups, arm.Point))
		}
		if arm.Kind != KindLimit {
			f.Limit = g.over(limitOf(groups, arm.Point))
		}
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b Figure) int {
		return cmp.Or(shapeAt(groups, a.Shape)-shapeAt(groups, b.Shape), cmp.Compare(b.RowsPerSecond, a.RowsPerSecond))
	})
	return list
}

// shapeAt returns where the first arm of a shape is.
func shapeAt(groups []Group, shape string) int {
	return slices.IndexFunc(groups, func(g Group) bool { return g.Arm().Shape == shape })
}

// psqlOf returns the runs of one psql \copy of the same rows, nil if there are none.
func psqlOf(groups []Group, p Point) *Group {
	return find(groups, func(r Result) bool {
		return r.Arm == psqlName && inputOf(r.Point) == inputOf(p) && r.Shards == p.Shards
	})
}

// limitOf returns the runs of the wire limit of the point's route and rows; of what has no route,
// of the first that there is.
func limitOf(groups []Group, p Point) *Group {
	return find(groups, func(r Result) bool {
		return strings.HasPrefix(r.Arm, wireLimit) && inputOf(r.Point) == inputOf(p) && r.Shards == p.Shards && (p.Route == "" || r.Route == p.Route)
	})
}

// find returns the first group whose arm fits, or nil.
func find(groups []Group, fits func(Result) bool) *Group {
	for i := range groups {
		if fits(groups[i].Arm()) {
			return &groups[i]
		}
	}
	return nil
}

// leastNoise is what the start of a process, or a neighbour's checkpoint, make of a run in seconds.
// It counts where arms have fewer runs than enoughForNoise, which may be alike by chance.
const (
	leastNoise     = 0.25
	enoughForNoise = 5
)

// noiseOf returns by how many seconds runs of one arm differ: half of the arms differ by less.
func noiseOf(groups []Group) float64 {
	var spans []float64
	least := 0.0
	for _, g := range groups {
		if len(g.Runs) < enoughForNoise {
			least = leastNoise
		}
		if len(g.Runs) < 2 {
			continue
		}
		low, high := g.Runs[0].Seconds, g.Runs[0].Seconds
		for _, r := range g.Runs {
			low, high = min(low, r.Seconds), max(high, r.Seconds)
		}
		spans = append(spans, high-low)
	}
	if len(spans) == 0 {
		return leastNoise
	}
	return max(meter.Median(spans), least)
}

// Finding says in a sentence what a report comes to.
func (r *Report) Finding() string {
	groups := r.Groups()
	base := Base(groups)
	if base == nil {
		return ""
	}
	figures := r.Figures()
	f := figures[slices.IndexFunc(figures, func(f Figure) bool { return f.Arm == base.Label })]
	who := f.Arm
	if f.Kind == KindLoader {
		who = loaderName
	}
	switch {
	case f.Short:
		return fmt.Sprintf("Runs of %.2f s are shorter than the noise: more rows would tell", f.Seconds)
	case f.Kind != KindLoader || f.Psql == nil && f.Limit == nil:
		return fmt.Sprintf("%s loads %s rows per second", who, comma(f.RowsPerSecond))
	case f.Psql == nil:
		return fmt.Sprintf("%s reaches %.2f of the wire limit", who, f.Limit.Median)
	case f.Limit == nil:
		return fmt.Sprintf(`%s is %.2f times as fast as psql \copy`, who, f.Psql.Median)
	}
	return fmt.Sprintf(`%s is %.2f times as fast as psql \copy, at %.2f of the wire limit`, who, f.Psql.Median, f.Limit.Median)
}
