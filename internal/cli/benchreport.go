package cli

import (
	"fmt"
	"time"

	"shardload/internal/bench"
)

// A benchJSON is the answer of bench for machines.
type benchJSON struct {
	Complete    bool                `json:"complete"`
	Out         string              `json:"out"`
	Environment bench.Environment   `json:"environment"`
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
		return v.printJSON(benchJSON{report.Complete, out, report.Environment, report.Results, report.Scale, report.Skipped})
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

// print prints a line for each arm.
func (v *benchVerb) print(report bench.Report) error {
	groups := report.Groups()
	base := bench.Base(groups)
	var rows [][]string
	for i := range groups {
		if i > 0 && groups[i].Arm().Kind != groups[i-1].Arm().Kind && groups[i].Arm().Kind == bench.KindRival {
			rows = append(rows, nil)
		}
		rows = append(rows, benchRow(&groups[i], base))
	}
	head := []string{"~arm", ">rows/s", "?>from", "?>to", ">runs", ">of base", "?>client CPU", "?>server CPU", "?>WAL/row", "?>batch p50", "?>p99"}
	if err := v.printf("%s%s; CPU in seconds for a million rows\n\n", report.Environment.Server, citusText(report.Environment)); err != nil {
		return err
	}
	return printTable(v.Stdout, head, rows)
}

func citusText(env bench.Environment) string {
	if env.Citus == "" {
		return ""
	}
	return fmt.Sprintf(", Citus %s, %s", env.Citus, plural(int64(len(env.Nodes)), "node"))
}

func benchRow(g *bench.Group, base *bench.Group) []string {
	rates := g.Rates()
	perMillion := float64(g.Arm().Rows) / 1e6
	cell := func(value func(*bench.Result) *float64, text func(float64) string) string {
		if v, ok := g.MedianOf(value); ok {
			return text(v)
		}
		return "–"
	}
	cpu := func(v float64) string { return fmt.Sprintf("%.2f", v/perMillion) }
	span := func(v float64) string { return milliseconds(time.Duration(v * float64(time.Second))) }
	return []string{
		g.Label, count(int64(g.Median())), count(int64(rates[0])), count(int64(rates[len(rates)-1])), fmt.Sprint(len(rates)),
		fmt.Sprintf("%.2f", g.Median()/base.Median()),
		cell(func(r *bench.Result) *float64 { return r.ClientCPU }, cpu),
		cell(func(r *bench.Result) *float64 { return r.ServerCPU }, cpu),
		cell((*bench.Result).WALPerRow, func(v float64) string { return fmt.Sprintf("%.0f B", v) }),
		cell(func(r *bench.Result) *float64 { return r.P50 }, span),
		cell(func(r *bench.Result) *float64 { return r.P99 }, span),
	}
}
