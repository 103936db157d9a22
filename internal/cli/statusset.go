package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/term"
)

// A setStatus says how far a job of several files is, and who works on it.
type setStatus struct {
	Files filesStatus `json:"files"`
	Runs  []runStatus `json:"runs,omitempty"` // in the order in which they were begun
	// Failures are some of the files that have failed.
	Failures []failedFile `json:"failures,omitempty"`
	// Gone are some of the files that are not loaded, and are not on this machine any more.
	Gone []string `json:"gone,omitempty"`

	goneBegun bool // of one of Gone, with others, some may be stored
}

// filesStatus counts the files of a set.
type filesStatus struct {
	All     int `json:"all"`
	Loaded  int `json:"loaded"`
	Begun   int `json:"begun"` // by a process, whether it goes on or not
	Waiting int `json:"waiting"`
	Failed  int `json:"failed"`
}

type failedFile struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// A runStatus is what one process has loaded, or loads, of a set.
type runStatus struct {
	Run           string    `json:"run"`
	Host          string    `json:"host"`
	Process       int       `json:"process"`
	State         string    `json:"state"`
	Files         int       `json:"files"`
	Rows          int64     `json:"rows"`
	RowsPerSecond int64     `json:"rows_per_second,omitempty"`
	Begun         time.Time `json:"begun"`
	Seen          time.Time `json:"seen"` // when it was last heard of
	Problem       string    `json:"problem,omitempty"`
}

// stateFailed is that of a run that a file has ended.
const stateFailed = "failed"

// failuresShown is how many files that have failed are named.
const failuresShown = 20

// addSet finds out how far the set of a job is.
func (s *jobStatus) addSet(ctx context.Context, conn *pgx.Conn) {
	e := s.entry
	if e.Set == nil || e.Target.Table.OID == 0 {
		return
	}
	st, err := ledger.Stand(ctx, conn, e.Target, e.ID)
	var failures []ledger.FailedPart
	if err == nil && st.Failed > 0 {
		failures, err = ledger.FailedParts(ctx, conn, e.Target, e.ID, failuresShown)
	}
	if err != nil {
		if s.Unread == "" {
			s.Unread = err.Error()
		}
		return
	}
	set := &setStatus{Files: filesStatus{All: st.Loaded + st.Taken + st.Waiting + st.Failed, Loaded: st.Loaded, Begun: st.Taken, Waiting: st.Waiting, Failed: st.Failed}}
	for i := range st.Runs {
		if st.Runs[i].Host != "" { // else it has what was loaded before
			set.Runs = append(set.Runs, newRunStatus(e, &st.Runs[i]))
		}
	}
	for _, f := range failures {
		set.Failures = append(set.Failures, failedFile{e.Set.Base + f.Name, inFlags.Replace(f.Why)})
	}
	s.Set = set
	if s.State == stateStopped {
		if err := s.findGone(ctx, conn); err != nil {
			s.Unread = cmp.Or(s.Unread, err.Error())
		}
	}
	for _, r := range set.Runs {
		if s.Advanced == nil || r.Seen.After(*s.Advanced) {
			s.Advanced, s.RowsPerSecond = &r.Seen, rate(s.Rows, r.Seen.Sub(s.Begun))
		}
	}
	if all := set.Files.All; all > 0 && !e.Complete() {
		percent := 100 * float64(set.Files.Loaded) / float64(all)
		s.Percent = &percent
	}
}

// findGone finds out which files of a stopped set are not here any more. Where their directory is not
// here either, the set is another machine's.
func (s *jobStatus) findGone(ctx context.Context, conn *pgx.Conn) error {
	base := s.entry.Set.Base
	if dir, err := os.Stat(base); err != nil || !dir.IsDir() || !filepath.IsAbs(base) {
		return nil
	}
	list, err := ledger.UnstoredParts(ctx, conn, s.entry.Target, s.entry.ID, goneLooked)
	if err != nil {
		return err
	}
	waits, begun := len(list) == goneLooked, false
	for _, p := range list {
		_, err := os.Stat(base + p.Name)
		gone := errors.Is(err, fs.ErrNotExist)
		switch {
		case gone && len(s.Set.Gone) < failuresShown:
			s.Set.Gone = append(s.Set.Gone, base+p.Name)
		case !gone:
			waits, begun = waits || !p.Taken, begun || p.Taken
		}
		s.Set.goneBegun = s.Set.goneBegun || gone && p.Taken
	}
	if len(s.Set.Gone) == 0 {
		return nil
	}
	if goesOn := waits || begun && !s.Set.goneBegun; !goesOn { // the same command has nothing to load
		s.State, s.Problem = stateStuck, fmt.Sprintf("%s of it %s not loaded, and %s gone", plural(int64(len(s.Set.Gone)), "file"),
			term.Verb(len(s.Set.Gone), "is", "are"), term.Verb(len(s.Set.Gone), "is", "are"))
	}
	return nil
}

// goneLooked is for how many files is looked whether they are gone.
const goneLooked = 10_000

// noteGone tells of the files of a set that are gone, and what to do about them.
func (v *statusVerb) noteGone(s jobStatus) {
	for _, file := range s.Set.Gone {
		v.note("%s: not loaded, and gone", file)
	}
	switch them := term.Verb(len(s.Set.Gone), "it", "them"); {
	case s.Set.goneBegun:
		v.note("%s: put %s back as %s, and run the same load command again: what was begun together ends together. Where that is not possible and the table has a key, shardload forget %s and --on-conflict skip load what is missing; else load --replace begins anew",
			s.Job, them, term.Verb(len(s.Set.Gone), "it was", "they were"), s.Job)
	default:
		files := "FILE…"
		if len(s.Set.Gone) == 1 {
			files = shellWord(s.Set.Gone[0])
		}
		v.note("%s: put %s back, and run the same load command again; or shardload forget %s leaves %s out", s.Job, them, files, them)
	}
}

func newRunStatus(set *ledger.Entry, r *ledger.RunStanding) runStatus {
	s := runStatus{
		Run: r.ID, Host: r.Host, Process: r.PID, State: stateStopped, Files: r.Parts, Rows: r.Rows, Begun: r.Began, Seen: r.Beaten, Problem: r.Failed,
	}
	switch {
	case !r.Open():
		s.State, s.Seen = stateComplete, r.Closed
	case r.Failed != "":
		s.State = stateFailed
	case r.Locked:
		s.State = stateRunning
	}
	for _, open := range set.Runs { // its marks are later than its last beat
		if open.ID == r.ID {
			s.Rows = max(s.Rows, open.Rows)
		}
	}
	s.RowsPerSecond = rate(s.Rows, s.Seen.Sub(r.Began))
	return s
}

// printSet prints what a job of several files has, and the runs that are open.
func (v *statusVerb) printSet(s jobStatus) error {
	if s.Set == nil || s.State == stateComplete {
		return nil
	}
	f := s.Set.Files
	text := fmt.Sprintf("%s: %s, %d loaded, %d begun, %d to be begun", s.Job, plural(int64(f.All), "file"), f.Loaded, f.Begun, f.Waiting)
	if f.Failed > 0 {
		text += fmt.Sprintf(", %d failed", f.Failed)
	}
	if err := v.printf("\n%s\n", text); err != nil {
		return err
	}
	var rows [][]string
	for _, r := range s.Set.Runs {
		if r.State == stateComplete {
			continue
		}
		perSecond := ""
		if r.RowsPerSecond > 0 {
			perSecond = count(r.RowsPerSecond)
		}
		rows = append(rows, []string{r.Run, r.Host, fmt.Sprint(r.Process), r.State, count(int64(r.Files)), count(r.Rows), r.Seen.Local().Format(time.DateTime), perSecond})
	}
	if len(rows) > 0 {
		if err := printTable(v.Stdout, []string{"run", "!~host", "?>process", "state", ">files", ">rows", "?seen", "?>rows/s"}, rows); err != nil {
			return err
		}
	}
	for _, r := range s.Set.Runs {
		if r.Problem != "" && r.State != stateComplete {
			v.note("run %s: %s", r.Run, inFlags.Replace(r.Problem))
		}
	}
	for _, file := range s.Set.Failures {
		v.note("%s: %s", file.File, file.Why)
	}
	return nil
}
