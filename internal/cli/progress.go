package cli

import (
	"context"
	"fmt"
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
	Rows  int64
	Bytes int64
	// Done of Total is how much of the work that is, in any unit. Total is 0 where
	// nobody knows.
	Done, Total int64
}

// progress shows how the work called name goes on, until stop is called. snap is
// polled from another goroutine, which stop waits for. Where standard error is a
// terminal there is a bar, which stop removes; elsewhere a line now and then.
func (c *console) progress(name string, snap func() snapshot) (stop func()) {
	switch {
	case c.quiet || c.progressAs == progressNone:
		return func() {}
	case c.progressAs == progressJSON:
		return c.emitProgress(name, snap)
	}
	name = term.Line(name)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if isTerminal(c.Stderr) {
			drawBar(ctx, raw(c.Stderr), func() int { return terminalWidth(c.Stderr) }, name, snap)
		} else {
			printLines(ctx, c.tell, name, snap)
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
}

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

// printLines writes a line every few seconds. Work that is done sooner has none.
func printLines(ctx context.Context, tell func(format string, args ...any), name string, snap func() snapshot) {
	begun := time.Now()
	poll(ctx, lineEvery, func() {
		tell("%s\n", progressLine(name, snap(), time.Since(begun)))
	})
}

// progressLine returns a line such as
// "ads: 1,200,000 rows, 206 MiB, 240,000 rows/s, 41 MiB/s, 60 %, 4 s left".
func progressLine(name string, s snapshot, elapsed time.Duration) string {
	line := fmt.Sprintf("%s: %s, %s, %s", name, plural(s.Rows, "row"), size(s.Bytes), rates(s, elapsed))
	if done, left := s.far(elapsed); done > 0 {
		line += fmt.Sprintf(", %.0f %%, %.0f s left", done*100, left.Seconds())
	}
	return line
}

// far returns which part of the work is done, 0 where nobody knows, and how long the rest
// takes.
func (s snapshot) far(elapsed time.Duration) (done float64, left time.Duration) {
	if s.Total <= 0 || s.Done <= 0 {
		return 0, 0
	}
	done = min(float64(s.Done)/float64(s.Total), 1)
	return done, time.Duration(float64(elapsed) * (1 - done) / done)
}

func rates(s snapshot, elapsed time.Duration) string {
	return count(rate(s.Rows, elapsed)) + " rows/s, " + size(rate(s.Bytes, elapsed)) + "/s"
}
