package clock

import (
	"context"
	"errors"
	"sync"
	"time"

	"shardload/loader"
)

// A Load is what is loaded on the clock.
type Load struct {
	Config loader.Config
	Input  loader.Input
	// Replace and NoAnalyze are as loader.SetOptions has them.
	Replace, NoAnalyze bool
	// Check, if not nil, is asked when the Loader is open; its error ends the load.
	Check func(loader.Plan) error
}

// A Run is what came of a Load.
type Run struct {
	Times
	Result  loader.Result
	Batches []loader.StoredBatch
}

// Run does what the command does with one file: opens a Loader, empties the table if that is
// asked for, loads, refreshes the statistics, and closes it.
func (l Load) Run(ctx context.Context) (r Run, err error) {
	c := Start()
	var seen Batches
	observe := l.Config.Observe
	l.Config.Observe = func(b loader.StoredBatch) {
		seen.Add(b)
		if observe != nil {
			observe(b)
		}
	}
	r.Result, err = l.load(ctx, c, &seen)
	c.Lap(&c.Finish)
	r.Times, r.Batches = c.Times, seen.List()
	return r, err
}

// load is Run without what its clock ends with.
func (l Load) load(ctx context.Context, c *Clock, seen *Batches) (res loader.Result, err error) {
	set, err := loader.OpenSet(ctx, &loader.SetTable{Config: l.Config, Inputs: []loader.Input{l.Input}})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	if l.Check != nil {
		if err := l.Check(set.Tables()[0].Loader().Plan()); err != nil {
			return res, err
		}
	}
	c.Lap(&c.Connect)
	var analyzed time.Time // when it began
	results, err := set.Load(ctx, loader.SetOptions{
		Replace: l.Replace, NoAnalyze: l.NoAnalyze,
		SetObserver: loader.SetObserver{
			Emptied: func() { c.Lap(&c.Empty) },
			Loaded: func(*loader.SetTable, loader.Input, loader.Result, error) {
				first, last := seen.span()
				c.LapAt(&c.Connect, first)
				c.LapAt(&c.Copy, last)
				c.Lap(&c.Finish)
				analyzed = time.Now()
			},
		},
	})
	for _, table := range results {
		for _, r := range table.Inputs {
			res = r
		}
		if table.Indexes > 0 {
			analyzed = analyzed.Add(table.Indexes)
			c.LapAt(&c.Indexes, analyzed)
		}
		if table.Analyze > 0 {
			c.LapAt(&c.Statistics, analyzed.Add(table.Analyze))
		}
	}
	return res, err
}

// Batches collects batches that are stored, by several goroutines at once.
type Batches struct {
	mu   sync.Mutex
	list []loader.StoredBatch
}

// Add adds a batch.
func (o *Batches) Add(b loader.StoredBatch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, b)
}

// List returns those that were added, when no more are.
func (o *Batches) List() []loader.StoredBatch { return o.list }

// span returns when the first batch began and the last one ended, the zero time for both without
// any.
func (o *Batches) span() (first, last time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, b := range o.list {
		if end := b.Started.Add(b.Elapsed); end.After(last) {
			last = end
		}
		if i == 0 || b.Started.Before(first) {
			first = b.Started
		}
	}
	return first, last
}
