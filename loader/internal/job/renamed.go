package job

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// IsRenamed returns an error if the file at path is one that a set has, as it was, under another name: it was
// renamed, or its directory. A copy, of which the other one is still there, is more records.
func IsRenamed(path string, was ledger.Alike) error {
	if path == was.Path || path == "" {
		return nil
	}
	now, err := os.Stat(path)
	if err != nil {
		return nil // it is said when it is opened
	}
	if there, err := os.Stat(was.Path); err == nil && !os.SameFile(now, there) {
		return nil
	}
	if was.Head != 0 {
		head, tail, err := input.Ends(path)
		if err != nil || head != was.Head || tail != was.Tail {
			return nil
		}
	}
	how := "was loaded"
	if !was.Loaded {
		how = "was begun"
	}
	return &failure.JobError{
		Job: path, Problem: "it has the size, the time and the content of " + was.Path + ", which " + how + " as one of the files of " + was.Set + ": it was renamed, as it seems",
		Do: failure.Renamed,
	}
}

// checkRenamed makes sure that the input is no part of a set under another name.
func checkRenamed(ctx context.Context, o *Opening, conn *pgx.Conn, now ledger.Fingerprint) error {
	if o.In.Named || o.In.Path == "" || now.PartTag() == "" {
		return nil
	}
	names, err := NamesOf(o.In.Path)
	if err != nil {
		return nil
	}
	list, err := ledger.AlikeParts(ctx, conn, o.opt.Ledger, []ledger.Part{{Name: names[0], Size: now.Size, Tag: now.PartTag()}})
	for _, was := range list {
		if err := IsRenamed(names[0], was); err != nil {
			return err
		}
	}
	return err
}
