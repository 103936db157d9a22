package cli

import (
	"fmt"
	"strings"
	"time"

	"shardload/internal/verify"
)

// problem returns the error of a verification that found differences.
func (r verifyReport) problem() error {
	if r.Passed {
		return nil
	}
	return &differenceError{"verification found " + plural(int64(len(r.Problems())), "difference")}
}

// sentence sums up a verification that found nothing.
func (r verifyReport) sentence() string {
	var rows int64
	for _, c := range r.Counts {
		rows += c.Rows
	}
	parts := []string{plural(rows, "row") + ", as many as there should be"}
	for _, p := range r.Placement {
		if p.Skipped == "" {
			parts = append(parts, "each in its shard")
			break
		}
	}
	if len(r.Integrity) > 0 {
		parts = append(parts, "none without its parent")
	}
	if len(r.Deep) > 0 {
		parts = append(parts, "contents as in the files")
	}
	return strings.Join(parts, ", ")
}

// took says how long the verification took, and its parts.
func (r verifyReport) took() string {
	text := seconds(time.Duration(r.Seconds * float64(time.Second)))
	for i, p := range r.Parts {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		text += sep + p.Name + " " + seconds(time.Duration(p.Seconds*float64(time.Second)))
	}
	return text
}

// print prints each check, and then what is wrong.
func (v *verifyVerb) print(r verifyReport) error {
	if v.json {
		return v.printJSON(r)
	}
	if r.Recovery != "" {
		v.note("%s", r.Recovery)
	}
	var rows [][]string
	for _, c := range r.Counts {
		rows = append(rows, []string{
			"counts", c.Table, verdict(c.Problem == ""),
			fmt.Sprintf("%s, %s in %s", plural(c.Rows, "row"), count(c.Expected), c.Source),
		})
	}
	for _, p := range r.Placement {
		if p.Skipped != "" {
			rows = append(rows, []string{"placement", p.Table, "-", p.Skipped})
			continue
		}
		rows = append(rows, []string{
			"placement", p.Table, verdict(len(p.Misplaced) == 0),
			fmt.Sprintf("%s in %s", plural(p.Rows, "row"), plural(int64(p.Shards), "shard")),
		})
	}
	for _, i := range r.Integrity {
		rows = append(rows, []string{
			"integrity", i.Child, verdict(i.Problem == ""),
			fmt.Sprintf("%s without a row in %s", plural(i.Orphans, "row"), i.Parent),
		})
	}
	for _, d := range r.Deep {
		rows = append(rows, []string{"contents", d.Table, verdict(d.Problem == ""), contents(d)})
	}
	if err := printTable(v.Stdout, []string{"check", "~table", "", "<found"}, rows); err != nil {
		return err
	}
	if err := v.printf("%s\n", r.took()); err != nil {
		return err
	}
	for _, lines := range r.Lines() {
		for i, line := range lines {
			indent := "  "
			if i == 0 {
				indent = ""
			}
			if err := v.printf("%s%s\n", indent, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// contents says what of a table was compared.
func contents(d verify.DeepCheck) string {
	text := fmt.Sprintf("%s of %s", plural(int64(len(d.Database.Columns)), "column"), plural(d.Database.Rows, "row"))
	if d.Rejected > 0 {
		text += "; " + plural(d.Rejected, "rejected record") + " left out"
	}
	if len(d.NotCompared) > 0 {
		text += "; not in the input: " + strings.Join(d.NotCompared, ", ")
	}
	return text
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "WRONG"
}
