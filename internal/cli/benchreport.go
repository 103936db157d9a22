package cli

import (
	"fmt"
	"slices"
	"time"

	"shardload/internal/bench"
)

// A benchJSON is the answer of bench for machines.
type benchJSON struct {
	Complete    bool                `json:"complete"`
	Out         string              `json:"out"`
	Environment bench.Environment   `json:"environment"`
	Finding     string              `json:"finding,omitempty"` // in a sentence
	Figures     []bench.Figure      `json:"figures,omitempty"` // of each arm
	Results     []bench.Result      `json:"results,omitempty"`
	Scale       []bench.ScaleResult `json:"scale,omitempty"`
	Skipped     []bench.Skip        `json:"skipped,omitempty"`
}

// report writes the report's files and prints the answer.
func (v *benchVerb) report(report bench.Report) error {
	out := v.opt.out
	if err := report.Write(out); err != nil {
		return err
	}
	if v.json {
		return v.printJSON(benchJSON{report.Complete, out, report.Environment, report.Finding(), report.Figures(), report.Results, report.Scale, report.Skipped})
	}
	show := v.print
	if len(report.Scale) > 0 {
		show = v.printScale
	}
	if err := show(report); err != nil {
		return err
	}
	for _, s := range report.Skipped {
		v.note("not measured: %s: %s", s.Arm, s.Why)
	}
	if !report.Complete {
		v.note("the benchmark was stopped; this is what there was until then")
	}
	v.note("the report is in %s (%s)", out, bench.HTMLFile)
	return nil
}

// print prints the finding, a line for each arm, and where their time went.
func (v *benchVerb) print(report bench.Report) error {
	figures := report.Figures()
	var first, times, costs [][]string
	for i := range figures {
		f := &figures[i]
		if i > 0 && f.Shape != figures[i-1].Shape {
			first, times = append(first, nil), append(times, nil)
		}
		first = append(first, figureRow(f))
		times = append(times, timesRow(f))
	}
	groups := report.Groups()
	for i := range groups {
		costs = append(costs, costsRow(&groups[i]))
	}
	if err := v.printf("%s%s; %s\n%s\n\n", report.Environment.Server, citusText(report.Environment), report.Environment.Clock, report.Finding()); err != nil {
		return err
	}
	for i, t := range []struct {
		head []string
		rows [][]string
	}{
		{[]string{"~arm", ">times psql", "!>of wire limit", ">rows/s", "?>from", "?>to", "!<"}, first},
		{[]string{"~where the time went", "!>connect", "!>empty", ">copy", "!>indexes", "!>statistics", "!>finish", ">all"}, times},
		{[]string{"~what a million rows cost", ">CPU client", "!>servers", "!>WAL/row", "!>batch p50", "?>p99", "?>runs"}, costs},
	} {
		if i > 0 {
			if err := v.printf("\n"); err != nil {
				return err
			}
		}
		if err := printTable(v.Stdout, droppable(t.head, t.rows), t.rows); err != nil {
			return err
		}
	}
	return nil
}

// droppable marks those columns to be left out first that say nothing of any arm.
func droppable(head []string, rows [][]string) []string {
	head = slices.Clone(head)
	for i := range head {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row != nil && row[i] != "–" }) {
			head[i] = "?" + head[i]
		}
	}
	return head
}

func citusText(env bench.Environment) string {
	if env.Citus == "" {
		return ""
	}
	return fmt.Sprintf(", Citus %s, %s", env.Citus, plural(int64(len(env.Nodes)), "node"))
}

// figureRow is an arm's line in the first table.
func figureRow(f *bench.Figure) []string {
	ratio := func(r *bench.Ratio) string {
		if r == nil {
			return "–"
		}
		return fmt.Sprintf("%.2f", r.Median)
	}
	mind := ""
	if f.Short {
		mind = "shorter than the noise"
	}
	return []string{f.Arm, ratio(f.Psql), ratio(f.Limit), count(int64(f.RowsPerSecond)), count(int64(f.Low)), count(int64(f.High)), mind}
}

// timesRow is its line in the table of where the time went.
func timesRow(f *bench.Figure) []string {
	cells := []string{f.Arm}
	for _, part := range f.Parts() {
		cells = append(cells, secondsOf(part.Seconds))
	}
	return append(cells, secondsOf(f.Seconds))
}

// secondsOf writes seconds, "–" for none.
func secondsOf(s float64) string {
	if s == 0 {
		return "–"
	}
	return seconds(time.Duration(s * float64(time.Second)))
}

// costsRow is a line in the table of what the rows cost.
func costsRow(g *bench.Group) []string {
	perMillion := float64(g.Arm().Rows) / 1e6
	cell := func(value func(*bench.Result) *float64, text func(float64) string) string {
		if v, ok := g.MedianOf(value); ok {
			return text(v)
		}
		return "–"
	}
	cpu := func(v float64) string { return fmt.Sprintf("%.2f s", v/perMillion) }
	span := func(v float64) string { return milliseconds(time.Duration(v * float64(time.Second))) }
	return []string{
		g.Label,
		cell(func(r *bench.Result) *float64 { return r.ClientCPU }, cpu),
		cell(func(r *bench.Result) *float64 { return r.ServerCPU }, cpu),
		cell((*bench.Result).WALPerRow, func(v float64) string { return fmt.Sprintf("%.0f B", v) }),
		cell(func(r *bench.Result) *float64 { return r.P50 }, span),
		cell(func(r *bench.Result) *float64 { return r.P99 }, span),
		fmt.Sprint(len(g.Runs)),
	}
}
