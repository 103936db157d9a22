package reject

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"shardload/internal/ledger"
	"shardload/internal/regular"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// goOn opens the file that earlier runs of j have begun, in the directory that this
// run is told, and drops what they have not stored. As many entries as rejected must
// be left; they are given to count.
func (g *rejectLog) goOn(j *ledger.Job, lanes []ledger.Lane, rejected int64, count func(lane.Cause, int64)) error {
	if err := g.sweep(cmp.Or(g.dir, ".")); err != nil {
		return keepError(err)
	}
	if isRejects(j.Rejects) {
		if err := g.sweep(filepath.Dir(j.Rejects)); err != nil {
			return keepError(err)
		}
	}
	path, err := g.begun(j, rejected)
	if err != nil || path == "" {
		return err
	}
	marks := map[int32]ledger.Mark{}
	for _, l := range lanes {
		marks[l.Number] = l.Mark
	}
	to, err := g.destination(path)
	if err != nil {
		return keepError(err)
	}
	kept := int64(0)
	size, err := g.filter(path, to, func(e *rejectEntry) bool {
		mark, ok := marks[e.Lane]
		if e.Job != g.job || !ok || mark.Before(ledger.Mark{Chunk: e.Mark[0], Records: e.Mark[1]}) {
			return false
		}
		kept++
		count(lane.Cause{Column: e.Column, SQLState: e.SQLState, Reason: e.Reason, Detail: e.Detail}, e.Line)
		return true
	})
	switch {
	case err != nil:
		return keepError(err)
	case kept != rejected:
		return &failure.JobError{Job: j.Name, Problem: fmt.Sprintf("an earlier run has rejected %s, but %s has %d of them", term.Plural(rejected, "record"), path, kept), Do: "put the file back as it was, or " + failure.Anew}
	case kept == 0:
		return errors.Join(g.removeBoth(path), removeIfThere(to))
	}
	if to != path {
		if err := g.moved(path, to); err != nil {
			return keepError(err)
		}
	}
	g.path, g.size = to, size
	g.f, err = regular.OpenFile(to, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	return err
}

// destination returns where the entries that earlier runs have left at path belong:
// there, unless this run is told another directory.
func (g *rejectLog) destination(path string) (string, error) {
	dir, err := filepath.Abs(g.dir)
	if err != nil || g.dir == "" || dir == filepath.Dir(path) {
		return path, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		jsonl, csv := g.paths(n)
		job, err := firstJob(jsonl)
		if errors.Is(err, fs.ErrNotExist) && !isThere(csv) || err == nil && job == g.job {
			return filepath.Abs(jsonl)
		}
	}
}

// moved notes that the entries are at another place now.
func (g *rejectLog) moved(from, to string) error {
	if g.note != nil {
		if err := g.note(to); err != nil {
			return err
		}
	}
	return g.removeBoth(from)
}

// begun returns the path of the file that earlier runs of j have begun, "" if there
// is none.
func (g *rejectLog) begun(j *ledger.Job, rejected int64) (string, error) {
	if j.Rejects == "" && rejected == 0 {
		return g.own(), nil
	}
	if !isRejects(j.Rejects) { // what the table of jobs says is not to be believed: it may be any file
		if rejected == 0 {
			return g.own(), nil
		}
		return "", &failure.JobError{Job: j.Name, Problem: fmt.Sprintf("an earlier run has rejected %s, but %q is no name of a file of rejected records", term.Plural(rejected, "record"), j.Rejects), Do: failure.Anew}
	}
	owner, err := firstJob(j.Rejects)
	switch {
	case err == nil && owner == g.job:
		return j.Rejects, nil
	case rejected == 0:
		return g.own(), nil // it is gone, and its name may be another job's by now
	case err == nil:
		return "", &failure.JobError{Job: j.Name, Problem: fmt.Sprintf("an earlier run has rejected %s, but %s is not the file that it left", term.Plural(rejected, "record"), j.Rejects), Do: "put the file back where it was, or " + failure.Anew}
	}
	return "", &failure.JobError{Job: j.Name, Problem: fmt.Sprintf("an earlier run has rejected %s, and they cannot be read: %v", term.Plural(rejected, "record"), err), Do: "put the file back where it was, or " + failure.Anew}
}

// rejectsName is what names of files of rejected records are like, of whatever table.
var rejectsName = regexp.MustCompile(`^.+\.rejects(\.[0-9]{1,9})?\.jsonl$`)

// isRejects reports whether path, which the table of jobs has, is one that a load gives
// such a file.
func isRejects(path string) bool {
	return filepath.IsAbs(path) && filepath.Clean(path) == path && rejectsName.MatchString(filepath.Base(path))
}

// own returns the path of a file that this very job has begun without noting it,
// "" if there is none.
func (g *rejectLog) own() string {
	for n := 1; ; n++ {
		jsonl, csv := g.paths(n)
		job, err := firstJob(jsonl)
		if err == nil && job == g.job {
			return jsonl
		}
		if err != nil && !isThere(csv) {
			return ""
		}
	}
}

// firstJob returns the job of a file's first entry, "" if it has none.
func firstJob(path string) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	var e rejectEntry
	_ = json.NewDecoder(f).Decode(&e) // what is no entry is of no job
	return e.Job, nil
}

// filter makes the file to of those entries of the file from that keep wants,
// and returns its size. They may be the same. A last line that was not written to
// its end is dropped.
func (g *rejectLog) filter(from, to string, keep func(*rejectEntry) bool) (size int64, err error) {
	in, err := openRegular(from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }() // only read
	err = g.replace(to, func(out io.Writer) error {
		r := bufio.NewReaderSize(in, 64<<10)
		for {
			line, err := r.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			var e rejectEntry
			if json.Unmarshal(line, &e) != nil || !keep(&e) {
				continue
			}
			size += int64(len(line))
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
	})
	return size, err
}
