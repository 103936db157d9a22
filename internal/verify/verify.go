// Package verify compares what is in a database with what should be: how many
// rows each table has, that each row lies in the shard that Citus looks for it
// in, that no row refers to one that is missing, and that the values are those of
// the input. It changes nothing.
//
// What is wrong is an answer and no error. Errors are for questions that could
// not be answered.
package verify

import (
	"slices"
	"strings"
)

// A Report gathers the answers to what was asked.
type Report struct {
	// Recovery says what Recover did, "" if there was nothing to do.
	Recovery string `json:"recovery,omitempty"`

	Counts    []Count          `json:"counts"`
	Placement []PlacementCheck `json:"placement"`
	Integrity []IntegrityCheck `json:"integrity"`
	Deep      []DeepCheck      `json:"deep,omitempty"`
}

// OK reports whether nothing is wrong.
func (r Report) OK() bool { return len(r.Problems()) == 0 }

// Problems returns each thing that is wrong, and what to do about it, tables in their
// order. What is wrong with contents has several lines: see Lines.
func (r Report) Problems() []string {
	var problems []string
	for _, lines := range r.Lines() {
		problems = append(problems, strings.Join(lines, "\n  "))
	}
	return problems
}

// Lines returns the lines of each of the Problems: the first says what is wrong, and
// more follow about how contents differ. A line may hold values out of the data, and line
// breaks with them.
func (r Report) Lines() (problems [][]string) {
	add := func(lines ...string) { problems = append(problems, lines) }
	for _, c := range r.Counts {
		if c.Problem != "" {
			add(c.Table + ": " + c.Problem)
		}
	}
	for _, p := range r.Placement {
		for _, m := range p.Misplaced {
			line := p.Table + ": " + m.Problem
			if m.Repair != "" {
				line += "; to bring them home, run on " + m.Node + ": " + m.Repair
			}
			add(line)
		}
	}
	for _, i := range r.Integrity {
		if i.Problem != "" {
			add(i.Child + ": " + i.Problem + "; to see some: " + i.Query)
		}
	}
	for _, d := range r.Deep {
		if d.Problem != "" {
			add(slices.Concat([]string{d.Table + ": " + d.Problem}, d.Details, []string{d.Next})...)
		}
	}
	return problems
}
