package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/ledger"
)

// checkLanes makes sure that every row of the input belongs to one of the job's
// lanes, which are in the order of their ranges and numbers. Rows of progress may be
// missing after a crash, if they are unlogged, or because somebody removed them.
func (j *job) checkLanes() error {
	hashed := j.Kind == citus.Hash
	next := int64(math.MinInt32) // the first hash that no lane has yet
	for i, l := range j.lanes {
		if hashed && int64(l.Min) != next || !hashed && int(l.Number) != i {
			return j.lanesMissing()
		}
		next = int64(l.Max) + 1
	}
	want := shares
	if j.Kind == citus.Single {
		want = 1
	}
	if hashed && next != math.MaxInt32+1 || !hashed && len(j.lanes) != want {
		return j.lanesMissing()
	}
	return nil
}

func (j *job) lanesMissing() error {
	why := "rows of " + j.Progress + " are missing"
	if j.target.Table.Persistence == 'u' {
		why += ", as after a crash of a server, which empties unlogged tables"
	}
	return &JobError{j.Name, "an earlier run began to load it, and its progress is incomplete: " + why, anew}
}

// checkStored makes sure that the table has at least as many rows as the marks say
// were stored.
func (l *Loader) checkStored(ctx context.Context, conn *pgx.Conn, j *job) error {
	rows, merged := j.before()
	stored := rows - merged.Updated - merged.Skipped
	if stored == 0 {
		return nil
	}
	has, err := l.countRows(ctx, conn, stored)
	if err != nil {
		return err
	}
	if has >= stored {
		return l.checkFile(ctx, conn, j, stored)
	}
	now := fmt.Sprintf("it has %d now", has)
	switch {
	case has == 0:
		now = "it is empty now"
	case j.FileNode != l.table.RelFileNode:
		now = fmt.Sprintf("it was emptied or rewritten since, and has %d now", has)
	}
	return &JobError{j.Name, fmt.Sprintf("an earlier run stored %s in the table, and %s", plural(stored, "row"), now), anew}
}

// checkFile makes sure that the table's file is the one into which j has stored that
// many rows: in another one there may be other rows, as many. The file of a
// partitioned table is always 0.
func (l *Loader) checkFile(ctx context.Context, conn *pgx.Conn, j *job, stored int64) error {
	if j.FileNode == l.table.RelFileNode || stored == 0 {
		return nil
	}
	if !l.cfg.Rewritten {
		return &JobError{j.Name, fmt.Sprintf("an earlier run stored %s, and the table was rewritten since: emptied and filled, or by VACUUM FULL, CLUSTER or ALTER TABLE", plural(stored, "row")),
			"go on with --rewritten if it has these rows still (shardload verify --deep tells), or " + anew}
	}
	j.FileNode = l.table.RelFileNode
	return ledger.SetFileNode(ctx, conn, j.target, j.Job)
}

// compareLength reads a stream to its end, to see whether it is as long as the one
// that is loaded completely and begins like it. It returns done if it is.
func (ld *load) compareLength(ctx context.Context, done *CompleteError, was *ledger.Job, first *chunk) error {
	length := first.size
	for buf := []byte(nil); ; {
		c, err := ld.next(ctx, buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		length += c.size
		buf = c.data
	}
	if length == was.Bytes {
		return done
	}
	return &JobError{was.Name, fmt.Sprintf("it begins like the input that was loaded completely under this name, but has %d bytes, and that one had %d", length, was.Bytes),
		"load it under another --job, or " + anew}
}
