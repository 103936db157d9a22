package loader

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"shardload/internal/pgcsv"
)

// A load is one run of the pipeline: the feed, the decoders and the streams, and
// what they count.
type load struct {
	l        *Loader
	name     string // of the input
	repeats  bool   // the input can be opened again
	feed     feed
	form     string // how the input is read, in words
	shares   string // what decides a row's lane, in words; "" if its shard does
	whole    bool   // everything is stored in one transaction
	lay      *layout
	job      *job // nil if no progress is kept
	lanes    *lanes
	dispatch *dispatch
	log      *slog.Logger
	stage    Stage
	observer func(StoredBatch)
	begin    string // opens a batch's transaction
	buffers  chan []byte
	keeper   *keeper   // of rejected records, nil if there may be none
	header   []byte    // the header with its line break, nil if there is none
	eol      pgcsv.EOL // of the input

	*counts
}

// counts are what a load has done so far.
type counts struct {
	attempts int
	pieces   bool         // the input must not be stored in one transaction
	read     atomic.Int64 // input, decompressed
	before   atomic.Int64 // rows stored by earlier runs
	rows     atomic.Int64
	rejected atomic.Int64 // by this and earlier runs
	updated  atomic.Int64 // likewise
	skipped  atomic.Int64 // likewise
	batches  atomic.Int64
	copying  atomic.Int64 // nanoseconds
	inDoubt  atomic.Int64

	rejects string // the file of rejected records
	reasons []Reason
}

// startOvers is how often a load begins anew from the marks, with nothing stored
// between, before it gives up.
const startOvers = 5

// Load stores all rows of in, or stops at a record that cannot be stored with a
// *RowError. What is stored by then stays; Result counts it. If an earlier Load of
// the input was stopped, this one goes on where it stopped; if it was complete, a
// *CompleteError says so. Loads of one Loader follow each other: Load must not be
// called from two goroutines at once.
func (l *Loader) Load(ctx context.Context, in Input) (res Result, err error) {
	started := time.Now()
	c := &counts{}
	defer func() {
		l.current.Store(nil)
		l.past.add(res)
	}()
	for stuck := 0; ; {
		rows := c.rows.Load()
		resumable, err := l.attempt(ctx, in, c)
		if stuck++; c.rows.Load() > rows {
			stuck = 0
		}
		if !c.again(err) || !in.repeats || l.cfg.NoResume || stuck == startOvers {
			res = c.result(time.Since(started))
			res.Resumable = resumable
			return res, err
		}
		l.cfg.Log.Info("going on from the marks in the database", "because", err)
	}
}

// again reports whether another attempt may end better than one that ended with
// err.
func (c *counts) again(err error) bool {
	if errors.Is(err, errInPieces) {
		c.pieces = true
		return true
	}
	_, ok := errors.AsType[*startOverError](err)
	return ok
}

// A startOverError says that what the load remembers is not what the database has:
// it must go on from the marks there.
type startOverError struct{ why string }

func (e *startOverError) Error() string {
	return e.why + "; run the same command again to go on from there"
}

// attempt loads what of in is not stored yet. It reports whether a later run can go
// on.
func (l *Loader) attempt(ctx context.Context, in Input, c *counts) (resumable bool, err error) {
	ld := &load{l: l, name: in.name, repeats: in.repeats, log: l.cfg.Log, stage: l.cfg.Stage, observer: l.cfg.Observe, begin: l.session.begin(), counts: c}
	if ld.feed, err = in.open(ctx, l.cfg.MaxRecord); err != nil {
		return false, err
	}
	if f, ok := ld.feed.(*csvFeed); ok {
		f.keepOpen = !l.cfg.MaxErrors.none()
	}
	defer func() { err = errors.Join(err, ld.feed.close()) }()
	l.current.Store(ld)

	first, err := l.first(ctx, ld, in)
	if err != nil || first == nil {
		return false, err
	}
	ask := &asker{l: l, encoding: l.cfg.Encoding}
	defer ask.close()
	route, err := l.chooseFor(ctx, ld, first, ask)
	if err != nil {
		return false, err
	}
	fence, err := l.openJobBehindFence(ctx, ld, in, route, first)
	if err != nil {
		return false, err
	}
	defer fence.close()
	if err := l.fill(ctx, ld, route, first, ask, fence); err != nil {
		return ld.job != nil && !ld.job.fresh && !ld.whole, err
	}
	return false, nil
}

// run moves the chunks from first on through decoders and lanes to the streams, which
// wait for prepare.
func (l *Loader) run(ctx context.Context, ld *load, first *chunk, ask *asker, fence *fence, prepare func() error) error {
	decoders := runtime.GOMAXPROCS(0)
	ld.buffers = make(chan []byte, decoders+1)
	for range decoders + 1 {
		ld.buffers <- nil
	}
	g, running := errgroup.WithContext(ctx)
	defer ld.lanes.watch(running)()
	chunks := make(chan *chunk)
	g.Go(func() error {
		if err := ld.chunk(running, first, chunks); err != nil {
			return err // the decoders see no end of the input
		}
		close(chunks)
		return nil
	})
	decoding, decodingCtx := errgroup.WithContext(running)
	defer ld.lanes.watch(decodingCtx)()
	for range decoders {
		decoding.Go(func() error { return ld.decode(decodingCtx, ask, chunks) })
	}
	decoded := make(chan struct{})
	g.Go(func() error {
		if err := decoding.Wait(); err != nil {
			return err
		}
		ld.lanes.end()
		close(decoded)
		return nil
	})
	g.Go(func() error {
		if err := prepare(); err != nil {
			return err
		}
		stored := make(chan struct{})
		g.Go(func() error { return fence.watch(running, ld.lanes, stored) })
		defer close(stored)
		if err := ld.whenDecoded(running, decoded); err != nil {
			return err
		}
		return l.runStreams(running, ld)
	})
	return g.Wait()
}

// runStreams runs all streams of all nodes until they have stored everything.
func (l *Loader) runStreams(ctx context.Context, ld *load) error {
	g, ctx := errgroup.WithContext(ctx)
	defer ld.lanes.watch(ctx)()
	for _, n := range l.nodes {
		for range l.plan.Streams {
			s := &stream{load: ld, node: n}
			g.Go(func() error { return s.run(ctx) })
		}
	}
	return g.Wait()
}

// chunk hands out the chunks of the input, from c on.
func (ld *load) chunk(ctx context.Context, c *chunk, chunks chan<- *chunk) error {
	before := make(chan struct{})
	close(before)
	for c != nil {
		after := make(chan struct{}) // the decoder owns c once it is sent
		c.before, c.after = before, after
		if err := send(ctx, chunks, c); err != nil {
			return err
		}
		before = after
		var buf []byte
		select {
		case buf = <-ld.buffers:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var err error
		c, err = ld.next(ctx, buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return ld.inTurn(ctx, before, err)
		}
	}
	return nil
}

// next returns the feed's next chunk.
func (ld *load) next(ctx context.Context, buf []byte) (*chunk, error) {
	c, err := ld.feed.next(ctx, buf)
	if err != nil {
		return nil, err
	}
	ld.read.Add(c.size)
	return c, nil
}

// inTurn returns err once the chunks before it are in the lanes, so that a bad
// record among them is named first.
func (ld *load) inTurn(ctx context.Context, before <-chan struct{}, err error) error {
	select {
	case <-before:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// decode decodes chunks until there are no more. Chunks enter the lanes in the
// order of their numbers.
func (ld *load) decode(ctx context.Context, ask *asker, chunks <-chan *chunk) error {
	d := newDecoder(ld.lay, ask, ld.name)
	d.keeper = ld.keeper
	for {
		c, err := receive(ctx, chunks)
		if err != nil || c == nil {
			return err
		}
		block := c.block != nil
		if block {
			c.fill()
			ld.read.Add(c.size)
		}
		bad := d.decode(ctx, c)
		if err := ld.inTurn(ctx, c.before, nil); err != nil {
			return err
		}
		if block {
			bad = c.settle(ld.lanes.place, bad)
		}
		if bad != nil {
			return bad
		}
		if err := d.deliver(ctx, c, ld.lanes); err != nil {
			return err
		}
		close(c.after)
		ld.buffers <- c.data[:0] // never blocks: it has room for all there are
	}
}

// send sends v, or returns why ctx ended.
func send[T any](ctx context.Context, ch chan<- T, v T) error {
	select {
	case ch <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receive returns what comes from ch, the zero value once that is closed, or why ctx
// ended.
func receive[T any](ctx context.Context, ch <-chan T) (v T, err error) {
	select {
	case v = <-ch:
		return v, nil
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}

func (c *counts) result(elapsed time.Duration) Result {
	return Result{
		Before:  c.before.Load(),
		Rows:    c.rows.Load(),
		Batches: c.batches.Load(),
		Bytes:   c.read.Load(),
		Elapsed: elapsed,
		Copying: time.Duration(c.copying.Load()),
		InDoubt: c.inDoubt.Load(),

		Updated:  c.updated.Load(),
		Skipped:  c.skipped.Load(),
		Rejected: c.rejected.Load(),
		Rejects:  c.rejects,
		Reasons:  c.reasons,
	}
}
