package loader

import (
	"context"
	"os"

	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// proveParts makes sure, before anything more is stored of a run that is gone on with, that the parts of which some lanes
// have records, and others have not, are what they were: from the one in which the load begins to the last that a
// lane has reached. What follows the marks in that one may be another by now.
func proveParts(ctx context.Context, r *running, ld *load, start, reached int32) error {
	for _, p := range r.given {
		if p.Seq < start || p.Seq > reached {
			continue
		}
		in := r.of.input(p.Name)
		if untouchedFile(in, p.Part) {
			continue
		}
		same, err := provesPart(ctx, r, ld, in, p.Seq)
		if err == nil && !same {
			err = &failure.ChangedInputError{Job: in.name, ID: r.Set.ID, When: failure.ChangedBegun, Stored: storedOf(ld.Job.Lanes, p.Seq)}
		}
		if err != nil {
			return &PartError{in.name, err}
		}
	}
	return nil
}

// untouchedFile reports whether a part is no file, whose store tells, or is as it was listed. One that is gone is told
// of when it is opened.
func untouchedFile(in Input, was ledger.Part) bool {
	if in.path == "" {
		return true
	}
	info, err := os.Stat(in.path)
	return err != nil || info.Size() == was.Size && ledger.Hints{Modified: info.ModTime().UnixNano()}.PartTag() == was.Tag
}

// provesPart reports whether the marks that are in a part are of it, as it is now, and none is after it.
func provesPart(ctx context.Context, r *running, ld *load, in Input, seq int32) (bool, error) {
	var lanes []ledger.Lane
	for _, l := range ld.Job.Lanes {
		switch at := reachedBy(l.Mark); {
		case at > seq:
			return false, nil // nobody knows all of it
		case at == seq:
			_, l.Mark.Chunk = ledger.OfChunk(l.Mark.Chunk)
			lanes = append(lanes, l)
		}
	}
	h, err := headOf(ctx, r.of, in)
	if err != nil {
		return false, err
	}
	o := openingOf(ld.l, in, &h)
	o.In.Lay = ld.Layout
	return o.Proves(ctx, lanes)
}

// storedOf returns up to which byte something of a part may be stored.
func storedOf(lanes []ledger.Lane, seq int32) (n int64) {
	for _, l := range lanes {
		if at, _ := ledger.OfChunk(l.Mark.Chunk); at == seq {
			n = max(n, l.Place.Offset)
		}
	}
	return n
}
