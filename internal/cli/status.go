package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/ledger"
)

const statusHelp = `status lists the loads into the tables of a database: those that run, those that
were stopped, and those that are complete. A stopped one goes on where it stopped
when the same load command is run again.

  done     about how much of the input is stored, where its length is known; a
           compressed file's is not
  rows/s   stored since the load was begun, pauses included
  last     when a batch was last stored

Indexes that load --defer-indexes has dropped, and that wait to be built, are told of.
Several files that are loaded together are one job, by the directory that they have
in common: then done is about how many files are loaded, and below it are the
processes that work on it, or have stopped, each with its host and what it has loaded.

A small file is stored in one transaction: it is listed once it is complete. A load
with --no-resume is not listed. status changes nothing.`

// A statusVerb is one run of status.
type statusVerb struct{ *app }

func newStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "List the loads that run, were stopped, or are complete",
		Long:  statusHelp,
		Example: `  shardload status
  shardload status --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withServer(cmd.Context(), func(conn *pgx.Conn) error {
				list, jobs, err := listJobs(cmd.Context(), conn)
				if err != nil {
					return err
				}
				waiting, alone, err := ledger.ListWaiting(cmd.Context(), conn)
				if err != nil {
					return err
				}
				list.LeftAlone = append(list.LeftAlone, alone...)
				for i := range jobs {
					if w := waitingOf(waiting, jobs[i].entry.TableOID); w != nil {
						jobs[i].IndexesWait = len(w.Indexes)
					}
				}
				v := &statusVerb{a}
				defer v.noteWaiting(waiting)
				return v.print(list, jobs)
			})
		},
	}
}

// The states of a job.
const (
	stateRunning  = "running"
	stateStopped  = "stopped"
	stateStuck    = "stuck" // running the same command again does not help
	stateComplete = "complete"
)

// A jobStatus is a job as status shows it.
type jobStatus struct {
	Job     string   `json:"job"`
	Table   string   `json:"table"`
	Input   string   `json:"input"`
	State   string   `json:"state"`
	Percent *float64 `json:"percent,omitempty"` // nil if it is not known
	jobCounts
	RowsPerSecond int64      `json:"rows_per_second,omitempty"` // since it was begun; 0 if that is not known
	Begun         time.Time  `json:"begun"`
	Advanced      *time.Time `json:"advanced,omitempty"` // nil if it is not known
	Rejects       string     `json:"rejects,omitempty"`  // path of the rejected records
	Problem       string     `json:"problem,omitempty"`  // why it cannot go on
	Unread        string     `json:"unread,omitempty"`   // why its progress cannot be read
	// IndexesWait counts the indexes of its table that wait to be built, whichever load dropped
	// them.
	IndexesWait int        `json:"indexes_wait,omitempty"`
	Set         *setStatus `json:"set,omitempty"` // of a job of several files

	entry *ledger.Entry
}

// jobCounts say what a job has stored so far.
type jobCounts struct {
	Rows     int64 `json:"rows"`
	Updated  int64 `json:"updated,omitempty"` // of the rows, as load counts them
	Skipped  int64 `json:"skipped,omitempty"` // likewise
	Rejected int64 `json:"rejected"`
	Filtered int64 `json:"filtered,omitempty"` // left out by the load's condition, and no rows
}

// listJobs returns the database's jobs in the order in which they were begun.
func listJobs(ctx context.Context, conn *pgx.Conn) (*ledger.Listing, []jobStatus, error) {
	list, err := ledger.List(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	jobs := make([]jobStatus, len(list.Jobs))
	for i, e := range list.Jobs {
		jobs[i] = newJobStatus(e)
		jobs[i].addSet(ctx, conn)
	}
	return list, jobs, nil
}

func newJobStatus(e *ledger.Entry) jobStatus {
	s := jobStatus{
		Job: e.ID, Table: e.Table, Input: e.Name, State: stateOf(e), jobCounts: jobCounts{e.Rows, e.Updated, e.Skipped, e.Rejected, e.Filtered},
		Begun: e.Begun, Rejects: e.Rejects, Problem: e.Problem, Unread: e.Unread, entry: e,
	}
	if part, ok := e.Done(); ok {
		percent := 100 * part
		s.Percent = &percent
	}
	if !e.Advanced.IsZero() {
		s.Advanced = &e.Advanced
		s.RowsPerSecond = rate(e.Rows, e.Advanced.Sub(e.Begun))
	}
	return s
}

func stateOf(e *ledger.Entry) string {
	switch {
	case e.Complete():
		return stateComplete
	case e.Working:
		return stateRunning
	case e.Problem != "":
		return stateStuck
	}
	return stateStopped
}

// A statusJSON is the answer of status for machines.
type statusJSON struct {
	Jobs []jobStatus `json:"jobs"`
	// NotShown are tables of jobs, and of progress, that are left out.
	NotShown []notShown `json:"not_shown,omitempty"`
}

// A notShown is a table that status leaves out.
type notShown struct {
	Table string `json:"table"`
	Why   string `json:"why"`
	Do    string `json:"do,omitempty"`
}

func newStatusJSON(list *ledger.Listing, jobs []jobStatus) statusJSON {
	doc := statusJSON{Jobs: append([]jobStatus{}, jobs...)}
	for _, u := range list.Unreadable {
		doc.NotShown = append(doc.NotShown, notShown{u.Table, "this role may not read it", u.Do})
	}
	for _, alone := range list.LeftAlone {
		doc.NotShown = append(doc.NotShown, notShown{alone.Table, "it " + alone.Reason, ""})
	}
	for _, o := range list.Orphans {
		doc.NotShown = append(doc.NotShown, notShown{o.Table, "no job has it", "shardload clean --yes"})
	}
	return doc
}

// print prints the jobs, and what can be done about those that do not run.
func (v *statusVerb) print(list *ledger.Listing, jobs []jobStatus) error {
	defer v.noteTables(list)
	if v.json {
		return v.printJSON(newStatusJSON(list, jobs))
	}
	if len(jobs) == 0 {
		if len(list.Unreadable) > 0 {
			return v.printf("no jobs that this role may read\n")
		}
		return v.printf("no jobs: nothing was loaded here, or its progress was not kept\n")
	}
	var rows [][]string
	stopped := false
	filtered := slices.ContainsFunc(jobs, func(s jobStatus) bool { return s.Filtered > 0 })
	rejected := "?>rejected"
	if slices.ContainsFunc(jobs, func(s jobStatus) bool { return s.Rejected > 0 }) {
		rejected = ">rejected"
	}
	for _, s := range jobs {
		cells := s.cells()
		if filtered {
			cells = append(cells, count(s.Filtered))
		}
		rows = append(rows, cells)
		stopped = stopped || s.State == stateStopped
	}
	head := []string{"job", "!~table", "!~input", "state", "!>done", ">rows", rejected, "?>rows/s", "?last"}
	if filtered {
		head = append(head, ">filtered")
	}
	if err := printTable(v.Stdout, head, rows); err != nil {
		return err
	}
	for _, s := range jobs {
		if err := v.printSet(s); err != nil {
			return err
		}
	}
	if stopped {
		v.note("stopped: run the same load command again, and it goes on from there")
	}
	for _, s := range jobs {
		switch {
		case s.Set != nil && len(s.Set.Gone) > 0:
			v.noteGone(s)
		case s.State == stateStuck:
			v.note("%s cannot go on: %s; load --replace begins anew, shardload forget %s drops it", s.Job, s.Problem, s.Job)
		case s.Unread != "":
			v.note("%s: its progress cannot be read: %s", s.Job, s.Unread)
		}
	}
	return nil
}

// noteTables tells of what status found and did not list.
func (v *statusVerb) noteTables(list *ledger.Listing) {
	for _, u := range list.Unreadable {
		v.note("%s has jobs that this role may not read; who owns it can allow it: %s", u.Table, u.Do)
	}
	for _, alone := range list.LeftAlone {
		v.note("%s is left alone because it %s", alone.Table, alone.Reason)
	}
	for _, o := range list.Orphans {
		v.note("%s is left over: no job has it, and shardload clean --yes removes it", o.Table)
	}
}

// cells returns the job as a line of the table; what is not known is empty.
func (s jobStatus) cells() []string {
	percent, perSecond, last := "", "", ""
	if s.Percent != nil {
		percent = percentText(*s.Percent)
	}
	if s.RowsPerSecond > 0 {
		perSecond = count(s.RowsPerSecond)
	}
	if s.Advanced != nil {
		last = s.Advanced.Local().Format(time.DateTime)
	}
	return []string{s.Job, s.Table, s.Input, s.State, percent, count(s.Rows), count(s.Rejected), perSecond, last}
}

// percentText never says 100 % of what is not complete.
func percentText(percent float64) string {
	if percent >= 100 {
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", min(percent, 99.9))
}
