package lane

import (
	"context"
	"errors"
	"sync"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
)

// A lane is an ordered flow of rows into one place. One batch of it is in flight
// at a time, and batches are stored in the order in which they were sealed.
type lane struct {
	// Only the decoder whose turn it is touches these.
	open  *Batch
	full  int64       // bytes at which it is sealed
	mark  ledger.Mark // up to which its rows are sealed, or were stored when the load began
	moved int64       // Front.far, when the mark moved last

	sealed   []*Batch // waiting, the oldest first
	inFlight bool
	node     int  // whose streams carry its batches
	direct   bool // its rows do not pass under the table's lock on the coordinator
}

// idle reports whether the lane has no batch that is sealed or in flight.
func (ln *lane) idle() bool { return !ln.inFlight && len(ln.sealed) == 0 }

// A queue is what waits for the streams of one node.
type queue struct {
	ready []int // lanes with a sealed batch, the rows of which are written, and none in flight
	load  int   // batches of its lanes that are sealed or in flight
	lanes int   // how many belong to it
}

// Options are how rows are collected.
type Options struct {
	Lanes   int
	Memory  int64 // of the rows, in bytes
	Batch   int   // bytes at which a batch is sealed
	Chunk   int64 // usual length of a chunk of the input, in bytes; 0 if all are alike
	Nodes   int   // to which the lanes' batches go
	Streams int   // of each node

	Sorted  bool          // binary rows are sorted within their batch
	Held    bool          // no batch is stored before the last row is here
	Whole   bool          // a batch ends only where the input does
	Origins bool          // where each record stands in the input is kept
	Dialect pgcsv.Dialect // of rows that are sent as they are
}

// Lanes hold the rows between the decoders and the streams, in pages the number
// of which is fixed. With all pages in use the decoders wait.
type Lanes struct {
	Options
	marked bool  // lanes have marks, which move even where no row comes
	front  Front // only the decoder whose turn it is touches it

	mu      sync.Mutex
	changed sync.Cond
	lanes   []lane
	queues  []queue // one for each node
	pool    pool
	waiting int  // sealed batches
	flying  int  // batches in flight
	direct  int  // of them, direct ones
	begun   bool // streams may ask for batches: the lanes have their nodes
	paused  bool // no batch may start
	ended   bool // no more rows will come
}

// New returns lanes all of which belong to the first node until Assign says
// otherwise.
func New(opt Options) *Lanes { return newLanes(opt, newPool(opt.Lanes, opt.Memory)) }

// NewOn is New for rows on pages that the caller has, all of one size and none in use, in
// place of Options.Memory.
func NewOn(opt Options, pages [][]byte) *Lanes {
	return newLanes(opt, pool{size: cap(pages[0]), total: len(pages), free: pages})
}

func newLanes(opt Options, pages pool) *Lanes {
	l := &Lanes{
		Options: opt,
		lanes:   make([]lane, opt.Lanes),
		queues:  make([]queue, max(opt.Nodes, 1)),
		pool:    pages,
		front:   Front{place: ledger.Place{Line: 1}},
	}
	l.queues[0].lanes = opt.Lanes
	batch := int64(opt.Batch)
	for i := range l.lanes {
		l.lanes[i].full = max(batch*int64(i+1)/int64(opt.Lanes), min(batch, minFirst))
	}
	l.changed.L = &l.mu
	return l
}

// minFirst is the least size of a lane's first batch, in bytes. First batches are of
// different sizes: lanes fill evenly, and would all be full at the same time, with
// the streams idle until then.
const minFirst = 1 << 20

// ErrInPieces says that the input is to be stored in several transactions: an earlier
// run has begun to, or its rows do not fit into the memory at once.
var ErrInPieces = errors.New("the input is to be stored in several transactions")

// errNotHeld says that lanes that are held cannot hold all rows.
var errNotHeld = errors.New("the input, decoded, does not fit into the memory; raise it, or load less")

// errNoPages cannot happen while a record fits twice into the memory.
var errNoPages = fault.Advise(errors.New("the memory is too small for this many lanes"), "raise Config.Memory")

// Add appends one row to a lane and seals the lane's batch if that makes it large
// enough. It waits while no pages are free. A row that an earlier run has stored
// is passed over. Binary rows are sorted by key if Options.Sorted says so. Only one
// goroutine at a time may call Add, Finish and End.
func (l *Lanes) Add(ctx context.Context, i int, as Notation, row []byte, at *Origin, key uint64) error {
	if l.front.passed = l.front.at.Before(l.lanes[i].mark); l.front.passed {
		l.front.at.Records++
		return nil
	}
	if err := l.reserve(ctx, i, as, len(row), len(at.Record)); err != nil {
		return err
	}
	l.lanes[i].open.append(as, row, at, key, l.front.source)
	l.front.added++
	l.front.at.Records++ // not before: a batch that is sealed to make room for the row ends before it
	if l.lanes[i].open.Bytes < l.lanes[i].full {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seal(i)
	return l.keepPace(ctx)
}

// keepPace waits while every stream has a batch ready behind the one that it is
// storing. To run further ahead would only touch fresh memory. A lane that gets
// more than its share does not count: its batches follow each other, and the
// streams beside it need other lanes' rows.
func (l *Lanes) keepPace(ctx context.Context) error {
	for l.begun && !l.Held && saturated(l.queues, l.Streams) {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		l.changed.Wait()
	}
	return nil
}

func saturated(queues []queue, streams int) bool {
	for i := range queues {
		if q := &queues[i]; q.lanes > 0 && len(q.ready) < streams {
			return false
		}
	}
	return true
}

var Newline = []byte{'\n'}

// reserve makes room for a row of n bytes, of which a record of kept bytes is kept, at the end of
// the lane's open batch.
func (l *Lanes) reserve(ctx context.Context, i int, as Notation, n, kept int) error {
	n++ // the line break
	if p := l.lanes[i].section(as); p != nil && p.Data.room >= n && p.lines.room >= l.lineRoom() && p.records.room >= kept && (!l.Sorted || as != NotationBinary || p.keys.room >= keySize) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		// Sealing may have taken the open batch away, so ask anew each time.
		p := l.lanes[i].section(as)
		e := extent{data: n, lines: l.lineRoom(), records: kept}
		if l.Sorted && as == NotationBinary {
			e.keys = keySize
		}
		if e = e.beyond(p.room(), l.pool.size); e.total() <= l.pool.left() {
			l.pool.extendAll(l.lanes[i].openSection(i, as, &l.Options), e)
			return nil
		}
		if err := l.makeRoom(ctx); err != nil {
			return err
		}
	}
}

// makeRoom seals a batch, or waits for a stream: no pages are free.
func (l *Lanes) makeRoom(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if l.Held {
		return errNotHeld
	}
	switch {
	case l.Whole:
		return ErrInPieces
	case l.sealFullest():
	case l.waiting+l.flying == 0:
		return errNoPages
	default:
		l.changed.Wait()
	}
	return nil
}

// section returns the section to which a row in that notation can be appended, or nil.
func (ln *lane) section(as Notation) *Section {
	if ln.open == nil {
		return nil
	}
	return ln.open.section(as)
}

// openSection returns the section for rows in that notation, a new one if need be.
func (ln *lane) openSection(number int, as Notation, opt *Options) *Section {
	if ln.open == nil {
		ln.open = &Batch{Lane: number, Aside: Section{Notation: NotationRejected, origins: opt.Origins}}
	}
	b := ln.open
	if p := b.section(as); p != nil {
		return p
	}
	b.Sections = append(b.Sections, Section{Notation: as, origins: opt.Origins, sorted: opt.Sorted && as == NotationBinary, Dialect: opt.Dialect})
	return b.section(as)
}

// sealFullest seals the largest open batch of a node that has not enough to do,
// and reports whether there was one. Batches of one lane follow each other: a node of
// which one lane has them all can do with those of others.
func (l *Lanes) sealFullest() bool {
	busy := make([]int, len(l.queues)) // lanes with batches
	for i := range l.lanes {
		if !l.lanes[i].idle() {
			busy[l.lanes[i].node]++
		}
	}
	fullest, size := -1, int64(-1)
	for i := range l.lanes {
		ln := &l.lanes[i]
		wanted := l.queues[ln.node].load < l.Streams || ln.idle() && busy[ln.node] < l.Streams
		if b := ln.open; b != nil && b.Rows > 0 && b.Bytes > size && wanted {
			fullest, size = i, b.Bytes
		}
	}
	if fullest < 0 {
		return false
	}
	l.seal(fullest)
	return true
}

// seal closes the lane's open batch and hands it to the streams of its node.
func (l *Lanes) seal(i int) {
	ln := &l.lanes[i]
	if ln.open == nil {
		return
	}
	b := ln.open
	b.From, b.To, b.Place, b.Within = ln.mark, l.front.at, l.front.place, l.front.prefix.sum(l.front.at.Records)
	ln.mark, ln.moved = b.To, l.front.far
	ln.sealed = append(ln.sealed, b)
	ln.open, ln.full = nil, int64(l.Batch)
	l.waiting++
	q := &l.queues[ln.node]
	q.load++
	if len(ln.sealed) == 1 {
		ln.offer(i, l.queues)
	}
	l.changed.Broadcast()
}

// offer makes the lane, of that number, ready if its next batch can go: it is sealed, none is in
// flight, and all of its rows are written.
func (ln *lane) offer(number int, queues []queue) {
	if ln.inFlight || len(ln.sealed) == 0 || ln.sealed[0].pending > 0 {
		return
	}
	ln.sealed[0].trim()
	q := &queues[ln.node]
	q.ready = append(q.ready, number)
}

// End seals what is open: no more rows will come.
func (l *Lanes) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.lanes {
		if l.marked {
			l.sealMark(i)
		} else {
			l.seal(i)
		}
	}
	l.ended = true
	l.changed.Broadcast()
}
