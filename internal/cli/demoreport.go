package cli

import (
	"strings"
)

// print prints what the demo has to say.
func (d *demo) print() error {
	d.report.Phases = d.phases.list
	if d.json {
		return d.printJSON(d.report)
	}
	where := d.report.Server
	if !d.report.Citus {
		where += "; the tables are not distributed"
	}
	load := d.report.Load
	d.note("") // between the conversation and the answer
	err := d.printf("%s loaded in %s (%s rows/s; %s) into %s\n\n",
		plural(load.total(), "row"), seconds(load.elapsed), count(load.RowsPerSecond), load.Parts, where)
	if err != nil {
		return err
	}
	for _, part := range []func() error{
		func() error {
			return printTable(d.Stdout, []string{"table", ">rows", "?>bytes", ">time", "?>rows/s"}, d.report.Load.rows())
		},
		func() error { return d.printf("verified: %s\n", d.report.Verify.sentence()) },
		d.printStatements,
		func() error { return d.phases.print(&d.console) },
	} {
		if err := part(); err != nil {
			return err
		}
		if err := d.printf("\n"); err != nil {
			return err
		}
	}
	return nil
}

// printStatements prints a line for each of the tutorial's statements. Their
// results are what the verb tutorial is for.
func (d *demo) printStatements() error {
	var rows [][]string
	for _, s := range d.report.Tutorial.Steps {
		if strings.IndexByte(s.SQL, ' ') < 0 {
			continue // BEGIN and its like
		}
		shards := ""
		if s.Shards != nil {
			shards = shardsText(*s.Shards)
		}
		rows = append(rows, []string{s.Title, count(s.Affected), milliseconds(s.Elapsed), shards})
	}
	return printTable(d.Stdout, []string{"<the tutorial's statements", "!>rows", ">time", "!went to"}, rows)
}
