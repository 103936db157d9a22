package loader

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// judgeMoved looks for files that were loaded alone under another path, which is gone: they were renamed, or
// their directory was. A copy, of which the other one is still there, is more records.
func (k *knownOtherwise) judgeMoved(ctx context.Context, known map[string]bool) error {
	jobs, err := ledger.OfTable(ctx, k.conn, k.of.target)
	if err != nil {
		return err
	}
	bySize := map[int64][]string{}
	for _, name := range k.of.seen.LeftNames() {
		if !known[name] {
			size := partNamed(k.of, name).Size
			bySize[size] = append(bySize[size], name)
		}
	}
	for _, was := range jobs {
		if was.Single() && was.TableOID == k.of.l.target.Table.OID && was.Fingerprint.Size > 0 && isGoneFrom(was.Name) {
			if err := k.judgeLike(was, bySize[was.Fingerprint.Size]); err != nil {
				return err
			}
		}
	}
	return nil
}

// isGoneFrom reports whether a job's name is the path of a file that is not there any more.
func isGoneFrom(path string) bool {
	_, err := os.Lstat(path)
	return filepath.IsAbs(path) && errors.Is(err, os.ErrNotExist)
}

// judgeLike looks for the file of a job among parts of its size.
func (k *knownOtherwise) judgeLike(was *ledger.Job, names []string) error {
	for _, name := range names {
		path := k.of.in.set.base + name
		head, tail, err := endsAsJob(path)
		if err != nil || head != was.Fingerprint.Head || tail != was.Fingerprint.Tail {
			continue // what is wrong with it is said when it is opened
		}
		if !was.Complete() {
			k.leave(name, "it has the content of "+was.Name+", which an earlier run has begun to load alone, and which is gone: it was renamed, as it seems", failure.Renamed)
			continue
		}
		k.fail(name, &failure.JobError{Job: path, Problem: "it has the content of " + was.Name + ", which was loaded alone, and which is gone: it was renamed, as it seems", Do: failure.Renamed})
	}
	return nil
}

// endsAsJob returns hashes of the head and the tail of a file, as jobs of single files keep them.
func endsAsJob(path string) (head, tail string, err error) {
	src, err := input.Open(path, input.None)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	head, tail, _, err = src.Fingerprint()
	return head, tail, err
}
