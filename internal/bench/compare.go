package bench

import (
	"slices"

	"golang.org/x/perf/benchmath"
)

// A Verdict is what a comparison comes to.
type Verdict string

// The verdicts. A difference is believed if the runs of an arm would differ so by
// chance in less than one of twenty comparisons (a Mann-Whitney U test).
const (
	Faster  Verdict = "faster"
	Slower  Verdict = "slower"
	Same    Verdict = "the same" // as far as these runs can tell
	TooFew  Verdict = "too few runs to tell"
	OnlyOld Verdict = "only in the old"
	OnlyNew Verdict = "only in the new"
)

// A Difference is an arm in two reports. What the other report has no runs for is 0.
type Difference struct {
	Arm     string  `json:"arm"`
	Old     float64 `json:"old_rows_per_second"` // the median
	New     float64 `json:"new_rows_per_second"`
	Change  float64 `json:"change"` // (new - old) / old
	P       float64 `json:"p"`      // of the null hypothesis
	OldRuns int     `json:"old_runs"`
	NewRuns int     `json:"new_runs"`
	Verdict Verdict `json:"verdict"`
}

// Compare compares the arms of two reports by their rows per second.
func Compare(old, new *Report) []Difference {
	// Labels leave out what the base has, too: only with one base are they alike.
	base := basePoint(old.Results)
	before, after := groupsFrom(old.Results, base), groupsFrom(new.Results, base)
	var list []Difference
	for i := range before {
		d := Difference{Arm: before[i].Label, Old: before[i].Median(), OldRuns: len(before[i].Runs), Verdict: OnlyOld}
		at := slices.IndexFunc(after, func(g Group) bool { return g.Label == before[i].Label })
		if at >= 0 {
			d.compare(&before[i], &after[at])
			after = slices.Delete(after, at, at+1)
		}
		list = append(list, d)
	}
	for i := range after {
		list = append(list, Difference{Arm: after[i].Label, New: after[i].Median(), NewRuns: len(after[i].Runs), Verdict: OnlyNew})
	}
	return list
}

// compare fills in what the runs of new say beside those of old.
func (d *Difference) compare(old, new *Group) {
	thresholds := &benchmath.DefaultThresholds
	c := benchmath.AssumeNothing.Compare(benchmath.NewSample(old.Rates(), thresholds), benchmath.NewSample(new.Rates(), thresholds))
	d.New, d.NewRuns, d.P = new.Median(), len(new.Runs), c.P
	d.Change = (d.New - d.Old) / d.Old
	switch {
	case d.OldRuns < enoughRuns || d.NewRuns < enoughRuns:
		d.Verdict = TooFew
	case c.P >= c.Alpha:
		d.Verdict = Same
	case d.Change < 0:
		d.Verdict = Slower
	default:
		d.Verdict = Faster
	}
}

// enoughRuns is the number of runs on both sides with which the test can find a
// difference at all: of three against three the most different have p = 0.1.
const enoughRuns = 4
