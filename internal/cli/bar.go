package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/schollz/progressbar/v3"
)

// drawBar keeps a bar on the terminal w until ctx ends, and clears it. width is asked for
// each time: windows change.
func drawBar(ctx context.Context, w io.Writer, width func() int, name string, snap func() snapshot) {
	begun := time.Now()
	poll(ctx, barEvery, func() {
		redraw(w, barLine(name, snap(), time.Since(begun), width()))
	})
	redraw(w, "")
}

// shortestBar is what a bar must have to be worth its place.
const shortestBar = 10

// barLine returns a line such as "ads 1,000 rows/s, 1.9 MiB/s 50% [====>    ] 10 s left", which
// stays below that width: a terminal goes on in the next line after its last column, and that
// one would never be cleared. Where there is no room for all of it the bar goes first.
func barLine(name string, s snapshot, elapsed time.Duration, width int) string {
	room := max(width-1, 0)
	percent, left, bar := "", fmt.Sprintf(" %.0f s", elapsed.Seconds()), -1
	done, rest := s.far(elapsed)
	if s.Total > 0 {
		percent = fmt.Sprintf(" %.0f%%", done*100)
		if left = ""; done > 0 {
			left = fmt.Sprintf(" %.0f s left", rest.Seconds())
		}
		bar = room - text.StringWidth(name+" "+rates(s, elapsed)+percent+left) - len(" []")
	}
	all := name + " " + rates(s, elapsed) + percent
	if bar >= shortestBar {
		return all + " " + filledBar(done, bar) + left
	}
	for _, line := range []string{all + left, all, name + percent + left} {
		if text.StringWidth(line) <= room {
			return line
		}
	}
	return text.Trim(text.Trim(name, max(room-len(percent), 0))+percent, room)
}

// filledBar returns a bar of that width, in its brackets.
func filledBar(done float64, width int) string {
	const steps = 1 << 20
	bar := progressbar.NewOptions64(
		steps,
		progressbar.OptionSetWriter(io.Discard), // it would go on in the next line where it has no room
		progressbar.OptionSetWidth(width),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
	)
	_ = bar.Set64(int64(done * steps)) // it complains of more than all, which this is not
	_, drawn, _ := strings.Cut(bar.String(), "[")
	return "[" + strings.TrimRight(drawn, " ")
}
