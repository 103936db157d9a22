package lane

import (
	"context"
	"errors"
)

// An extent is how many bytes rows take of a section's buffers, and then how many pages they need.
type extent struct{ data, lines, keys, records int }

func (e extent) total() int { return e.data + e.lines + e.keys + e.records }

// beyond returns how many pages e needs beside the room that there is.
func (e extent) beyond(room extent, page int) extent {
	pages := func(n int) int { return max(n+page-1, 0) / page }
	return extent{pages(e.data - room.data), pages(e.lines - room.lines), pages(e.keys - room.keys), pages(e.records - room.records)}
}

// room returns what can be appended to p, which may be nil.
func (p *Section) room() extent {
	if p == nil {
		return extent{}
	}
	return extent{p.Data.room, p.lines.room, p.keys.room, p.records.room}
}

// end returns where the last record of p stands, counted from base; p may be nil.
func (p *Section) end(base position) position {
	if p == nil {
		return position{-base.line, -base.offset}
	}
	return position{p.lastLine, p.lastOffset}.after(base)
}

// extent returns what a group takes that follows a record there.
func (g *Groups) extent(of *group, after position) extent {
	e := extent{data: of.data, lines: of.lines + of.first.after(after).size(g.origins), records: of.records}
	if g.sorted && of.as == NotationBinary {
		e.keys = int(of.rows) * keySize
	}
	return e
}

// largest is farther from a record than any other is.
var largest = position{1 << 62, 1 << 62}

// AtOnce reports whether the rows of g may enter the lanes at once. Else they are to be added one
// by one: a mark of an earlier run stands between them, they need more than half of the memory,
// or more of them than a batch is to have go to one lane. Only one goroutine at a time may call
// it, and Reserve, as Lanes.Add.
func (g *Groups) AtOnce() bool {
	l := g.lanes
	pages := 0
	for _, i := range g.used {
		of := &g.of[i]
		if mark := l.lanes[g.lane(i)].mark; mark.Chunk == l.front.at.Chunk && mark.Records > 0 || of.bytes > int64(l.Batch) {
			return false
		}
		pages += g.extent(of, largest).beyond(extent{}, l.pool.size).total()
	}
	return pages <= l.pool.total/2
}

// Passes reports whether the lane's rows of the chunk that enters the lanes are passed over, as
// an earlier run has stored them, where all of them are or none.
func (g *Groups) Passes(lane int) bool { return g.lanes.front.at.Before(g.lanes.lanes[lane].mark) }

// Reserve makes room for the rows of g at the ends of the lanes, for all or for none. It waits
// while there is no memory for them, and while the streams have enough to do. base is where the
// chunk begins. The caller must write the rows with Put, and then call Copied: batches that
// have some of them are not ready before.
func (g *Groups) Reserve(ctx context.Context, base Origin) error {
	l, at := g.lanes, position{base.Line, base.Offset}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.keepPace(ctx); err != nil {
		return err
	}
	for g.needed(at) > l.pool.left() {
		if err := l.makeRoom(ctx); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for _, i := range g.used {
		if lane := g.lane(i); !g.Passes(lane) {
			g.take(&g.of[i], lane, at)
		}
	}
	return nil
}

// needed returns how many pages the rows of g need, as the lanes are.
func (g *Groups) needed(base position) (pages int) {
	for _, i := range g.used {
		of, lane := &g.of[i], g.lane(i)
		if !g.Passes(lane) {
			p := g.lanes.lanes[lane].section(of.as)
			pages += g.extent(of, p.end(base)).beyond(p.room(), g.lanes.pool.size).total()
		}
	}
	return pages
}

// take takes room for a group at the end of a lane, for which there are pages.
func (g *Groups) take(of *group, lane int, base position) {
	l := g.lanes
	p := l.lanes[lane].openSection(lane, of.as, &l.Options)
	of.before = p.end(base)
	e := g.extent(of, of.before)
	l.pool.extendAll(p, e.beyond(p.room(), l.pool.size))
	p.Data.take(e.data, &of.atData)
	p.lines.take(e.lines, &of.atLines)
	p.keys.take(e.keys, &of.atKeys)
	p.records.take(e.records, &of.atRecords)
	p.turnTo(l.front.source)
	p.lastLine = base.line + of.last.line
	if p.origins {
		p.lastOffset = base.offset + of.last.offset
	}
	p.Rows += of.rows
	b := l.lanes[lane].open
	b.Rows += of.rows
	b.Bytes += of.bytes
	b.pending++
	of.batch = b
	l.front.added += of.rows
}

// errMiscounted cannot happen while rows are put as they were counted. Nothing of them is stored.
var errMiscounted = errors.New("rows are not as long as they were counted")

// Copied says that all rows of g are written.
func (g *Groups) Copied() error {
	l := g.lanes
	for _, i := range g.used {
		if !g.of[i].written() {
			return errMiscounted
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range g.used {
		b := g.of[i].batch
		if b == nil {
			continue
		}
		g.of[i].batch = nil
		b.pending--
		if sealed := l.lanes[b.Lane].sealed; len(sealed) > 0 && sealed[0] == b {
			l.lanes[b.Lane].offer(b.Lane, l.queues)
			l.changed.Broadcast()
		}
	}
	return nil
}

// written reports whether of has written all that was taken for it, and no more.
func (of *group) written() bool {
	return of.atData.left == 0 && of.atLines.left == 0 && of.atKeys.left == 0 && of.atRecords.left == 0
}
