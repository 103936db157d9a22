package clock_test

import (
	"testing"
	"time"

	"shardload/internal/bench/clock"
)

// The parts that a clock has measured add up, and a moment before the last lap adds nothing.
func TestClock(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := clock.Start()
	at := began.Add(time.Hour)
	c.LapAt(&c.Connect, at)
	c.LapAt(&c.Copy, at.Add(3*time.Second))
	c.LapAt(&c.Copy, at.Add(2*time.Second))
	c.LapAt(&c.Copy, at.Add(4*time.Second))
	if c.Copy != 4 || c.Connect > 3600 || c.Connect < 3500 || c.Total() != c.Connect+c.Copy {
		t.Errorf("%+v", c.Times)
	}
	sum := 0.0
	for _, part := range c.Parts() {
		sum += part.Seconds
	}
	if sum != c.Total() {
		t.Errorf("parts of %v s, all %v s", sum, c.Total())
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	got := clock.Median([]clock.Times{{Copy: 1, Finish: 9}, {Copy: 2, Finish: 7}, {Copy: 9, Finish: 8}})
	if want := (clock.Times{Copy: 2, Finish: 8}); got != want {
		t.Errorf("%+v", got)
	}
}
