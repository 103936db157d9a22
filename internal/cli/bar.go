package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/schollz/progressbar/v3"
)

// A view is what there is to show of an activity at a moment.
type view struct {
	name string
	now  time.Time
	snapshot
	counts      bool // the snapshot is of something
	elapsed     time.Duration
	rows, bytes int64 // in a second, now
}

// shortestBar is what a bar must have to be worth its place.
const shortestBar = 10

// bar returns a line such as "ads 50% [====>    ] 1,000,000 rows, 200,000 rows/s, 10 s left", which
// stays below that width: a terminal goes on in the next line after its last column. Where there
// is no room for all of it the bar goes first. What is waited for, if anything, stands in place
// of the rest.
func (v view) bar(wait *waitView, width int) string {
	room := max(width-1, 0)
	head := v.name
	if v.counts && v.Total > 0 {
		head += " " + v.percent()
	} else if !v.counts {
		head += ":"
	}
	if wait != nil {
		return fit(room, head+" "+wait.long(v.now), head+" "+wait.short(v.now))
	}
	parts := v.parts()
	all := strings.Join(parts, ", ")
	if width := room - text.StringWidth(head+" "+all) - len(" []"); v.counts && v.Total > 0 && width >= shortestBar {
		return head + " " + filledBar(v.done(), width) + " " + all
	}
	lines := []string{}
	for from := range parts { // the first one counts least
		lines = append(lines, head+" "+strings.Join(parts[from:], ", "))
	}
	return fit(room, append(lines, v.shortHead(room))...)
}

// shortHead returns name and percentage, of which the latter is worth more.
func (v view) shortHead(room int) string {
	if !v.counts || v.Total <= 0 {
		return v.name
	}
	return text.Trim(v.name, max(room-len(" "+v.percent()), 0)) + " " + v.percent()
}

// fit returns the first of lines that fits into room, or as much as fits of the last one.
func fit(room int, lines ...string) string {
	for _, line := range lines {
		if text.StringWidth(line) <= room {
			return line
		}
	}
	return text.Trim(lines[len(lines)-1], room)
}

// line returns a line such as "ads: 50 %, 1,000,000 rows, 200,000 rows/s, 10 s left".
func (v view) line(wait *waitView) string {
	parts := v.parts()
	if wait != nil {
		parts = []string{wait.long(v.now)}
	}
	if v.counts && v.Total > 0 {
		parts = append([]string{strings.Replace(v.percent(), "%", " %", 1)}, parts...)
	}
	return v.name + ": " + strings.Join(parts, ", ")
}

// parts returns what is said beside name and percentage, the most important part last.
func (v view) parts() (list []string) {
	if !v.counts {
		return []string{span(v.elapsed)}
	}
	list = append(list, plural(v.Rows, "row"))
	if v.Bytes > 0 {
		list = append(list, size(v.Bytes), size(v.bytes)+"/s")
	}
	list = append(list, count(v.rows)+" rows/s")
	switch left, known := v.left(); {
	case v.Ending:
		list = append(list, "ending")
	case known:
		list = append(list, span(left)+" left")
	case v.Total <= 0:
		list = append(list, span(v.elapsed))
	}
	return list
}

// done returns which share of the work is done.
func (v view) done() float64 {
	if v.Total <= 0 {
		return 0
	}
	return min(max(float64(v.Done)/float64(v.Total), 0), 1)
}

// percent returns that in percent. 100 are all of it, and not nearly all.
func (v view) percent() string { return fmt.Sprintf("%d%%", int(v.done()*100)) }

// left returns how long the rest takes if it goes on as fast as now, and rows are as long as they
// were on the average.
func (v view) left() (d time.Duration, known bool) {
	if v.Total <= 0 || v.Done <= 0 || v.Rows <= 0 || v.rows <= 0 {
		return 0, false
	}
	rows := float64(v.Rows) * (1 - v.done()) / v.done()
	return time.Duration(rows / float64(v.rows) * float64(time.Second)), true
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

// span returns a time that goes on, in whole units: "7 s", "3 min 5 s", "2 h 5 min".
func span(d time.Duration) string {
	d = max(d.Round(time.Second), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
