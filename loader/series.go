package loader

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// A claimed is a part of a set that this process loads, under its number in the run.
type claimed struct {
	seq    int32
	in     Input
	listed ledger.Part // what it was then
}

// firstChunk returns the number of the part's first chunk among those of the run.
func (c claimed) firstChunk() int64 { return int64(c.seq) << 32 }

// partOf returns the number of the part that has a chunk of a run.
func partOf(chunk int64) int32 { return int32(chunk >> 32) }

// A series is the feed of a run: its parts, one after the other. The next ones are opened, and
// decompressed, while one is read. What is wrong with a part alone does not end the series.
type series struct {
	l     *Loader
	claim func(context.Context) ([]claimed, error) // the next parts; none when there are no more
	tell  partTeller
	// fits makes sure that a part, the first chunk of which is c, passes through the pipeline that
	// is laid out. Its error is errOtherLayout if another one would be needed.
	fits func(ctx context.Context, p *openedPart, c *input.Chunk) error
	// reached is the last part of which an earlier run may have stored something: it, and those
	// before it, cannot be left out any more.
	reached int32
	start   resumption

	ahead  chan *openedPart
	free   chan []byte // memory for chunks
	stop   context.CancelFunc
	opened bool // openFrom was called
	order  ordered
	part   *openedPart // that is read, nil between two
	over   []*openedPart
	passing
	cut atomic.Pointer[PartError]
}

// A passing says, to whoever asks, how far a series is.
type passing struct {
	done atomic.Int64 // bytes of parts that are over, as they are stored
	now  atomic.Pointer[openedPart]
}

// An ordered says how far the parts of a series are that are to be stored in their order.
type ordered struct {
	some  bool // a part was begun
	ended bool // what follows is left to another run
}

// A partTeller is told what becomes of parts. An error of theirs ends
// the series.
type partTeller struct {
	// failed says that nothing is stored of a part, which cannot be read.
	failed func(ctx context.Context, p *input.Part, why error) error
	// aside says that nothing is stored of a part, which needs another run.
	aside func(ctx context.Context, p *input.Part) error
	// rest says that nothing is stored of a part, nor of those after it, and that they need another run.
	// It is nil where it does not matter in which order parts are stored.
	rest func(ctx context.Context, p *input.Part) error
	// opened says what the file of a part is as it is opened. It is called by several goroutines.
	opened func(p *input.Part, is ledger.Part)
	// empty says that a part has no records.
	empty func(p *input.Part)
}

// An openedPart is a part of a run that is being read ahead.
type openedPart struct {
	claimed
	as      *input.Part
	feed    input.Feed
	heading Heading
	chunks  chan *input.Chunk
	err     error // of the part, once chunks is closed
	refused error // why its chunks are not wanted, nil if nothing has been said
	begun   bool  // a chunk of it was handed out
	last    *input.Chunk
}

// A resumption is from where on a run is gone on with: a chunk of one of its parts. It is empty
// for one that begins.
type resumption struct {
	seq   int32
	chunk int64 // in the part
	place ledger.Place
}

// resumptionAt returns that from a mark on, which is at place.
func resumptionAt(m ledger.Mark, place ledger.Place) resumption {
	return resumption{partOf(m.Chunk), m.Chunk & (1<<32 - 1), place}
}

// within reports whether it is somewhere within the part of that number.
func (r resumption) within(seq int32) bool { return r.seq == seq && r.chunk > 0 }

// A PartError says what is wrong with a part of a set.
type PartError struct {
	Part string // as errors call it; "" where Err names it
	Err  error
}

func (e *PartError) Error() string {
	text := e.Err.Error()
	if e.Part == "" || strings.HasPrefix(text, e.Part+":") {
		return text
	}
	return e.Part + ": " + text
}

func (e *PartError) Unwrap() error { return e.Err }

// errOtherLayout says that the records of a part have other columns than those of the run.
var errOtherLayout = errors.New("the part has other columns than those before it")

// aheadOf returns how many parts are open at once: each has up to three chunks in memory, which
// together take an eighth of that for rows.
func aheadOf(cfg *Config) int {
	chunk := int64(cfg.reading().Chunk)
	return int(min(max(cfg.Memory/8/(3*chunk), 2), 16))
}

// newSeries returns the feed of the parts that claim returns.
func newSeries(l *Loader, claim func(context.Context) ([]claimed, error), tell partTeller) *series {
	ahead := aheadOf(&l.cfg)
	return &series{l: l, claim: claim, tell: tell, ahead: make(chan *openedPart, ahead), free: make(chan []byte, 3*ahead), stop: func() {}}
}

// openFrom opens the first parts: the series goes on from start. Of those up to reached something may
// be stored.
func (s *series) openFrom(ctx context.Context, start resumption, reached int32) {
	s.start, s.reached = start, reached
	ctx, s.stop = context.WithCancel(ctx)
	s.opened = true
	go s.open(ctx)
}

// open opens one part after the other, as far ahead as there is room.
func (s *series) open(ctx context.Context) {
	defer close(s.ahead)
	claims := make(chan []claimed) // the next ones are claimed while parts are opened
	var failed error
	go func() {
		defer close(claims)
		for {
			parts, err := s.claim(ctx)
			if failed = err; err != nil || len(parts) == 0 || send(ctx, claims, parts) != nil {
				return
			}
		}
	}()
	defer func() {
		for range claims { // until nothing is claimed any more
		}
	}()
	for {
		parts, err := receive(ctx, claims)
		if err != nil {
			return
		}
		if len(parts) == 0 {
			break
		}
		for _, c := range parts {
			p := &openedPart{claimed: c, as: &input.Part{Source: c.in.name, First: c.firstChunk()}, chunks: make(chan *input.Chunk, 1)}
			if send(ctx, s.ahead, p) != nil {
				return
			}
			go s.read(ctx, p)
		}
	}
	if failed != nil {
		p := &openedPart{as: &input.Part{}, chunks: make(chan *input.Chunk), err: &claimError{failed}}
		close(p.chunks)
		_ = send(ctx, s.ahead, p)
	}
}

// A claimError says that it is not known which parts come next.
type claimError struct{ error }

func (e *claimError) Unwrap() error { return e.error }

// read reads a part to its end, or until nobody wants it any more.
func (s *series) read(ctx context.Context, p *openedPart) {
	defer close(p.chunks)
	if p.err = reads(s.l, p.in); p.err != nil {
		return
	}
	if p.feed, p.err = s.l.open(ctx, p.in); p.err != nil {
		return
	}
	is, isFile, err := input.Opened(p.feed)
	if p.err = err; err != nil {
		return
	}
	if isFile && p.in.path == "" && p.listed.Tag != "" { // a store's: another one would not have been opened
		is = ledger.Part{Size: p.listed.Size, Tag: p.listed.Tag}
	}
	if isFile {
		s.tell.opened(p.as, is)
	}
	c, err := nextChunk(ctx, s, p.feed)
	if err == nil {
		p.heading, _, err = s.l.head(ctx, p.in, p.feed, c)
	}
	if err == nil && s.start.within(p.seq) {
		if err = s.skip(ctx, p, c); err == nil {
			c, err = p.feed.Next(ctx, nil)
		}
	}
	for ; err == nil && !p.as.Left(); c, err = nextChunk(ctx, s, p.feed) {
		if send(ctx, p.chunks, c) != nil {
			return
		}
	}
	if errors.Is(err, io.EOF) {
		err = untouched(p.feed, p.in.name)
	}
	p.err = countRows(p.feed, err)
}

// nextChunk returns a feed's next chunk, in memory of another one that is through.
func nextChunk(ctx context.Context, s *series, f input.Feed) (*input.Chunk, error) {
	buf := s.buffer()
	c, err := f.Next(ctx, buf)
	if errors.Is(err, io.EOF) { // each part ends so; of what ends otherwise something may still hold buf
		s.recycle(buf)
	}
	return c, err
}

// skip goes to where p is gone on with, of which first is the first chunk.
func (s *series) skip(ctx context.Context, p *openedPart, first *input.Chunk) error {
	sum := ledger.Join(p.heading.sum(), ledger.SumOf(first.Raw()))
	at := s.start
	err := p.feed.SkipTo(ctx, at.chunk, at.place, func(c *input.Chunk) { sum = ledger.Join(sum, ledger.SumOf(c.Data)) })
	if _, bytes := p.feed.(input.Bytes); err == nil && bytes && !input.IsPlain(p.feed) && sum != at.place.Sum && at.place.Sum != 0 {
		err = &failure.ChangedInputError{Job: p.in.name, When: failure.ChangedBegun, Stored: at.place.Offset}
	}
	return err
}

// untouched returns an error if a file was certainly changed since it was opened.
func untouched(f input.Feed, name string) error {
	of, ok := f.(input.Bytes)
	if !ok {
		return nil
	}
	touched, timeTells, err := of.Touched()
	if err == nil && touched && timeTells {
		err = &failure.ChangedInputError{Job: name, When: failure.ChangedMeanwhile}
	}
	return err
}

// buffer returns memory for a chunk, nil if there is none that is free.
func (s *series) buffer() []byte {
	select {
	case b := <-s.free:
		return b
	default:
		return nil
	}
}

// recycle takes memory for a chunk.
func (s *series) recycle(b []byte) {
	if cap(b) == 0 {
		return
	}
	select {
	case s.free <- b:
	default:
	}
}

// Header returns nil: each part has its own.
func (s *series) Header() []string { return nil }

// Next returns the next chunk of the part that is read, or the first one of the next part that
// can be read.
func (s *series) Next(ctx context.Context, buf []byte) (*input.Chunk, error) {
	s.recycle(buf)
	if err := s.closeOver(false); err != nil {
		return nil, err
	}
	for {
		if s.cut.Load() != nil || s.order.ended {
			return nil, io.EOF
		}
		if s.part == nil {
			p, ok := <-s.ahead
			if !ok {
				return nil, endOf(ctx)
			}
			s.part = p
		}
		c, err := s.nextOf(ctx, s.part)
		if c != nil || err != nil {
			return c, err
		}
	}
}

// endOf returns io.EOF, or why ctx has ended.
func endOf(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return io.EOF
}

// nextOf returns the next chunk of p, nil if p is over.
func (s *series) nextOf(ctx context.Context, p *openedPart) (*input.Chunk, error) {
	c, err := receive(ctx, p.chunks)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, s.end(ctx, p, cmp.Or(p.refused, p.err))
	}
	if !p.begun && !p.as.Left() {
		if p.refused = s.begin(ctx, p, c); p.refused != nil {
			p.as.Leave()
		}
	}
	if p.as.Left() {
		s.recycle(c.Buffer())
		return nil, nil
	}
	c.Part, p.last = p.as, c
	s.now.Store(p)
	return c, nil
}

// begin makes c, the first chunk of p that is read, the first one of a part.
func (s *series) begin(ctx context.Context, p *openedPart, c *input.Chunk) error {
	if err := s.fits(ctx, p, c); err != nil {
		return err
	}
	p.begun, s.order.some = true, true
	p.as.Sum = p.heading.sum()
	c.Turns, c.Within = true, s.start.within(p.seq)
	return nil
}

// size returns how large a part is, as it was listed, or is found to be.
func (p *openedPart) size() int64 {
	size := p.listed.Size
	if size < 0 {
		_, size = p.feed.Far()
	}
	return max(size, 0)
}

// sum returns the hash of what comes before the first record.
func (h *Heading) sum() uint64 { return ledger.SumOf(h.before) }

// end ends p, of which err is what is wrong, if anything is. It returns an error that ends the
// whole series.
func (s *series) end(ctx context.Context, p *openedPart, err error) error {
	s.part = nil
	s.now.Store(nil)
	s.over = append(s.over, p)
	if p.feed != nil && !p.as.Left() {
		s.done.Add(p.size())
	}
	of, claim := errors.AsType[*claimError](err)
	switch {
	case err == nil && p.last == nil:
		s.tell.empty(p.as)
		return nil
	case err == nil || p.as.Left() && p.refused == nil:
		return nil // or its failure was told when it was left
	case claim:
		return of.error
	case errors.Is(err, context.Canceled):
		return err
	case p.begun || p.seq <= s.reached:
		s.cut.CompareAndSwap(nil, &PartError{p.in.name, err})
	case errors.Is(err, errOtherLayout) && s.order.some && s.tell.rest != nil:
		return s.endBefore(ctx, p)
	case errors.Is(err, errOtherLayout):
		return s.tell.aside(ctx, p.as)
	default:
		return s.tell.failed(ctx, p.as, err)
	}
	return nil
}

// endBefore ends the series before p: what follows is loaded after it.
func (s *series) endBefore(ctx context.Context, p *openedPart) error {
	s.order.ended = true
	s.stop()
	for q := range s.ahead { // until nothing is claimed any more
		for range q.chunks {
		}
		s.over = append(s.over, q)
	}
	return s.tell.rest(ctx, p.as)
}

// closeOver closes the feeds of parts that are over, once their last chunks are in the lanes, or,
// at the end of all, at once.
func (s *series) closeOver(all bool) error {
	var err error
	s.over = slices.DeleteFunc(s.over, func(p *openedPart) bool {
		if !all && p.last != nil && p.last.After != nil {
			select {
			case <-p.last.After:
			default:
				return false
			}
		}
		if p.feed != nil {
			err = errors.Join(err, p.feed.Close())
		}
		return true
	})
	return err
}

// SkipTo does nothing: from where on a series is read is said when it is made.
func (s *series) SkipTo(context.Context, int64, ledger.Place, func(*input.Chunk)) error { return nil }

// leave says, when a chunk of a part comes to the lanes, what is wrong with it: of a part of
// which nothing has entered them nothing will. entered is the mark up to which rows have. Of
// others nothing more will, and nothing of those that follow.
func (s *series) leave(ctx context.Context, p *input.Part, entered ledger.Mark, why error) error {
	switch {
	case s.unwanted(p):
	case partOf(p.First) <= s.reached || entered != (ledger.Mark{Chunk: p.First}):
		s.cut.CompareAndSwap(nil, &PartError{p.Source, why})
	default:
		p.Leave()
		return s.tell.failed(ctx, p, why)
	}
	return nil
}

// unwanted reports whether nobody wants the chunks of p that are still to come to the lanes.
func (s *series) unwanted(p *input.Part) bool { return p.Left() || s.cut.Load() != nil }

// isCut reports whether it ends before its parts do.
func (s *series) isCut() bool { return s != nil && s.cut.Load() != nil }

// Fingerprint tells nothing of a series: a run is known by its name.
func (s *series) Fingerprint(*input.Chunk) (ledger.Fingerprint, error) {
	return ledger.Fingerprint{Size: -1}, nil
}

// Far returns how many bytes were read of all parts, as they are stored.
func (s *series) Far() (done, total int64) {
	if p := s.now.Load(); p != nil {
		done, _ = p.feed.Far()
	}
	return done + s.done.Load(), -1
}

// Close closes all parts.
func (s *series) Close() error {
	if s.stop(); !s.opened {
		return nil
	}
	for p := range s.ahead {
		s.over = append(s.over, p)
	}
	if s.part != nil {
		s.over = append(s.over, s.part)
	}
	for _, p := range s.over {
		for range p.chunks { // until whoever reads it is through
		}
	}
	return s.closeOver(true)
}
