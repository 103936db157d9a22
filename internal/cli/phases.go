package cli

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A phase is a part of a longer run, and how long it took.
type phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`

	elapsed time.Duration
}

// phases are the parts of a run, in their order.
type phases struct{ list []phase }

// run does the work of a phase, which is shown while it goes on, and tells the user what came of
// it in the words that do returns.
func (p *phases) run(ctx context.Context, c *console, name string, do func() (string, error)) error {
	begun, stop := time.Now(), c.progress(ctx, name, nil)
	text, err := do()
	stop()
	elapsed := time.Since(begun)
	p.list = append(p.list, phase{name, elapsed.Seconds(), elapsed})
	if err != nil {
		return err
	}
	c.note("%-8s  %8s  %s", name, seconds(elapsed), text)
	return nil
}

func (p *phases) total() time.Duration {
	var sum time.Duration
	for _, ph := range p.list {
		sum += ph.elapsed
	}
	return sum
}

// print shows where the time went.
func (p *phases) print(c *console) error {
	total := p.total()
	var rows [][]string
	for _, ph := range p.list {
		share := float64(ph.elapsed) / float64(max(total, 1))
		rows = append(rows, []string{ph.Name, seconds(ph.elapsed), fmt.Sprintf("%.0f %%", share*100), barOf(share)})
	}
	rows = append(rows, nil, []string{"together", seconds(total), "", ""})
	return printTable(c.Stdout, []string{"where the time went", ">time", ">share", "?"}, rows)
}

// barOf draws a share of 1 in eighths of a character.
func barOf(share float64) string {
	const width = 30
	eighths := int(share*width*8 + 0.5)
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return bar
}
