package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/ledger"
	"shardload/internal/term"
)

const forgetHelp = `forget drops what is known of loads: how far they are, or that they are complete.
Their rows stay where they are. To load such an input again would store them a second
time: empty the table first, or load with --replace, which forgets all jobs of the
table itself.

A job is named by its id or by its input, as shardload status shows them. One that a
process is working on is refused. A file that is one of several of a job, and of which
nothing is stored, is left out of that job: for files that are gone, and do not come
back.

Indexes of the table that wait to be built, as load --defer-indexes has dropped them,
are built first. Where only they are meant, or no job is left, the table is named in
its place.`

// A forgetVerb is one run of forget.
type forgetVerb struct {
	*app
	leftOut []string // files, of their sets
}

func newForgetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "forget JOB…",
		Short: "Drop what is known of loads; their rows stay",
		Long:  forgetHelp,
		Example: `  shardload forget 4kq2v7hxo3mb6tcz
  shardload forget data/ads.csv
  shardload forget public.ads`,
		ValidArgsFunction: a.fromServer(completeJobs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef(cmd, "which job? name it by its id or its input, as shardload status shows them")
			}
			return a.withServer(cmd.Context(), func(conn *pgx.Conn) error {
				v := &forgetVerb{app: a}
				list, jobs, err := listJobs(cmd.Context(), conn)
				if err != nil {
					return err
				}
				if args, err = v.buildNamed(cmd.Context(), conn, list, jobs, args); err != nil {
					return err
				}
				if args, err = v.leaveOut(cmd.Context(), conn, jobs, args); err != nil {
					return err
				}
				chosen, err := chooseJobs(list, jobs, args)
				if err != nil {
					return err
				}
				return v.run(cmd.Context(), conn, chosen)
			})
		},
	}
}

// chooseJobs returns the jobs that names mean, each once.
func chooseJobs(list *ledger.Listing, jobs []jobStatus, names []string) ([]jobStatus, error) {
	var chosen []jobStatus
	seen := map[string]bool{}
	for _, name := range names {
		job, err := chooseJob(list, jobs, name)
		if err != nil {
			return nil, err
		}
		if !seen[job.Job] {
			chosen = append(chosen, job)
		}
		seen[job.Job] = true
	}
	return chosen, nil
}

// A noJobError says that a name means no job, or several.
type noJobError struct{ what string }

func (e *noJobError) Error() string { return e.what }

// A workingError says that a process works on a job.
type workingError struct{ job jobStatus }

func (e *workingError) Error() string {
	return fmt.Sprintf("%s: a process is loading %s into %s; end it first, and if it was killed try again in a moment", e.job.Job, e.job.Input, e.job.Table)
}

func (e *workingError) Unwrap() error { return ledger.ErrWorking }

// chooseJob returns the job of that id, or the only one of that input.
func chooseJob(all *ledger.Listing, jobs []jobStatus, name string) (jobStatus, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		path = name
	}
	var found []jobStatus
	var list []string
	for _, job := range jobs {
		if job.Job == name {
			return job, nil
		}
		if job.Input == name || job.Input == path {
			found = append(found, job)
			list = append(list, fmt.Sprintf("%s (%s)", job.Job, job.Table))
		}
	}
	switch len(found) {
	case 0:
		text := fmt.Sprintf("there is no job %s: shardload status lists those that there are", name)
		for _, u := range all.Unreadable {
			text += fmt.Sprintf("; there are others in %s, which this role may not read, and who owns it can allow it: %s", u.Table, u.Do)
		}
		return jobStatus{}, &noJobError{text}
	case 1:
		return found[0], nil
	}
	return jobStatus{}, &noJobError{fmt.Sprintf("%s is the input of several jobs: say which by its id, %s", name, strings.Join(list, " or "))}
}

// run forgets jobs, one after the other, and says which it did also if it could
// not forget all of them.
func (v *forgetVerb) run(ctx context.Context, conn *pgx.Conn, jobs []jobStatus) error {
	forgotten := []jobStatus{}
	var errs []error
	for _, job := range jobs {
		err := v.buildFor(ctx, conn, job)
		if err == nil {
			err = ledger.Forget(ctx, conn, job.entry)
		}
		if errors.Is(err, ledger.ErrWorking) {
			err = &workingError{job}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		forgotten = append(forgotten, job)
	}
	return errors.Join(v.print(forgotten), errors.Join(errs...))
}

// A forgetJSON is the answer of forget for machines.
type forgetJSON struct {
	Forgotten []jobStatus `json:"forgotten"`
	LeftOut   []string    `json:"left_out,omitempty"` // files of jobs that are not forgotten
}

func (v *forgetVerb) print(jobs []jobStatus) error {
	if v.json {
		return v.printJSON(forgetJSON{jobs, v.leftOut})
	}
	for _, job := range jobs {
		if err := v.printf("%s: forgotten, %s into %s\n", job.Job, job.Input, job.Table); err != nil {
			return err
		}
		if job.Rows > 0 {
			v.note("its %s %s in %s: to load %s again would store %s a second time",
				plural(job.Rows, "row"), term.Verb(job.Rows, "stays", "stay"), job.Table, job.Input, term.Verb(job.Rows, "it", "them"))
		}
		if job.Rejects != "" {
			v.note("its rejected records stay in %s", job.Rejects)
		}
	}
	return nil
}
