package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
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
func (a *app) progress(name string, snap func() snapshot) (stop func()) {
	if a.quiet {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if isTerminal(a.Stderr) {
			drawBar(ctx, a.Stderr, name, snap)
		} else {
			printLines(ctx, a.Stderr, name, snap)
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
func printLines(ctx context.Context, w io.Writer, name string, snap func() snapshot) {
	begun := time.Now()
	poll(ctx, lineEvery, func() {
		fmt.Fprintln(w, progressLine(name, snap(), time.Since(begun)))
	})
}

// progressLine returns a line such as
// "ads: 1,200,000 rows, 216 MB, 240,000 rows/s, 43 MB/s, 60 %, 4 s left".
func progressLine(name string, s snapshot, elapsed time.Duration) string {
	line := fmt.Sprintf("%s: %s, %s, %s", name, plural(s.Rows, "row"), size(s.Bytes), rates(s, elapsed))
	if s.Total <= 0 || s.Done <= 0 {
		return line
	}
	done := min(float64(s.Done)/float64(s.Total), 1)
	left := time.Duration(float64(elapsed) * (1 - done) / done)
	return line + fmt.Sprintf(", %.0f %%, %.0f s left", done*100, left.Seconds())
}

func rates(s snapshot, elapsed time.Duration) string {
	return count(rate(s.Rows, elapsed)) + " rows/s, " + size(rate(s.Bytes, elapsed)) + "/s"
}

// drawBar keeps a bar on the terminal w until ctx ends, and clears it.
func drawBar(ctx context.Context, w io.Writer, name string, snap func() snapshot) {
	total := snap().Total
	if total <= 0 {
		total = -1 // a spinner
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionFullWidth(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // the ticker below draws
		progressbar.OptionSetDescription(name),
	)
	begun := time.Now()
	poll(ctx, barEvery, func() {
		s := snap()
		bar.Describe(name + " " + rates(s, time.Since(begun)))
		if s.Total > 0 && s.Total != total {
			total = s.Total
			bar.ChangeMax64(total)
		}
		done := s.Done
		if total > 0 {
			done = min(done, total-1) // at its end the bar would print a line
		}
		_ = bar.Set64(done) // it complains of a full bar, which this is not
	})
	_ = bar.Clear()
}
