package bench

import (
	"slices"

	"shardload/internal/bench/clock"
	"shardload/internal/bench/meter"
)

// A Group is the runs of one arm.
type Group struct {
	Label string // the arm and in which of its settings it differs from the base
	Runs  []Result
}

// Arm returns what all runs of g have in common.
func (g *Group) Arm() Result { return g.Runs[0] }

// Rates returns the runs' rows per second, the lowest first.
func (g *Group) Rates() []float64 {
	rates := make([]float64, len(g.Runs))
	for i, r := range g.Runs {
		rates[i] = r.RowsPerSecond
	}
	slices.Sort(rates)
	return rates
}

// Median returns the median of the runs' rows per second.
func (g *Group) Median() float64 { return meter.Median(g.Rates()) }

// Seconds returns the median of the runs' seconds.
func (g *Group) Seconds() float64 {
	var values []float64
	for _, r := range g.Runs {
		values = append(values, r.Seconds)
	}
	return meter.Median(values)
}

// Times returns the median of each part of the runs' times.
func (g *Group) Times() clock.Times {
	var runs []clock.Times
	for _, r := range g.Runs {
		runs = append(runs, r.Times)
	}
	return clock.Median(runs)
}

// MedianOf returns the median of what value takes from the runs, and false if a
// run has none.
func (g *Group) MedianOf(value func(*Result) *float64) (float64, bool) {
	var values []float64
	for i := range g.Runs {
		v := value(&g.Runs[i])
		if v == nil {
			return 0, false
		}
		values = append(values, *v)
	}
	return meter.Median(values), true
}

// WALPerRow returns the write-ahead log of a row in bytes, nil where nothing is
// known.
func (r *Result) WALPerRow() *float64 {
	if r.WAL == nil {
		return nil
	}
	v := float64(*r.WAL) / float64(r.Rows)
	return &v
}

// Groups returns the runs of each arm, in the order in which the arms first ran.
func (r *Report) Groups() []Group { return groupsFrom(r.Results, basePoint(r.Results)) }

// groupsFrom is Groups with labels that leave out what base has, too.
func groupsFrom(results []Result, base *Point) []Group {
	var list []Group
	for _, r := range results {
		label := r.label(base)
		at := slices.IndexFunc(list, func(g Group) bool { return g.Label == label })
		if at < 0 {
			list = append(list, Group{Label: label})
			at = len(list) - 1
		}
		list[at].Runs = append(list[at].Runs, r)
	}
	return list
}

// basePoint returns the point that labels need not repeat: that of the first of
// the loader's arms, or of any.
func basePoint(results []Result) *Point {
	for _, r := range results {
		if r.Kind == KindLoader {
			return &r.Point
		}
	}
	if len(results) > 0 {
		return &results[0].Point
	}
	return nil
}

// Base returns the group to which others are compared: the first of the loader's
// arms, else the first of all.
func Base(groups []Group) *Group {
	for i := range groups {
		if groups[i].Arm().Kind == KindLoader {
			return &groups[i]
		}
	}
	if len(groups) == 0 {
		return nil
	}
	return &groups[0]
}
