package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"shardload/loader"
)

// A loadReport says what a load has stored.
type loadReport struct {
	Complete bool        `json:"complete"`
	Merging  bool        `json:"-"`       // records may meet rows of the same key
	Emptied  bool        `json:"emptied"` // the tables, before the load
	forgets  bool        // no progress is kept
	passing  bool        // the tables go with the cluster that has them
	Tables   []tableLoad `json:"tables"`

	// From the start of the command to its end:
	Seconds       float64   `json:"seconds"`
	RowsPerSecond int64     `json:"rows_per_second"`
	Parts         loadParts `json:"parts"`
	elapsed       time.Duration
}

// A tableLoad is the part of a load that went into one table.
type tableLoad struct {
	Table   string `json:"table"`
	Before  int64  `json:"before"`  // rows stored by earlier runs of the same load
	Rows    int64  `json:"rows"`    // stored by this run
	Updated int64  `json:"updated"` // of before and rows: took the place of a row of the same key
	Skipped int64  `json:"skipped"` // likewise: left out, because of one
	// Filtered counts records that the condition left out, by earlier runs, too.
	Filtered int64 `json:"filtered,omitempty"`
	Bytes    int64 `json:"bytes"`
	Batches  int64 `json:"batches"`
	pace
	InDoubt   int64 `json:"in_doubt,omitempty"`
	Resumable bool  `json:"resumable,omitempty"` // unfinished, and the next run goes on
	// IndexesWait says that indexes were dropped and are not built yet.
	IndexesWait bool `json:"indexes_wait,omitempty"`

	Rejected int64           `json:"rejected"`          // by earlier runs of the same load, too
	Rejects  []string        `json:"rejects,omitempty"` // the files that have them and why
	Reasons  []loader.Reason `json:"reasons,omitempty"` // of each file in turn
}

// A pace is how long it took to load a table, from its first input to its statistics, and how
// fast that was.
type pace struct {
	Seconds        float64 `json:"seconds"`
	RowsPerSecond  int64   `json:"rows_per_second"`
	CopyingSeconds float64 `json:"copying_seconds"`         // summed over the streams
	IndexSeconds   float64 `json:"index_seconds,omitempty"` // of indexes that had waited
	AnalyzeSeconds float64 `json:"analyze_seconds"`

	elapsed time.Duration
}

// add counts the result of one more input.
func (t *tableLoad) add(r loader.Result) {
	t.Before += r.Before
	t.Rows += r.Rows
	t.Resumable = r.Resumable
	t.Bytes += r.Bytes
	t.Batches += r.Batches
	t.InDoubt += r.InDoubt
	t.Updated += r.Updated
	t.Skipped += r.Skipped
	t.Filtered += r.Filtered
	t.Rejected += r.Rejected
	if r.Rejects != "" {
		t.Rejects = append(t.Rejects, r.Rejects)
	}
	t.Reasons = append(t.Reasons, r.Reasons...)
	t.CopyingSeconds += r.Copying.Seconds()
	t.took(r.Elapsed)
}

// analyzed counts the time that the statistics took.
func (t *tableLoad) analyzed(d time.Duration) {
	t.AnalyzeSeconds = d.Seconds()
	t.took(d)
}

func (t *tableLoad) took(d time.Duration) {
	t.elapsed += d
	t.Seconds, t.RowsPerSecond = t.elapsed.Seconds(), rate(t.Rows, t.elapsed)
}

// print prints the report as the answer. After an error the account of what
// was stored is part of the conversation instead, unless a machine asks.
func (v *loadVerb) print(report loadReport, failure error) error {
	if failure != nil {
		v.account = append(v.account, "stored before that: "+report.stored(failure))
		v.noteWaiting(report, failure)
	}
	if v.json {
		return v.printJSON(report)
	}
	if failure != nil {
		return nil
	}
	head := []string{"~table", ">rows", "?>bytes", ">time", "?>rows/s"}
	if report.resumed() {
		head = append(head, ">rows before")
	}
	if report.Merging {
		head = append(head, ">inserted", ">updated", ">skipped")
	}
	if report.filtered() {
		head = append(head, ">filtered")
	}
	if err := printTable(v.Stdout, head, report.rows()); err != nil {
		return err
	}
	if err := v.printf("%s: %s\n", seconds(report.elapsed), report.Parts); err != nil {
		return err
	}
	return v.printReasons(report)
}

// resumed reports whether earlier runs had stored rows.
func (r loadReport) resumed() bool {
	return slices.ContainsFunc(r.Tables, func(t tableLoad) bool { return t.Before > 0 })
}

// filtered reports whether a condition has left out records.
func (r loadReport) filtered() bool {
	return slices.ContainsFunc(r.Tables, func(t tableLoad) bool { return t.Filtered > 0 })
}

// total returns how many rows the tables got.
func (r loadReport) total() (rows int64) {
	for _, t := range r.Tables {
		rows += t.Rows
	}
	return rows
}

// rows returns a line for each table, and their sum, which has the time of the whole command; so
// has a single table.
func (r loadReport) rows() [][]string {
	var sum tableLoad
	var rows [][]string
	line := func(t tableLoad) []string {
		cells := []string{t.Table, count(t.Rows), size(t.Bytes), seconds(t.elapsed), count(rate(t.Rows, t.elapsed))}
		if r.resumed() {
			cells = append(cells, count(t.Before))
		}
		if r.Merging {
			cells = append(cells, count(t.Before+t.Rows-t.Updated-t.Skipped), count(t.Updated), count(t.Skipped))
		}
		if r.filtered() {
			cells = append(cells, count(t.Filtered))
		}
		return cells
	}
	for _, t := range r.Tables {
		if len(r.Tables) == 1 {
			t.elapsed = r.elapsed
		}
		rows = append(rows, line(t))
		sum.Rows += t.Rows
		sum.Before += t.Before
		sum.Updated += t.Updated
		sum.Skipped += t.Skipped
		sum.Filtered += t.Filtered
		sum.Bytes += t.Bytes
	}
	sum.elapsed = r.elapsed
	if len(r.Tables) > 1 {
		sum.Table = "together"
		rows = append(rows, nil, line(sum))
	}
	return rows
}

// A plansJSON is the answer of load --explain for machines.
type plansJSON struct {
	Tables []planJSON `json:"tables"`
}

// A planJSON is a loader's plan for machines.
type planJSON struct {
	Table   string       `json:"table"`
	Files   []string     `json:"files"`
	Server  string       `json:"server"`
	Route   loader.Route `json:"route"`
	Why     string       `json:"why"`
	Lanes   int          `json:"lanes"`
	Shards  bool         `json:"lanes_are_shards"`
	Nodes   int          `json:"nodes"`
	Streams int          `json:"streams_per_node"`
	Batch   int          `json:"batch_bytes"`
	Memory  int64        `json:"memory_bytes"`
	planFound

	OnConflict loader.Conflict `json:"on_conflict,omitempty"`
	Key        []string        `json:"conflict_key,omitempty"`

	Headings []fileHeading `json:"headings,omitempty"`
}

// A planFound is what the table was found to have.
type planFound struct {
	HasRows bool             `json:"has_rows"`
	Indexes loader.IndexPlan `json:"indexes"`
}

// A fileHeading says what the first record of a file is taken for.
type fileHeading struct {
	File string `json:"file"`
	loader.Heading
}

// mostHeadings is of how many files of a table it is said.
const mostHeadings = 100

// headings says it of the first files of t that can be read twice, and how many files there are.
func headings(ctx context.Context, t *loader.SetTable) (list []fileHeading, files int, err error) {
	for _, in := range t.Inputs {
		parts, err := loader.Parts(ctx, t.Loader(), in)
		if err != nil {
			return nil, 0, err
		}
		files += len(parts)
		for _, part := range parts[:min(len(parts), max(mostHeadings-len(list), 0))] {
			h, ok, err := t.Loader().Heading(ctx, part)
			if err != nil {
				return nil, 0, err
			}
			if ok {
				list = append(list, fileHeading{part.Name(), h})
			}
		}
	}
	return list, files, nil
}

// headingLines says it in lines, one for files of which the same is said.
func headingLines(list []fileHeading) (lines []string) {
	said := map[string]int{}
	for _, h := range list {
		said[h.String()]++
	}
	for _, h := range list {
		others := said[h.String()] - 1
		if others < 0 {
			continue
		}
		said[h.String()] = 0
		name := h.File
		if others > 0 {
			name += " and " + plural(int64(others), "other file")
		}
		lines = append(lines, name+": "+h.String())
	}
	return lines
}

// printPlans prints what a load would do.
func (v *loadVerb) printPlans(ctx context.Context, tables openedTables) error {
	var docs []planJSON
	var rows [][]string
	text := []string{tables.Tables()[0].Loader().Plan().Server}
	for _, t := range tables.Tables() {
		p, in := t.Loader().Plan(), tables.inputs[t]
		found, files, err := headings(ctx, t)
		if err != nil {
			return err
		}
		docs = append(docs, planJSON{p.Table, in.shown(), p.Server, p.Route, p.Why, p.Lanes, p.Shards, p.Nodes, p.Streams, p.Batch, p.Memory, planFound{p.HasRows, p.Indexes}, p.OnConflict, p.Key, found})
		has, what := "none", in.what()
		if in.mixes {
			what = plural(int64(files), "file")
		}
		if p.HasRows {
			has = "some"
		}
		rows = append(rows, []string{
			p.Table, string(p.Route), lanesText(p), count(int64(p.Streams * p.Nodes)),
			size(int64(p.Batch)), size(p.Memory), has, what,
		})
		text = append(text, fmt.Sprintf("%s: %s route, as %s", in.Table, p.Route, p.Why))
		if p.OnConflict != "" {
			text = append(text, fmt.Sprintf("%s: %s where a row has the record's (%s)", in.Table, p.OnConflict, strings.Join(p.Key, ", ")))
		}
		text = append(text, indexLines(in.Table, p.Indexes)...)
		text = append(text, headingLines(found)...)
		text = append(text, selectionLines(in.Table, found)...)
	}
	if v.json {
		return v.printJSON(plansJSON{docs})
	}
	for _, line := range append(text, "") {
		if err := v.printf("%s\n", line); err != nil {
			return err
		}
	}
	head := []string{"~table", "route", "!lanes", ">streams", "!>batch", "!>memory", "!rows now", "!~input"}
	return printTable(v.Stdout, head, rows)
}
