package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"shardload/internal/bench/clock"
)

// writeTables writes the report's tables as Markdown, for a page that shows them.
func (r *Report) writeTables(w io.Writer) error {
	var tables [][][]string
	if len(r.Results) > 0 {
		tables = append(tables, r.armsTable())
	}
	if len(r.Scale) > 0 {
		tables = append(tables, scaleTable(r.Scale))
	}
	for i, table := range tables {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		for j, cells := range table {
			if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")); err != nil {
				return err
			}
			if j > 0 {
				continue
			}
			if _, err := fmt.Fprintf(w, "|%s\n", strings.Repeat("---|", len(cells))); err != nil {
				return err
			}
		}
	}
	return nil
}

// armsTable has a line for each arm, the fastest first: the loader's are bold, limits leaning.
func (r *Report) armsTable() [][]string {
	rows := r.pageRows()
	parts := usedParts(rows)
	head := []string{"arm", "times `psql`", "of the wire limit", "rows/s", "slowest … fastest"}
	for i, part := range (clock.Times{}).Parts() {
		if parts[i] {
			head = append(head, part.Name)
		}
	}
	table := [][]string{append(head, "all, s", "CPU s per million rows: client", "servers")}
	for _, row := range rows {
		name := strings.ReplaceAll(row.Arm, "|", `\|`)
		switch {
		case row.Short:
			name += " (shorter than the noise)"
		case row.Kind == KindLoader:
			name = "**" + name + "**"
		case row.Kind == KindLimit:
			name = "*" + name + "*"
		}
		cells := []string{name, row.Psql, row.Limit, row.Rate, row.Low + " … " + row.High}
		for i, text := range row.Parts {
			if parts[i] {
				cells = append(cells, text)
			}
		}
		table = append(table, append(cells, row.All, row.ClientCPU, row.ServerCPU))
	}
	return table
}

// usedParts says which parts of the time any arm has.
func usedParts(rows []pageRow) []bool {
	var used []bool
	for i := range (clock.Times{}).Parts() {
		used = append(used, slices.ContainsFunc(rows, func(row pageRow) bool { return row.Times.Parts()[i].Seconds > 0 }))
	}
	return used
}

// scaleTable has a line for each number of workers, and a column for each arm.
func scaleTable(list []ScaleResult) [][]string {
	head := []string{"workers"}
	first := map[string]ScaleResult{}
	for _, s := range list {
		if _, ok := first[s.Arm]; !ok {
			first[s.Arm] = s
			head = append(head, s.Arm+", rows/s")
		}
	}
	table := [][]string{head}
	for _, s := range list {
		if last := table[len(table)-1]; last[0] != fmt.Sprint(s.Workers) {
			table = append(table, []string{fmt.Sprint(s.Workers)})
		}
		last := len(table) - 1
		table[last] = append(table[last], fmt.Sprintf("%s (%.2f times)", comma(s.Median), s.Median/first[s.Arm].Median))
	}
	return table
}
