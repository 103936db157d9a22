package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"shardload/internal/input"
	"shardload/internal/pgcsv"
)

// A load is one run of the pipeline: the chunker, the decoders and the streams,
// and what they count.
type load struct {
	src      *input.Source
	chunker  *pgcsv.Chunker
	lay      *layout
	lanes    *lanes
	dispatch *dispatch
	log      *slog.Logger
	stage    Stage
	observe  func(StoredBatch)
	begin    string // opens a batch's transaction
	buffers  chan []byte
	// abandoned says that a Read still waits; the source is closed after it.
	abandoned bool

	read    atomic.Int64 // input, decompressed
	rows    atomic.Int64
	batches atomic.Int64
	copying atomic.Int64 // nanoseconds
	inDoubt atomic.Int64
}

// Load stores all rows of in, or stops at a record that cannot be stored with a
// *RowError. Batches that are stored by then stay; Result counts them. Loads of
// one Loader follow each other: Load must not be called from two goroutines at
// once.
func (l *Loader) Load(ctx context.Context, in Input) (res Result, err error) {
	started := time.Now()
	ld := &load{log: l.cfg.Log, stage: l.cfg.Stage, observe: l.cfg.Observe, begin: l.session.begin()}
	defer func() {
		res = ld.result(time.Since(started))
		l.current.Store(nil)
		l.past.add(res)
	}()
	src, err := in.open(ctx)
	if err != nil {
		return res, err
	}
	ld.src = src
	defer func() {
		if !ld.abandoned {
			err = errors.Join(err, src.Close())
		}
	}()
	ld.chunker = pgcsv.NewChunker(src, l.cfg.MaxRecord)
	l.current.Store(ld)

	first, err := l.first(ctx, ld)
	if err != nil || first == nil {
		return res, err
	}
	ask := &asker{connect: l.nodes[0].connect, encoding: l.cfg.Encoding}
	defer ask.close()
	route, err := l.chooseFor(ctx, ld.lay, first, ask)
	if err != nil {
		return res, err
	}
	ld.lanes = newLanes(ld.lay.router.lanes, l.cfg.Memory, l.cfg.Batch, len(l.nodes), l.plan.Streams)
	ld.lanes.sorted = len(ld.lay.sortBy) > 0
	ld.lanes.held = l.cfg.Stage == StageStore
	if ld.dispatch, err = l.newDispatch(ctx, ld.lay, ld.lanes, route); err != nil {
		return res, err
	}
	return res, l.run(ctx, ld, first, ask)
}

// first reads the first chunk and finds the layout in it. It returns nil if the
// input has no rows.
func (l *Loader) first(ctx context.Context, ld *load) (*chunk, error) {
	name := ld.src.Name
	data, err := ld.next(ctx, nil, 1)
	switch {
	case errors.Is(err, io.EOF) && l.cfg.Header == HeaderNo:
		return nil, nil
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", name, ErrEmpty)
	case err != nil:
		return nil, err
	}
	columns := tableColumns(l.table)
	c := &chunk{line: 1, data: data, eol: ld.chunker.EOL()}
	s := c.scanner()
	s.Next()
	if fields := parseHeader(s.Record(), l.cfg.Delimiter); l.cfg.Header == HeaderYes || l.cfg.Header == HeaderAuto && isHeader(l.table, fields) {
		if columns, err = headerColumns(l.table, fields); err != nil {
			return nil, &RowError{File: name, Line: 1, Err: err}
		}
		c.line += pgcsv.Lines(data[:s.Size()], ld.chunker.EOL())
		c.data = data[s.Size():]
	}
	if ld.lay, err = l.newLayout(columns); err != nil {
		return nil, &RowError{File: name, Line: 1, Err: err}
	}
	return c, nil
}

// run moves the chunks through decoders and lanes to the streams.
func (l *Loader) run(ctx context.Context, ld *load, first *chunk, ask *asker) error {
	decoders := runtime.GOMAXPROCS(0)
	ld.buffers = make(chan []byte, decoders+1)
	for range decoders + 1 {
		ld.buffers <- nil
	}
	fence, err := l.raiseFence(ctx, ld.lay, ld.dispatch.route)
	if err != nil {
		return err
	}
	defer fence.close()
	g, running := errgroup.WithContext(ctx)
	defer ld.lanes.watch(running)()
	chunks := make(chan *chunk)
	g.Go(func() error {
		defer close(chunks)
		return ld.chunk(running, first, chunks)
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
	stored := make(chan struct{})
	g.Go(func() error { return fence.watch(running, ld.lanes, stored) })
	g.Go(func() error {
		defer close(stored)
		if err := ld.whenDecoded(running, decoded); err != nil {
			return err
		}
		return l.runStreams(running, ld)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return fence.check(ctx)
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

// chunk cuts the input into chunks behind first.
func (ld *load) chunk(ctx context.Context, first *chunk, chunks chan<- *chunk) error {
	before := make(chan struct{})
	close(before)
	for c := first; ; {
		// The decoder owns c once it is sent.
		number, line, after := c.number+1, c.line+pgcsv.Lines(c.data, ld.chunker.EOL()), make(chan struct{})
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
		data, err := ld.next(ctx, buf, line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return ld.inTurn(ctx, before, err)
		}
		c = &chunk{number: number, line: line, data: data, eol: ld.chunker.EOL()}
	}
}

// next returns the next chunk's bytes, in buf. Its errors name the input and,
// where a record is at fault, the line.
//
// Nothing can interrupt a Read that waits, for somebody to type for example. When
// ctx ends meanwhile the Read is abandoned: the source is closed once it returns.
func (ld *load) next(ctx context.Context, buf []byte, line int64) ([]byte, error) {
	type cut struct {
		data []byte
		err  error
	}
	cuts := make(chan cut, 1)
	go func() {
		data, err := ld.chunker.Next(buf)
		cuts <- cut{data, err}
	}()
	select {
	case c := <-cuts:
		ld.read.Add(int64(len(c.data)))
		return c.data, ld.explain(c.data, line, c.err)
	case <-ctx.Done():
		ld.abandoned = true
		go func() {
			<-cuts
			_ = ld.src.Close() // nobody is left to hear of it
		}()
		return nil, context.Cause(ctx)
	}
}

// explain returns the chunker's error with its place. data are the bytes from the
// line on that the chunker looked at.
func (ld *load) explain(data []byte, line int64, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	long, tooLong := errors.AsType[*pgcsv.TooLongError](err)
	if !tooLong && !errors.Is(err, pgcsv.ErrOpenQuote) {
		return err
	}
	var s pgcsv.Scanner
	for s.Reset(data, ld.chunker.EOL(), line); s.Next(); {
	}
	row := &RowError{File: ld.src.Name, Line: s.Line(), Err: err}
	if tooLong {
		row.Err = tooLongError(long.Max)
	}
	return row
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
	d := newDecoder(ld.lay, ask, ld.src.Name)
	for c := range chunks {
		bad := d.decode(ctx, c)
		if err := ld.inTurn(ctx, c.before, bad); err != nil {
			return err
		}
		if err := d.deliver(ctx, c, ld.lanes); err != nil {
			return err
		}
		close(c.after)
		ld.buffers <- c.data[:0] // never blocks: it has room for all there are
	}
	return nil
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

func (ld *load) result(elapsed time.Duration) Result {
	return Result{
		Rows:    ld.rows.Load(),
		Batches: ld.batches.Load(),
		Bytes:   ld.read.Load(),
		Elapsed: elapsed,
		Copying: time.Duration(ld.copying.Load()),
		InDoubt: ld.inDoubt.Load(),
	}
}
