package cli

import (
	"context"
	"fmt"
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

A small file is stored in one transaction: it is listed once it is complete. A load
with --no-resume is not listed. status changes nothing.`

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
				jobs, err := listJobs(cmd.Context(), conn)
				if err != nil {
					return err
				}
				return a.printJobs(jobs)
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
	Job           string     `json:"job"`
	Table         string     `json:"table"`
	Input         string     `json:"input"`
	State         string     `json:"state"`
	Percent       *float64   `json:"percent,omitempty"` // nil if it is not known
	Rows          int64      `json:"rows"`
	Updated       int64      `json:"updated,omitempty"` // of the rows, as load counts them
	Skipped       int64      `json:"skipped,omitempty"` // likewise
	Rejected      int64      `json:"rejected"`
	RowsPerSecond int64      `json:"rows_per_second,omitempty"` // since it was begun; 0 if that is not known
	Begun         time.Time  `json:"begun"`
	Advanced      *time.Time `json:"advanced,omitempty"` // nil if it is not known
	Rejects       string     `json:"rejects,omitempty"`  // path of the rejected records
	Problem       string     `json:"problem,omitempty"`  // why it cannot go on
	Unread        string     `json:"unread,omitempty"`   // why its progress cannot be read

	entry *ledger.Entry
}

// listJobs returns the database's jobs in the order in which they were begun.
func listJobs(ctx context.Context, conn *pgx.Conn) ([]jobStatus, error) {
	entries, err := ledger.List(ctx, conn)
	if err != nil {
		return nil, err
	}
	jobs := make([]jobStatus, len(entries))
	for i, e := range entries {
		jobs[i] = newJobStatus(e)
	}
	return jobs, nil
}

func newJobStatus(e *ledger.Entry) jobStatus {
	s := jobStatus{Job: e.ID, Table: e.Table, Input: e.Name, State: stateOf(e), Rows: e.Rows, Updated: e.Updated, Skipped: e.Skipped, Rejected: e.Rejected,
		Begun: e.Begun, Rejects: e.Rejects, Problem: e.Problem, Unread: e.Unread, entry: e}
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

// printJobs prints the jobs, and what can be done about those that do not run.
func (a *app) printJobs(jobs []jobStatus) error {
	if a.json {
		return a.printJSON(jobs)
	}
	if len(jobs) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "no jobs: nothing was loaded here, or its progress was not kept")
		return err
	}
	var rows [][]string
	stopped := false
	for _, s := range jobs {
		rows = append(rows, s.cells())
		stopped = stopped || s.State == stateStopped
	}
	head := []string{"job", "table", "input", "state", ">done", ">rows", ">rejected", ">rows/s", "last"}
	if err := printTable(a.Stdout, head, rows); err != nil {
		return err
	}
	if stopped {
		a.note("stopped: run the same load command again, and it goes on from there")
	}
	for _, s := range jobs {
		switch {
		case s.State == stateStuck:
			a.note("%s cannot go on: %s; load --replace begins anew, shardload forget %s drops it", s.Job, s.Problem, s.Job)
		case s.Unread != "":
			a.note("%s: its progress cannot be read: %s", s.Job, s.Unread)
		}
	}
	return nil
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
