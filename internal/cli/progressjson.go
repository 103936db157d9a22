package cli

import (
	"context"
	"strings"
	"sync"
	"time"
)

// The ways of --progress.
type progressWay string

const (
	progressAuto progressWay = "auto" // a bar on a terminal, else lines
	progressJSON progressWay = "json"
	progressNone progressWay = "none"
)

var progressWays = []progressWay{progressAuto, progressJSON, progressNone}

// eventEvery is how often a program hears of work that goes on.
const eventEvery = time.Second

// An eventJSON is a line on standard error with --progress json: of work, when it begins, every
// second, and when it ends; or a note; or the error that ends the command.
type eventJSON struct {
	Event string    `json:"event"` // begin, progress, end, note or error
	Time  time.Time `json:"time"`

	Of string `json:"of,omitempty"` // what the work is about, such as a table
	*workJSON

	Text  string     `json:"text,omitempty"` // of a note
	Error *errorJSON `json:"error,omitempty"`
}

// A workJSON is how far a piece of work is.
type workJSON struct {
	Rows          int64    `json:"rows"`
	Bytes         int64    `json:"bytes"`
	Seconds       float64  `json:"seconds"` // since it began
	RowsPerSecond int64    `json:"rows_per_second"`
	Percent       *float64 `json:"percent,omitempty"`      // that is done; left out where nobody knows
	SecondsLeft   *float64 `json:"seconds_left,omitempty"` // at the pace so far
}

// emitProgress tells programs how the work called name goes on, until stop is called.
func emitProgress(c *console, name string, snap func() snapshot) (stop func()) {
	begun := time.Now()
	emit := func(event string) {
		var s snapshot
		if snap != nil {
			s = snap()
		}
		tellEvent(c, eventJSON{Event: event, Of: name, workJSON: newWorkJSON(s, time.Since(begun))})
	}
	emit("begin")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { poll(ctx, eventEvery, func() { emit("progress") }) })
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		emit("end")
	})
}

func newWorkJSON(s snapshot, elapsed time.Duration) *workJSON {
	w := &workJSON{Rows: s.Rows, Bytes: s.Bytes, Seconds: elapsed.Seconds(), RowsPerSecond: rate(s.Rows-s.Before, elapsed)}
	if s.Total <= 0 {
		return w
	}
	part := min(float64(s.Done)/float64(s.Total), 1)
	w.Percent = new(100 * part)
	if part > 0 {
		w.SecondsLeft = new(elapsed.Seconds() * (1 - part) / part)
	}
	return w
}

// tellEvent writes a line for programs.
func tellEvent(c *console, e eventJSON) {
	e.Time = time.Now().UTC()
	line, err := compactJSON(e)
	if err != nil {
		return // all of it is made of what can be written
	}
	c.tellJSON(line)
}

// tellAsEvent tells text as a note where programs listen, and reports whether they do.
func (c *console) tellAsEvent(text string) bool {
	if c.progressAs != progressJSON {
		return false
	}
	if text = strings.TrimSpace(text); text != "" {
		tellEvent(c, eventJSON{Event: "note", Text: text})
	}
	return true
}
