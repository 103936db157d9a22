package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/route"
	"shardload/loader/internal/store"
)

// A load is one run of the pipeline: the feed, the decoders and the streams, and
// what they count.
type load struct {
	*store.Store
	l    *Loader
	in   Input
	feed input.Feed
	ofSet
	kind    input.Feed // what tells how records are read: the feed, or that of its first part
	heading Heading
	manner
	whole   bool // everything is stored in one transaction
	opening *job.Opening
	log     *slog.Logger
	stage   Stage
	buffers chan []byte
	guessed int64 // the line of the first record if nobody has said that it is no header, else 0
	course  course
}

// A manner is how an input is loaded, as its job keeps it.
type manner struct {
	form   ledger.Form   // how it is read
	shares ledger.Shares // what decides a row's lane
}

// What a load of a set's run has.
type ofSet struct {
	series *series // the feed; nil for one input
	ofRun  *running
	sample string // the part by which the pipeline is laid out
}

// newLoad returns the load of in.
func (l *Loader) newLoad(in Input, c *store.Counts) *load {
	s := &store.Store{Target: l.target, Nodes: l.nodes, Source: store.Source{Input: in.name, Repeats: in.repeats}, Triggers: &l.triggers, Trusting: l.cfg.Stage == StageStore, Counts: c, Tell: store.Tell{Retried: l.cfg.Retried}}
	if observe := l.cfg.Observe; observe != nil {
		s.Tell.Stored = func(node string, b *lane.Batch, started time.Time) {
			observe(StoredBatch{Node: node, Rows: b.Stored(), Rejected: b.Rejects(), Filtered: b.Merged.Filtered, Bytes: b.Bytes, Started: started, Elapsed: time.Since(started)})
		}
	}
	return &load{Store: s, l: l, in: in, log: l.cfg.Log, stage: l.cfg.Stage}
}

// Load stores all rows of in, or stops at a record that cannot be stored with a
// *RowError. What is stored by then stays; Result counts it. If an earlier Load of
// the input was stopped, this one goes on where it stopped; if it was complete, a
// *CompleteError says so. Loads of one Loader follow each other: Load must not be
// called from two goroutines at once.
func (l *Loader) Load(ctx context.Context, in Input) (res Result, err error) {
	switch {
	case in.set != nil && (l.cfg.NoResume || l.cfg.Stage == StageDecode): // nothing is kept of what is not stored
		return loadOneByOne(ctx, l, in)
	case in.set != nil:
		return loadSet(ctx, l, in)
	}
	started := time.Now()
	c, p := &store.Counts{}, &times{since: started}
	defer func() {
		l.current.Store(nil)
		l.past.add(res)
	}()
	for stuck := 0; ; {
		rows, batch := c.Rows.Load(), c.Batch.Load()
		resumable, err := l.attempt(ctx, in, c, p)
		if stuck++; c.Rows.Load() > rows || c.Batch.Load() != batch {
			stuck = 0
		}
		if !again(c, err) || !in.repeats || l.cfg.NoResume || stuck == fault.StartOvers {
			if stuck == fault.StartOvers && again(c, err) && in.repeats {
				err = fmt.Errorf("began anew %d times, with nothing stored between; the last time because %w", fault.StartOvers, err)
			}
			p.begin(partEnding)
			res = resultOf(c, p.since.Sub(started))
			res.Times, res.Resumable = p.times(), resumable
			return res, err
		}
		l.cfg.Log.Info("going on from the marks in the database", "because", err)
	}
}

// again reports whether another attempt may end better than one that ended with
// err.
func again(c *store.Counts, err error) bool {
	if errors.Is(err, lane.ErrInPieces) {
		c.Pieces = true
		return true
	}
	// Another attempt finds an unlogged table empty after a crash, or says that it must be
	// emptied.
	_, ok := errors.AsType[*job.StartOverError](err)
	return ok || errors.Is(err, ledger.ErrMarksGone) || errors.Is(err, ledger.ErrUnread)
}

// attempt loads what of in is not stored yet. It reports whether a later run can go
// on.
func (l *Loader) attempt(ctx context.Context, in Input, c *store.Counts, p *times) (resumable bool, err error) {
	p.begin(partOpening)
	b, err := begin(ctx, l, in, c, l.cfg.Log)
	if err != nil {
		return false, err
	}
	ld := b.ld
	defer func() { err = errors.Join(countRows(ld.feed, err), b.close()) }()
	ld.course.times = p
	l.current.Store(ld)
	if b.first == nil {
		return false, ld.loadNothing(ctx, in)
	}
	return ld.pass(ctx, in, b)
}

// pass passes the input through the pipeline that is laid out. Of a set the first chunk is of whatever part,
// and nil if none has a chunk.
func (ld *load) pass(ctx context.Context, in Input, b *beginning) (resumable bool, err error) {
	l := ld.l
	fence, err := ld.openJobBehindFence(ctx, in, b.route, b.first)
	if err != nil {
		return false, err
	}
	defer fence.Close()
	ld.Fence = fence
	if ld.ofRun != nil {
		ended, err := ld.ofRun.enter(ctx, ld, b.ask)
		if err != nil {
			return true, err
		}
		defer ended()
	}
	err = fence.Meanwhile(ctx, func(ctx context.Context) error {
		return ld.CountTruly(ctx, b.route.way(), l.plan.Route.way(), ld.whole)
	})
	if err != nil {
		return false, err
	}
	if err := ld.doubtHeader(ld.fill(ctx, b.route, b.first, b.ask, fence)); err != nil {
		_, stuck := errors.AsType[*failure.JobError](err)
		stuck = stuck || errors.Is(err, ledger.ErrMarksGone)
		return ld.Job.InPieces() && !ld.Job.Fresh && !stuck, err
	}
	return false, nil
}

// run moves the chunks from first on through decoders and lanes to the streams, which
// wait for prepare.
func (ld *load) run(ctx context.Context, first *input.Chunk, ask *decode.Asker, fence *route.Fence, prepare func() error) error {
	decoders := runtime.GOMAXPROCS(0)
	ld.buffers = make(chan []byte, decoders+1)
	for range decoders + 1 {
		ld.buffers <- nil
	}
	g, running := errgroup.WithContext(ctx)
	defer ld.Lanes.Watch(running)()
	chunks := make(chan *input.Chunk)
	g.Go(func() error {
		if err := ld.chunk(running, first, chunks); err != nil {
			return err // the decoders see no end of the input
		}
		close(chunks)
		return nil
	})
	decoding, decodingCtx := errgroup.WithContext(running)
	defer ld.Lanes.Watch(decodingCtx)()
	values := valueAskers(ld.l)
	for i := range decoders {
		decoding.Go(func() error { return ld.decode(decodingCtx, ask, values[i%len(values)], chunks) })
	}
	decoded := make(chan struct{})
	g.Go(func() error {
		err := decoding.Wait()
		for _, a := range values {
			a.Close()
		}
		if err != nil {
			return err
		}
		if !ld.series.isCut() { // else what follows was not read
			if err := ld.opening.CheckInput(running, ld.Lanes, ld.Job); err != nil {
				return err
			}
		}
		ld.Lanes.End()
		close(decoded)
		return nil
	})
	g.Go(func() error {
		if err := prepare(); err != nil {
			return err
		}
		stored := make(chan struct{})
		g.Go(func() error { return fence.Watch(running, ld.Lanes, stored) })
		defer close(stored)
		if err := whenDecoded(running, ld.stage, decoded); err != nil {
			return err
		}
		return ld.runStreams(running)
	})
	return g.Wait()
}

// runStreams runs all streams of all nodes until they have stored everything.
func (ld *load) runStreams(ctx context.Context) error {
	l := ld.l
	g, ctx := errgroup.WithContext(ctx)
	defer ld.Lanes.Watch(ctx)()
	for _, n := range l.nodes.All() {
		for range l.plan.Streams {
			s := store.NewStream(ld.Store, n)
			if ld.stage == StageDecode {
				g.Go(func() error { return s.Discard(ctx) })
				continue
			}
			g.Go(func() error { return s.Run(ctx) })
		}
	}
	return g.Wait()
}

// chunk hands out the chunks of the input, from c on.
func (ld *load) chunk(ctx context.Context, c *input.Chunk, chunks chan<- *input.Chunk) error {
	before := make(chan struct{})
	close(before)
	for c != nil {
		after := make(chan struct{}) // the decoder owns c once it is sent
		c.Before, c.After = before, after
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
			return inTurn(ctx, before, err)
		}
	}
	return nil
}

// next returns the feed's next chunk.
func (ld *load) next(ctx context.Context, buf []byte) (*input.Chunk, error) {
	c, err := ld.feed.Next(ctx, buf)
	if err != nil {
		return nil, err
	}
	ld.Read.Add(c.Size)
	return c, nil
}

// inTurn returns err once the chunks before it are in the lanes, so that a bad
// record among them is named first.
func inTurn(ctx context.Context, before <-chan struct{}, err error) error {
	if _, ended := receive(ctx, before); ended != nil {
		return ended
	}
	return err
}

// valueAskers returns who asks for values that the server computes for all records: they connect
// when they are first asked.
func valueAskers(l *Loader) []*decode.Asker {
	list := make([]*decode.Asker, valueConnections())
	for i := range list {
		list[i] = decode.NewAsker(l.target, l.nodes.First().Connect, l.cfg.sentEncoding())
	}
	return list
}

// valueConnections is how many connections they have.
func valueConnections() int { return min(runtime.GOMAXPROCS(0), 4) }

// decode decodes chunks until there are no more. Chunks enter the lanes in the
// order of their numbers.
func (ld *load) decode(ctx context.Context, ask, values *decode.Asker, chunks <-chan *input.Chunk) error {
	d := decode.New(ld.Layout, ask, ld.Input)
	d.Values = values
	d.Keeper, d.Sums, d.Charset = ld.Keeper, ld.Job.Sums(), ld.l.charset
	to := d.To(ld.Lanes)
	var text input.Transcript
	for {
		c, err := receive(ctx, chunks)
		if err != nil || c == nil {
			return err
		}
		binary, err := d.DecodeBinary(c)
		late := false
		if err == nil && !binary {
			if late, err = c.Fill(&text); late {
				ld.Read.Add(c.Size)
			}
		}
		unreadable := err != nil
		if err == nil && !binary {
			err = d.Decode(ctx, c)
		}
		if err == nil {
			err = to.Group(c)
		}
		if err := inTurn(ctx, c.Before, nil); err != nil {
			return err
		}
		if err := enter(ctx, ld, to, c, arrival{err, unreadable, late}); err != nil {
			return err
		}
		ld.course.reach(ld)
		close(c.After)
		if err := to.Copy(c); err != nil {
			return err
		}
		ld.buffers <- c.Buffer() // never blocks: it has room for all there are
	}
}

// An arrival is how a chunk comes to the lanes.
type arrival struct {
	bad        error // what is wrong with it
	unreadable bool  // that is the input's fault, and not a record's
	late       bool  // only now it is known where it stands
}

// deliverer is a decoder that has a chunk's rows.
type deliverer interface {
	Deliver(ctx context.Context, c *input.Chunk) error
}

// enter lets a chunk, the turn of which it is, enter the lanes.
func enter(ctx context.Context, ld *load, d deliverer, c *input.Chunk, a arrival) error {
	if c.Part != nil {
		return ld.ofRun.enterPart(ctx, ld, d, c, a)
	}
	if a.late {
		a.bad = c.PlaceAt(ld.Lanes.Front().Place(), a.bad)
	}
	if a.bad != nil {
		return a.bad
	}
	return ld.Job.Named(d.Deliver(ctx, c))
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

func resultOf(c *store.Counts, elapsed time.Duration) Result {
	return Result{
		Before:  c.Before.Load(),
		Rows:    c.Rows.Load(),
		Batches: c.Batches.Load(),
		Bytes:   c.Read.Load(),
		Spent:   Spent{Elapsed: elapsed, Copying: time.Duration(c.Copying.Load())},
		InDoubt: c.InDoubt.Load(),

		Updated:  c.Updated.Load(),
		Skipped:  c.Skipped.Load(),
		Filtered: c.Filtered.Load(),
		Rejected: c.Rejected.Load(),
		Rejects:  c.Rejects,
		Reasons:  c.Reasons,
	}
}

// loadNothing is the load of an input without a single byte.
func (ld *load) loadNothing(ctx context.Context, in Input) error {
	l := ld.l
	if !l.cfg.NoResume {
		name, err := l.jobName(in)
		if err == nil {
			err = job.CheckEmpty(ctx, l.target, l.ledgerTarget(), name)
		}
		if err != nil {
			return err
		}
	}
	ld.log.Info(ld.Input + " is empty: there is nothing to load")
	return nil
}

// whenDecoded waits, for StageStore, until decoded is closed.
func whenDecoded(ctx context.Context, at Stage, decoded <-chan struct{}) error {
	if at != StageStore {
		return nil
	}
	_, err := receive(ctx, decoded)
	return err
}
