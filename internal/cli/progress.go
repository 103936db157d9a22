package cli

import (
	"context"
	"sync"
	"time"

	"shardload/internal/term"
)

// How often progress is shown: a bar should move, a log should not grow.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

// A snapshot is how far a piece of work has come.
type snapshot struct {
	Rows   int64 // that are stored, or made
	Before int64 // of them, by earlier runs: no part of this one's rate
	Bytes  int64 // of the rows, 0 where nobody asks
	// Done of Total is how much of the work that is, in any unit. Total is 0 where
	// nobody knows.
	Done, Total int64
	Ending      bool // all is done but the end
}

// An activity is a piece of work that is shown while it goes on.
type activity struct {
	name  string
	begun time.Time
	snap  func() snapshot // nil where nothing is known but that it goes on
	speed speed
}

// look returns how far the activity is now.
func (a *activity) look() view {
	v := view{name: a.name, now: time.Now()}
	v.elapsed = v.now.Sub(a.begun)
	if a.snap == nil {
		return v
	}
	v.counts, v.snapshot = true, a.snap()
	a.speed.add(v.now, v.Rows-v.Before, v.Bytes)
	v.rows, v.bytes = a.speed.rates(a.begun)
	return v
}

// progress shows how the work called name goes on, until stop is called or ctx ends. snap, which
// may be nil, is polled from another goroutine, which stop waits for. Where standard error is a
// terminal there is a bar, which stop removes; elsewhere a line now and then. Of several pieces
// of work the one that began last is shown.
func (c *console) progress(ctx context.Context, name string, snap func() snapshot) (stop func()) {
	switch {
	case c.quiet || c.progressAs == progressNone:
		return func() {}
	case c.progressAs == progressJSON:
		return emitProgress(c, name, snap)
	}
	a := &activity{name: term.Line(name), begun: time.Now(), snap: snap}
	c.live.push(a)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if hasBar(c) {
			poll(ctx, barEvery, func() { c.live.draw(a, func(a *activity) { draw(c, a) }) })
		} else {
			poll(ctx, lineEvery, func() { c.live.unless(a, func(a *activity) { tellProgress(c, a) }) })
		}
		c.live.instead(c.clearBar, func() {})
	})
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		c.live.pop(a)
	})
}

// hasBar reports whether progress is a bar: on a terminal that can clear a line.
func hasBar(c *console) bool {
	return isTerminal(c.Stderr) && (c.Getenv == nil || c.Getenv("TERM") != "dumb")
}

// draw draws the bar of an activity, in the width that the terminal has now: windows change.
func draw(c *console, a *activity) {
	c.drawBar(a.look().bar(waitNow(&c.waits), terminalWidth(c.Stderr)))
}

// tellProgress writes a line about an activity.
func tellProgress(c *console, a *activity) { c.tell("%s\n", a.look().line(waitNow(&c.waits))) }

// poll calls show until ctx ends.
func poll(ctx context.Context, every time.Duration, show func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			show()
		case <-ctx.Done():
			return
		}
	}
}
