package cli

import (
	"fmt"
	"strings"

	"shardload/loader"
)

// A limitValue is a flag such as 100 or 0.1%.
type limitValue struct{ limit *loader.ErrorLimit }

func (v limitValue) Type() string { return "N|N%" }

func (v limitValue) String() string {
	if v.limit == nil {
		return ""
	}
	return v.limit.String()
}

func (v limitValue) Set(s string) (err error) {
	limit, err := loader.ParseErrorLimit(s)
	if err == nil {
		*v.limit = limit
	}
	return err
}

// printReasons prints why records were rejected.
func (v *loadVerb) printReasons(report loadReport) error {
	var rows [][]string
	for _, t := range report.Tables {
		for _, r := range t.Reasons {
			rows = append(rows, []string{t.Table, r.SQLState, r.Column, count(r.Records), count(r.Line), r.Example})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := v.printf("\n"); err != nil {
		return err
	}
	return printTable(v.Stdout, []string{"table", "!sqlstate", "!column", ">rejected", "!>first line", "<why"}, rows)
}

// rejection returns a *rejectedError if records were rejected.
func (r loadReport) rejection() error {
	var parts []string
	listed := false
	for _, t := range r.Tables {
		if t.Rejected == 0 {
			continue
		}
		part := fmt.Sprintf("%s of %s rejected", plural(t.Rejected, "record"), t.Table)
		if len(t.Rejects) > 0 {
			part += ": see " + strings.Join(t.Rejects, ", ")
			listed = true
		}
		parts = append(parts, part)
	}
	if parts == nil {
		return nil
	}
	do := "; the file beside it has the records as they were: mend it and load it"
	if !listed {
		do = "; another process of the set lists them: look where that one was told to keep them (--rejects)"
	}
	return &rejectedError{strings.Join(parts, "; ") + do}
}
