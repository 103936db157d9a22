package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
)

// openJobBehindFence raises the fence, and then finds the input's job, or says what
// a new one is to be.
func (l *Loader) openJobBehindFence(ctx context.Context, ld *load, in Input, route Route, first *chunk) (f *fence, err error) {
	name, err := l.jobName(in)
	if err != nil {
		return nil, err
	}
	if f, err = l.raiseFence(ctx, ld.lay, route, name); err != nil {
		return nil, err
	}
	if ld.job, err = l.openJob(ctx, ld, name, first); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// fill makes the lanes, goes to where the job stands, runs the pipeline, and ends
// the job.
func (l *Loader) fill(ctx context.Context, ld *load, route Route, first *chunk, ask *asker, fence *fence) (err error) {
	l.newLanes(ld)
	ld.recount(ld.job)
	if ld.keeper, err = l.newKeeper(ctx, ld); err != nil {
		return err
	}
	if ld.keeper != nil {
		defer func() { err = joinError(err, ld.keeper.close()) }()
	}
	if first, err = ld.goOn(ctx, first); err != nil {
		return err
	}
	prepare := func() error { return l.prepareStreams(ctx, ld, route, fence) }
	if ld.keeper != nil { // a decoder may note a record in the job
		if err := prepare(); err != nil {
			return err
		}
		prepare = func() error { return nil }
	}
	if err := l.run(ctx, ld, first, ask, fence, prepare); err != nil {
		return overtaken(err)
	}
	if ld.keeper != nil && !ld.whole {
		if err := ld.keeper.finish(); err != nil {
			return err
		}
	}
	return fence.finish(ctx, ld)
}

// prepareStreams does what must be done before the first batch is stored: it enters
// a new job, keeps its marks behind the fence, and finds out where batches go. That
// takes a cluster as long as it takes to decode the first batches.
func (l *Loader) prepareStreams(ctx context.Context, ld *load, route Route, fence *fence) (err error) {
	if err := l.enterJob(ctx, ld); err != nil {
		return err
	}
	if ld.job != nil && !ld.whole {
		if err := fence.add(ctx, ld.job.Progress); err != nil {
			return err
		}
	}
	if ld.dispatch, err = l.newDispatch(ctx, ld, route); err != nil {
		return err
	}
	ld.lanes.begin()
	return nil
}

// recount takes what the marks say is stored for what earlier runs have stored, or,
// if this is not the first attempt, this one.
func (ld *load) recount(j *job) {
	stored, merged := j.before()
	ld.updated.Store(merged.Updated)
	ld.skipped.Store(merged.Skipped)
	if ld.attempts++; ld.attempts == 1 {
		ld.before.Store(stored)
		return
	}
	ld.rows.Store(max(stored-ld.before.Load(), 0))
}

// newLanes makes the lanes of ld, with the marks of its job.
func (l *Loader) newLanes(ld *load) {
	batch := l.cfg.Batch
	if ld.whole {
		batch = 1 << 30
	}
	if j := ld.job; j != nil && !ld.whole {
		ld.lay.router.setRanges(j.lanes)
	}
	ld.lanes = newLanes(ld.lay.router.lanes, l.cfg.Memory, batch, len(l.nodes), l.plan.Streams)
	ld.lanes.sorted = len(ld.lay.sortBy) > 0
	ld.lanes.whole = ld.whole
	ld.lanes.origins = !l.cfg.MaxErrors.none()
	ld.lanes.held = ld.stage == StageStore
	if ld.job != nil && !ld.whole {
		ld.lanes.resume(ld.job.lanes)
	}
}

// goOn returns the chunk with which the load begins: the first one, or the one
// behind which a lane's mark stands. It is nil if everything is stored.
func (ld *load) goOn(ctx context.Context, first *chunk) (*chunk, error) {
	if ld.job == nil || ld.whole {
		return first, nil
	}
	if stored, _ := ld.job.before(); stored > 0 {
		ld.log.Info(fmt.Sprintf("%s: %s are stored already; going on from there", ld.name, plural(stored, "row")))
	}
	from := ld.job.behind()
	if from.Mark.Chunk == 0 {
		return first, nil
	}
	if err := ld.feed.skipTo(ctx, from.Mark.Chunk, from.Place); err != nil {
		return nil, err
	}
	ld.lanes.at, ld.lanes.place = ledger.Mark{Chunk: from.Mark.Chunk}, from.Place
	ld.read.Store(from.Place.Offset)
	c, err := ld.next(ctx, nil)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return c, err
}

// first reads the first chunk and finds the layout in it. It returns nil if the
// input has no rows and no header that says so.
func (l *Loader) first(ctx context.Context, ld *load, in Input) (*chunk, error) {
	c, err := ld.next(ctx, nil)
	switch {
	case errors.Is(err, io.EOF) && l.cfg.Header == HeaderNo:
		return nil, nil
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", ld.name, ErrEmpty)
	case err != nil:
		return nil, err
	}
	columns := tableColumns(l.table)
	names := ld.feed.header()
	hasHeader := false
	if names == nil {
		s := c.scanner()
		s.Next()
		names = parseHeader(s.Record(), l.cfg.Delimiter)
		if hasHeader = l.cfg.Header == HeaderYes || l.cfg.Header == HeaderAuto && isHeader(l.table, names); hasHeader {
			ld.header = bytes.Clone(c.data[:s.Size()])
			c.behind(s.Size())
		}
	}
	ld.eol = c.eol
	if names := ld.feed.header(); names != nil {
		ld.header = headerLine(names, l.cfg.Delimiter)
	}
	if hasHeader || ld.feed.header() != nil {
		if columns, err = headerColumns(l.table, names); err != nil {
			return nil, &RowError{File: ld.name, Line: 1, Err: err}
		}
	}
	ld.form = l.form(hasHeader)
	if ld.lay, err = l.newLayout(columns); err != nil {
		return nil, &RowError{File: ld.name, Line: 1, Err: err}
	}
	if !l.cfg.MaxErrors.none() && !ld.isPlain() {
		ld.lay.encoders = nil // a row must tell what its record was
	}
	ld.shares = ld.lay.shares()
	if _, size := ld.feed.far(); in.path != "" && !ld.pieces && ld.isPlain() && l.fitsWhole(size) {
		ld.whole = true
		ld.lay.router.one()
	}
	return c, nil
}

// isPlain reports whether the input is a file that is not compressed.
func (ld *load) isPlain() bool {
	f, ok := ld.feed.(*csvFeed)
	return ok && f.src.Plain()
}

// form says in words what decides how the input is cut and read. A job that is
// resumed must have the same.
func (l *Loader) form(header bool) string {
	with := "without a header"
	if header {
		with = "with a header"
	}
	return fmt.Sprintf("delimiter %q, null %q, encoding %s, %s, chunks of %d", l.cfg.Delimiter, l.cfg.Null, l.cfg.Encoding, with, pgcsv.ChunkSize)
}
