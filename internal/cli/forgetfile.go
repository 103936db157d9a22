package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
)

// leaveOut takes the files among names out of the sets that they are of, and returns the other names,
// which are those of jobs.
func (v *forgetVerb) leaveOut(ctx context.Context, conn *pgx.Conn, jobs []jobStatus, names []string) (left []string, err error) {
	for _, name := range names {
		set, file := setWith(jobs, name)
		found := false
		if set != nil {
			found, err = v.leaveOutOf(ctx, conn, set, file)
		}
		if err != nil {
			return nil, err
		}
		if !found {
			left = append(left, name)
		}
	}
	return left, nil
}

// setWith returns the set that may have a file of that name, and what the file is called in it; nil if
// there is none, or the name is that of a job.
func setWith(jobs []jobStatus, name string) (set *jobStatus, file string) {
	path, err := filepath.Abs(name)
	if err != nil {
		path = name
	}
	for i, s := range jobs {
		if s.Job == name || s.Input == name || s.Input == path {
			return nil, ""
		}
		if s.entry.Set == nil || s.entry.Set.Base == "" || s.State == stateComplete {
			continue
		}
		for _, as := range []string{name, path} {
			if rest, ok := strings.CutPrefix(as, s.entry.Set.Base); ok && set == nil {
				set, file = &jobs[i], rest
			}
		}
	}
	return set, file
}

// leaveOutOf takes a file out of a set, if it is one of it. It is refused where some of it may be
// stored.
func (v *forgetVerb) leaveOutOf(ctx context.Context, conn *pgx.Conn, set *jobStatus, file string) (found bool, err error) {
	t := set.entry.Target
	parts, err := ledger.FindParts(ctx, conn, t, set.Job, []string{file})
	if err != nil || len(parts) == 0 {
		return false, err
	}
	path := set.entry.Set.Base + file
	refused := func(why string) (bool, error) {
		return false, &noJobError{fmt.Sprintf("%s is one of the files of job %s, and %s: it is forgotten with that job alone, by shardload forget %s", path, set.Job, why, set.Job)}
	}
	switch {
	case set.State == stateRunning:
		return false, &workingError{*set}
	case parts[0].State == ledger.PartLoaded:
		return refused("is loaded")
	case parts[0].State == ledger.PartTaken:
		return refused("some of it may be stored")
	}
	taken, err := ledger.Unlist(ctx, conn, t, set.Job, []string{file})
	if err == nil && taken == 0 {
		return refused("a process has just begun with it")
	}
	if err != nil {
		return false, err
	}
	v.leftOut = append(v.leftOut, path)
	if v.json {
		return true, nil
	}
	return true, v.printf("%s: left out of job %s, into %s\n", path, set.Job, set.Table)
}
