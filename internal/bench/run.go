package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"shardload/internal/bench/meter"
)

// Run measures all arms, round by round. When ctx ends it returns what it has so far,
// with the error. An arm that fails is not run again, and is among the report's
// Skipped.
func (b *Bench) Run(ctx context.Context) (Report, error) {
	// Each round has an order of its own, so that no arm always follows the same.
	shuffle := rand.New(rand.NewPCG(b.cfg.Seed, 0))
	rounds, runs := b.cfg.Warmup+b.cfg.Repeat, 0
	for round := range rounds {
		turn := slices.Clone(b.arms)
		if round >= b.cfg.Warmup {
			shuffle.Shuffle(len(turn), func(i, j int) { turn[i], turn[j] = turn[j], turn[i] })
		}
		for i, a := range turn {
			runs++
			ended := b.cfg.Running(Running{
				Arm: a.label(b.base()), Shape: a.Shape, Rows: a.Rows, Observed: a.Kind == KindLoader || strings.HasPrefix(a.Name, wireLimit),
				Number: runs, Of: runs + len(turn) - i - 1 + (rounds-round-1)*len(b.arms),
			})
			err := b.measure(ctx, a, round)
			ended()
			if err != nil {
				return b.finish(false), err
			}
		}
	}
	return b.finish(true), nil
}

// finish completes the report.
func (b *Bench) finish(complete bool) Report {
	env := &b.report.Environment
	env.Seed, env.Warmup, env.Repeat = b.cfg.Seed, b.cfg.Warmup, b.cfg.Repeat
	env.Between, env.Clock = b.place.between(), "from start to finish: "+b.cfg.words()
	if b.cfg.steady {
		env.Clock = "the copying alone"
	}
	for i, s := range b.place.statements {
		if i > 0 {
			env.Table += ";\n"
		}
		env.Table += s
	}
	slices.SortStableFunc(b.report.Results, func(x, y Result) int { return b.index(x) - b.index(y) })
	b.report.Complete = complete
	return b.report
}

// index returns where the arm of r stands in the list of all arms.
func (b *Bench) index(r Result) int {
	return slices.IndexFunc(b.all, func(a *Arm) bool { return a.Name == r.Arm && a.Point == r.Point })
}

// measure runs an arm once. It returns an error only if the benchmark cannot go on.
func (b *Bench) measure(ctx context.Context, a *Arm, round int) error {
	table := b.table(a.Point)
	if err := b.place.empty(ctx, table); err != nil {
		return err
	}
	file := b.file(a.Point)
	if err := warm(file.path); err != nil {
		return err
	}
	debug.FreeOSMemory() // as a command of its own has none that was touched before
	limited, cancel := context.WithTimeoutCause(ctx, b.cfg.Limit, fmt.Errorf("it took longer than %s", b.cfg.Limit))
	defer cancel()
	before := b.meter.Read(ctx)
	started := time.Now()
	out, err := a.run(limited)
	used := b.meter.Read(ctx).Since(before)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = b.check(ctx, a, table)
	}
	if err != nil {
		b.drop(a, err.Error())
		return nil
	}
	b.record(a, round, started, out, used)
	return nil
}

// check counts what a run has stored.
func (b *Bench) check(ctx context.Context, a *Arm, table string) error {
	var want int64
	if a.stores {
		want = a.Rows
	}
	got, err := b.place.count(ctx, table)
	if err == nil && got != want {
		err = fmt.Errorf("the table held %d rows afterwards, not %d", got, want)
	}
	return err
}

// slowFactor is how many times as long as the fastest run of all a slow one takes.
const slowFactor = 3

// record keeps a run that went well. One for warm-up does not count, unless it was
// so slow that the arm is not run again.
func (b *Bench) record(a *Arm, round int, started time.Time, out outcome, used meter.Usage) {
	seconds := out.seconds(b.cfg.steady)
	if a.stores && (b.fastest == 0 || seconds < b.fastest) {
		b.fastest = seconds
	}
	slow := seconds > b.cfg.Slow.Seconds() && seconds > slowFactor*b.fastest
	run := round - b.cfg.Warmup + 1
	if slow {
		run = max(run, 1)
		b.cfg.Note("%s is slow: it is not run again", a.Name)
		b.remove(a)
	}
	count := "warm-up"
	if run > 0 {
		count = fmt.Sprintf("%d of %d", run, b.cfg.Repeat)
	}
	b.cfg.Note("%-8s  %9s rows/s  %s", count, humanize.Comma(int64(float64(a.Rows)/seconds)), a.label(b.base()))
	if run < 1 {
		return
	}
	r := a.result(run, started, b.file(a.Point).bytes, out, used, seconds)
	b.report.Results = append(b.report.Results, r)
	b.cfg.Ran(r)
	b.report.Batches = append(b.report.Batches, a.batches(run, started, out.batches)...)
}

// base returns the point that notes need not repeat.
func (b *Bench) base() *Point { return &b.all[0].Point }

// drop gives an arm up.
func (b *Bench) drop(a *Arm, why string) {
	b.skip(a.Name, why)
	b.cfg.Note("%s is given up: %s", a.Name, why)
	b.remove(a)
}

func (b *Bench) remove(a *Arm) {
	b.arms = slices.DeleteFunc(b.arms, func(other *Arm) bool { return other == a })
}
