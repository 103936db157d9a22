package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/route"
)

// openJobBehindFence raises the fence, and then finds the input's job, or says what
// a new one is to be.
func (ld *load) openJobBehindFence(ctx context.Context, in Input, by Route, first *input.Chunk) (f *route.Fence, err error) {
	l := ld.l
	name, err := nameOf(ld, in)
	if err != nil {
		return nil, err
	}
	of := name
	if l.cfg.NoResume {
		of = ""
	}
	if f, err = route.Raise(ctx, l.target, l.nodes, ld.Layout.Loaded, by.way(), l.ledgerTarget(), of); err != nil {
		return nil, err
	}
	ld.opening = job.NewOpening(l.target, ld.jobInput(), l.jobOptions())
	if l.cfg.NoResume {
		ld.Job = job.None(ld.opening)
		return f, nil
	}
	err = f.Meanwhile(ctx, func(ctx context.Context) (err error) {
		if ld.ofRun != nil {
			ld.Job, err = ld.opening.OpenRun(ctx, &ld.ofRun.Run, first)
			return err
		}
		ld.Job, err = ld.opening.Open(ctx, name, first)
		return err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// nameOf returns the name of the job that is to be opened.
func nameOf(ld *load, in Input) (string, error) {
	if ld.ofRun != nil {
		return ld.ofRun.name(), nil
	}
	return ld.l.jobName(in)
}

// fill makes the lanes, goes to where the job stands, runs the pipeline, and ends
// the job.
func (ld *load) fill(ctx context.Context, by Route, first *input.Chunk, ask *decode.Asker, fence *route.Fence) (err error) {
	ld.newLanes()
	ld.recount(ld.Job)
	if ld.Keeper, err = ld.newKeeper(ctx); err != nil {
		return err
	}
	if ld.Keeper != nil {
		defer func() {
			err = errors.Join(err, ld.Keeper.Close())
			ld.Rejects, ld.Reasons = ld.Keeper.File(), ld.Keeper.Summary()
		}()
	}
	err = fence.Meanwhile(ctx, func(ctx context.Context) (err error) {
		first, err = ld.goOn(ctx, first)
		return err
	})
	if err != nil {
		return err
	}
	prepare := func() error {
		return fence.Meanwhile(ctx, func(ctx context.Context) error { return ld.prepareStreams(ctx, by, fence) })
	}
	if ld.Keeper != nil { // a decoder may note a record in the job
		if err := prepare(); err != nil {
			return err
		}
		prepare = func() error { return nil }
	}
	if err := ld.run(ctx, first, ask, fence, prepare); err != nil {
		return job.Overtaken(err)
	}
	if ld.series.isCut() {
		return ld.series.cut.Load()
	}
	ld.course.times.begin(partEnding)
	ld.course.ending.Store(true)
	if ld.Keeper != nil && !ld.whole {
		if err := ld.Keeper.Finish(ld.Header, ld.EOL); err != nil {
			return err
		}
	}
	return fence.Finish(ctx, route.End{Input: ld.Input, Job: ld.Job, Lanes: ld.Lanes, Added: func() int64 {
		return ld.Before.Load() + ld.Rows.Load() - ld.Updated.Load() - ld.Skipped.Load()
	}})
}

// prepareStreams does what must be done before the first batch is stored: it enters
// a new job, keeps its marks behind the fence, and finds out where batches go. That
// takes a cluster as long as it takes to decode the first batches.
func (ld *load) prepareStreams(ctx context.Context, by Route, fence *route.Fence) (err error) {
	l := ld.l
	if err := ld.Job.Enter(ctx); err != nil {
		return err
	}
	if ld.Job.InPieces() {
		if err := fence.AddProgress(ctx, ld.Job); err != nil {
			return err
		}
	}
	if err := l.deferral.begin(ctx, fence); err != nil {
		return err
	}
	ld.Dispatch, err = route.NewDispatch(ctx, l.target, l.nodes, route.Options{
		Columns: ld.Layout.Loaded, Lanes: ld.Lanes, Job: ld.Job, Way: by.way(), Delay: cmp.Or(l.cfg.paces.remap, fault.RemapDelay),
	})
	if err != nil {
		return err
	}
	ld.course.times.begin(partCopying)
	ld.Lanes.Begin()
	return nil
}

// recount takes what the marks say is stored for what earlier runs have stored, or,
// if this is not the first attempt, this one.
func (ld *load) recount(j *job.Job) {
	stored, merged := j.Before()
	ld.Updated.Store(merged.Updated)
	ld.Skipped.Store(merged.Skipped)
	ld.Filtered.Store(merged.Filtered)
	if ld.Attempts++; ld.Attempts == 1 {
		ld.Before.Store(stored)
		return
	}
	before := min(ld.Before.Load(), stored) // a crash may have emptied an unlogged table
	ld.Before.Store(before)
	ld.Rows.Store(stored - before)
}

// goOn returns the chunk with which the load begins: the first one, or the one
// behind which a lane's mark stands. It is nil if everything is stored.
func (ld *load) goOn(ctx context.Context, first *input.Chunk) (*input.Chunk, error) {
	if ld.Job.Sums() {
		ld.Lanes.Front().SetSum(ledger.SumOf(ld.Header))
	}
	if ld.series != nil {
		return goOnWithin(ctx, ld)
	}
	if !ld.Job.InPieces() {
		return first, nil
	}
	if stored, _ := ld.Job.Before(); stored > 0 {
		ld.log.Info(fmt.Sprintf("%s: %s %s stored already; going on from there", ld.Input, term.Plural(stored, "row"), term.Verb(stored, "is", "are")))
	}
	from := ld.Job.Behind()
	if from.Mark.Chunk == 0 && ld.Job.Fingerprint.From == nil {
		return first, nil
	}
	sum := ledger.Join(ld.Lanes.Front().Place().Sum, ledger.SumOf(first.Raw()))
	if err := ld.feed.SkipTo(ctx, from.Mark.Chunk, from.Place, func(c *input.Chunk) { sum = ledger.Join(sum, ledger.SumOf(c.Data)) }); err != nil {
		return nil, err
	}
	if ld.Job.Sums() && !input.IsPlain(ld.feed) && sum != from.Place.Sum && from.Place.Sum != 0 {
		return nil, ld.Job.Named(&lane.OtherInputError{Stored: from.Place.Offset})
	}
	ld.Lanes.Front().Skip(ledger.Mark{Chunk: from.Mark.Chunk}, from.Place)
	ld.course.front.set(from.Place)
	ld.Read.Store(from.Place.Offset)
	c, err := ld.next(ctx, nil)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return c, err
}

// jobName returns by what name later runs find the job of in.
func (l *Loader) jobName(in Input) (string, error) {
	if name := cmp.Or(l.cfg.Job, in.job); name != "" || in.path == "" {
		return cmp.Or(name, in.name), nil
	}
	names, err := job.NamesOf(in.path)
	if err != nil {
		return "", err
	}
	return names[0], nil
}
