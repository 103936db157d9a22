package loader

import (
	"context"
	"errors"
	"sync"

	"shardload/internal/ledger"
)

// maxPage is the usual size of a page. Tables of so many lanes that each would
// get only a few of them have smaller ones.
const (
	maxPage = 64 << 10
	minPage = 4 << 10
)

// A lane is an ordered flow of rows into one place. One batch of it is in flight
// at a time, and batches are stored in the order in which they were sealed.
type lane struct {
	// Only the decoder whose turn it is touches these.
	open *batch
	full int64       // bytes at which it is sealed
	mark ledger.Mark // up to which its rows are sealed, or were stored when the load began

	sealed   []*batch // waiting, the oldest first
	inFlight bool
	node     int  // whose streams carry its batches
	direct   bool // its rows do not pass under the table's lock on the coordinator
}

// idle reports whether the lane has no batch that is sealed or in flight.
func (ln *lane) idle() bool { return !ln.inFlight && len(ln.sealed) == 0 }

// A queue is what waits for the streams of one node.
type queue struct {
	ready []int // lanes with a sealed batch and none in flight
	load  int   // batches of its lanes that are sealed or in flight
	lanes int   // how many belong to it
}

// lanes holds the rows between the decoders and the streams, in pages the number
// of which is fixed. With all pages in use the decoders wait.
type lanes struct {
	pageSize int
	batch    int64 // bytes at which a batch is sealed
	sorted   bool  // binary rows are sorted within their batch
	held     bool  // no batch is stored before the last row is here
	marked   bool  // lanes have marks, which move even where no row comes
	whole    bool  // a batch ends only where the input does
	origins  bool  // where each record stands in the input is kept
	streams  int   // of a node

	// Only the decoder whose turn it is touches these.
	at     ledger.Mark  // up to where the rows have come
	place  ledger.Place // of its chunk
	added  int64        // rows that were not passed over
	passed bool         // the last row was

	mu      sync.Mutex
	changed sync.Cond
	lanes   []lane
	queues  []queue  // one for each node
	free    [][]byte // last in, first out: the page used last is warm
	unmade  int      // pages that have never been needed
	slab    []byte   // memory of the next of them
	waiting int      // sealed batches
	flying  int      // batches in flight
	direct  int      // of them, direct ones
	begun   bool     // streams may ask for batches: the lanes have their nodes
	paused  bool     // no batch may start
	ended   bool     // no more rows will come
}

// newLanes returns n lanes of the given memory in bytes, all of which belong to
// the first of nodes nodes until assign says otherwise. Each node has that many
// streams.
func newLanes(n int, memory int64, batch, nodes, streams int) *lanes {
	page := maxPage
	for page > minPage && int64(page)*int64(n)*16 > memory {
		page /= 2
	}
	l := &lanes{
		pageSize: page,
		batch:    int64(batch),
		streams:  streams,
		lanes:    make([]lane, n),
		queues:   make([]queue, nodes),
		unmade:   int(memory / int64(page)),
		place:    ledger.Place{Line: 1},
	}
	l.queues[0].lanes = n
	for i := range l.lanes {
		l.lanes[i].full = max(l.batch*int64(i+1)/int64(n), min(l.batch, minFirst))
	}
	l.changed.L = &l.mu
	return l
}

// minFirst is the least size of a lane's first batch, in bytes. First batches are of
// different sizes: lanes fill evenly, and would all be full at the same time, with
// the streams idle until then.
const minFirst = 1 << 20

// errNoPages cannot happen while a record fits twice into the memory.
var errNoPages = errors.New("the memory is too small for this many lanes; raise --memory")

// add appends one row to a lane and seals the lane's batch if that makes it large
// enough. It waits while no pages are free. A row that an earlier run has stored
// is passed over. Binary rows are sorted by key if sorted says so. Only one
// goroutine at a time may call add, finish, seal and end.
func (l *lanes) add(ctx context.Context, i int, f format, row []byte, at origin, key uint64) error {
	if l.passed = l.at.Before(l.lanes[i].mark); l.passed {
		l.at.Records++
		return nil
	}
	if err := l.reserve(ctx, i, f, len(row)); err != nil {
		return err
	}
	b := l.lanes[i].open
	p := b.part(f)
	sent := len(row)
	p.data.append(row)
	if f == formatCSV {
		p.data.append(newline)
		sent++
	}
	if l.sorted && f == formatBinary {
		p.keys.appendPair(key, uint64(len(row)))
	}
	p.lines.appendUvarint(uint64(at.line - p.lastLine))
	p.lastLine = at.line
	if p.origins {
		p.note(at, sent)
	}
	p.rows++
	b.rows++
	l.added++
	l.at.Records++ // not before: a batch that is sealed to make room for the row ends before it
	b.bytes += int64(len(row))
	if b.bytes < l.lanes[i].full {
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
func (l *lanes) keepPace(ctx context.Context) error {
	for l.saturated() {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		l.changed.Wait()
	}
	return nil
}

func (l *lanes) saturated() bool {
	if l.held || !l.begun {
		return false
	}
	for i := range l.queues {
		if q := &l.queues[i]; q.lanes > 0 && len(q.ready) < l.streams {
			return false
		}
	}
	return true
}

var newline = []byte{'\n'}

// reserve makes room for a row of n bytes at the end of the lane's open batch.
func (l *lanes) reserve(ctx context.Context, i int, f format, n int) error {
	n++ // the line break
	if p := l.part(i, f); p != nil && p.data.room >= n && p.lines.room >= l.lineRoom() && (!l.sorted || f != formatBinary || p.keys.room >= keySize) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		// Sealing may have taken the open batch away, so ask anew each time.
		data, lines, keys := l.needed(i, f, n)
		if data+lines+keys <= len(l.free)+l.unmade {
			p := l.openPart(i, f)
			l.extend(&p.data, data)
			l.extend(&p.lines, lines)
			l.extend(&p.keys, keys)
			return nil
		}
		if l.held {
			return errNotHeld
		}
		switch {
		case l.whole:
			return errInPieces
		case l.sealFullest():
		case l.waiting+l.flying == 0:
			return errNoPages
		default:
			l.changed.Wait()
		}
	}
}

// part returns the part to which a row of format f can be appended, or nil.
func (l *lanes) part(i int, f format) *part {
	b := l.lanes[i].open
	if b == nil {
		return nil
	}
	return b.part(f)
}

// needed returns how many pages a row of n bytes needs.
func (l *lanes) needed(i int, f format, n int) (data, lines, keys int) {
	none := part{}
	p := l.part(i, f)
	if p == nil {
		p = &none
	}
	if p.lines.room < l.lineRoom() {
		lines = 1
	}
	if l.sorted && f == formatBinary && p.keys.room < keySize {
		keys = 1
	}
	return max(n-p.data.room+l.pageSize-1, 0) / l.pageSize, lines, keys
}

// openPart returns the part for rows of format f, a new one if need be.
func (l *lanes) openPart(i int, f format) *part {
	if l.lanes[i].open == nil {
		l.lanes[i].open = &batch{lane: i, aside: part{format: formatRejected, origins: l.origins}}
	}
	b := l.lanes[i].open
	if p := b.part(f); p != nil {
		return p
	}
	b.parts = append(b.parts, part{format: f, origins: l.origins})
	return b.part(f)
}

// extend moves n free pages to the end of b.
func (l *lanes) extend(b *buffer, n int) {
	for range n {
		if last := len(l.free) - 1; last >= 0 {
			b.extend(l.free[last])
			l.free = l.free[:last]
			continue
		}
		if len(l.slab) == 0 {
			l.slab = newSlab(min(l.unmade, slabSize/l.pageSize) * l.pageSize)
		}
		l.unmade--
		b.extend(l.slab[:0:l.pageSize])
		l.slab = l.slab[l.pageSize:]
	}
}

// sealFullest seals the largest open batch of a node that has not enough to do,
// and reports whether there was one. Batches of one lane follow each other: a node of
// which one lane has them all can do with those of others.
func (l *lanes) sealFullest() bool {
	busy := make([]int, len(l.queues)) // lanes with batches
	for i := range l.lanes {
		if !l.lanes[i].idle() {
			busy[l.lanes[i].node]++
		}
	}
	fullest, size := -1, int64(-1)
	for i := range l.lanes {
		ln := &l.lanes[i]
		wanted := l.queues[ln.node].load < l.streams || ln.idle() && busy[ln.node] < l.streams
		if b := ln.open; b != nil && b.rows > 0 && b.bytes > size && wanted {
			fullest, size = i, b.bytes
		}
	}
	if fullest < 0 {
		return false
	}
	l.seal(fullest)
	return true
}

// seal closes the lane's open batch and hands it to the streams of its node.
func (l *lanes) seal(i int) {
	ln := &l.lanes[i]
	if ln.open == nil {
		return
	}
	b := ln.open
	b.from, b.to, b.place = ln.mark, l.at, l.place
	ln.mark = b.to
	ln.sealed = append(ln.sealed, b)
	ln.open, ln.full = nil, l.batch
	l.waiting++
	q := &l.queues[ln.node]
	q.load++
	if !ln.inFlight && len(ln.sealed) == 1 {
		q.ready = append(q.ready, i)
	}
	l.changed.Broadcast()
}

// end seals what is open: no more rows will come.
func (l *lanes) end() {
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
