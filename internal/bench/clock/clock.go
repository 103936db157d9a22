// Package clock times a load as its user does: from the start to the end, and says in which of its
// parts the time went.
package clock

import (
	"time"

	"shardload/internal/bench/meter"
)

// Times are the parts of a load, in seconds. They add up to all of it.
type Times struct {
	// Connect is all that comes before the first row is sent, emptying apart: connecting, reading
	// the catalog, opening the job, reading the first rows.
	Connect float64 `json:"connect_seconds" csv:"connect_seconds"`
	Empty   float64 `json:"empty_seconds" csv:"empty_seconds"` // the table, first
	// Copy goes from the first BEGIN, or the start of COPY, to the answer to the last COMMIT.
	Copy       float64 `json:"copy_seconds" csv:"copy_seconds"`
	Indexes    float64 `json:"indexes_seconds" csv:"indexes_seconds"` // that are built after the rows
	Statistics float64 `json:"statistics_seconds" csv:"statistics_seconds"`
	// Finish is what is left: seeing that all is stored, closing connections, the end of a program.
	Finish float64 `json:"finish_seconds" csv:"finish_seconds"`
}

// Total returns the sum of all parts, in seconds.
func (t Times) Total() float64 {
	return t.Connect + t.Empty + t.Copy + t.Indexes + t.Statistics + t.Finish
}

// Median returns the median of each part of runs: together they are about a run.
func Median(runs []Times) Times {
	of := func(part func(Times) float64) float64 {
		var values []float64
		for _, t := range runs {
			values = append(values, part(t))
		}
		return meter.Median(values)
	}
	return Times{
		Connect:    of(func(t Times) float64 { return t.Connect }),
		Empty:      of(func(t Times) float64 { return t.Empty }),
		Copy:       of(func(t Times) float64 { return t.Copy }),
		Indexes:    of(func(t Times) float64 { return t.Indexes }),
		Statistics: of(func(t Times) float64 { return t.Statistics }),
		Finish:     of(func(t Times) float64 { return t.Finish }),
	}
}

// A Part is a part of a load by its name, as metrics and tables have it.
type Part struct {
	Name    string
	Seconds float64
}

// Parts returns the parts in the order of a load.
func (t Times) Parts() []Part {
	return []Part{
		{"connect", t.Connect},
		{"empty", t.Empty},
		{"copy", t.Copy},
		{"indexes", t.Indexes},
		{"statistics", t.Statistics},
		{"finish", t.Finish},
	}
}

// A Clock measures the parts of one run, each after the one before it. It is for one goroutine.
type Clock struct {
	Times
	last time.Time
}

// Start starts a clock.
func Start() *Clock { return &Clock{last: time.Now()} }

// Lap adds the time since the Start, or the Lap before it, to a part of c.Times.
func (c *Clock) Lap(part *float64) { c.LapAt(part, time.Now()) }

// LapAt is Lap at a moment that has passed already. One before the last Lap adds nothing.
func (c *Clock) LapAt(part *float64, at time.Time) {
	if at.After(c.last) {
		*part += at.Sub(c.last).Seconds()
		c.last = at
	}
}
