package bench

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"golang.org/x/perf/benchmath"

	"shardload/internal/bench/meter"
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

// Compare compares the arms of two reports by their rows per second, those of a simulated scale-out
// by their numbers of workers, too. Reports that were timed in different ways cannot be compared.
func Compare(old, new *Report) ([]Difference, error) {
	if before, after := old.Environment.Clock, new.Environment.Clock; before != after {
		return nil, fmt.Errorf("the old report has timed %s, the new one %s", cmp.Or(before, "loads in another way"), cmp.Or(after, "loads in another way"))
	}
	before, after := old.samples(old), new.samples(old)
	var list []Difference
	for _, s := range before {
		d := Difference{Arm: s.arm, Old: meter.Median(s.rates), OldRuns: len(s.rates), Verdict: OnlyOld}
		at := slices.IndexFunc(after, func(other sample) bool { return other.arm == s.arm })
		if at >= 0 {
			d.compare(s.rates, after[at].rates)
			after = slices.Delete(after, at, at+1)
		}
		list = append(list, d)
	}
	for _, s := range after {
		list = append(list, Difference{Arm: s.arm, New: meter.Median(s.rates), NewRuns: len(s.rates), Verdict: OnlyNew})
	}
	return list, nil
}

// A sample is the rates of an arm's runs.
type sample struct {
	arm   string
	rates []float64
}

// samples returns those of all arms. Labels leave out what the base of a report has, too: only with
// one base are they alike.
func (r *Report) samples(base *Report) (list []sample) {
	for _, g := range groupsFrom(r.Results, basePoint(base.Results)) {
		list = append(list, sample{g.Label, g.Rates()})
	}
	for _, s := range r.Scale {
		rates := s.Rates
		if len(rates) == 0 {
			rates = []float64{s.Median}
		}
		list = append(list, sample{fmt.Sprintf("%s, workers: %d", s.Arm, s.Workers), rates})
	}
	return list
}

// Unlike says in which circumstances that matter two reports differ: what changed between them may
// be due to these.
func Unlike(old, new *Report) (list []string) {
	a, b := &old.Environment, &new.Environment
	for _, c := range []struct{ name, old, new string }{
		{"the processor", a.CPU, b.CPU},
		{"cores", fmt.Sprint(a.Cores), fmt.Sprint(b.Cores)},
		{"the server", a.Server, b.Server},
		{"Citus", a.Citus, b.Citus},
		{"the table", a.Table, b.Table},
		{"the seed", fmt.Sprint(a.Seed), fmt.Sprint(b.Seed)},
		{"the simulated clusters", a.Simulated, b.Simulated},
	} {
		switch {
		case c.name == "the table":
			c.old, c.new = ownSchema.ReplaceAllString(c.old, ""), ownSchema.ReplaceAllString(c.new, "")
			if c.old != c.new {
				list = append(list, "the tables were made in other ways")
			}
		case c.old != c.new:
			list = append(list, fmt.Sprintf("%s: %s, then %s", c.name, cmp.Or(c.old, "none"), cmp.Or(c.new, "none")))
		}
	}
	return append(list, unlikeSettings(a.Settings, b.Settings)...)
}

// ownSchema is the name of a benchmark's schema, which is another one each time.
var ownSchema = regexp.MustCompile(`shardload_bench_[a-z0-9]+\.`)

func unlikeSettings(old, new map[string]string) (list []string) {
	names := map[string]bool{}
	for name := range old {
		names[name] = true
	}
	for name := range new {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if old[name] != new[name] {
			list = append(list, fmt.Sprintf("%s: %s, then %s", name, cmp.Or(old[name], "none"), cmp.Or(new[name], "none")))
		}
	}
	return list
}

// compare fills in what the runs of new say beside those of old.
func (d *Difference) compare(old, new []float64) {
	thresholds := &benchmath.DefaultThresholds
	c := benchmath.AssumeNothing.Compare(benchmath.NewSample(slices.Clone(old), thresholds), benchmath.NewSample(slices.Clone(new), thresholds))
	d.New, d.NewRuns, d.P = meter.Median(new), len(new), c.P
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
