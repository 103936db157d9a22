package loader

import "shardload/internal/ledger"

// A counter counts the rows of one chunk in all lanes that were one when a mark in
// that chunk was made.
type counter struct {
	chunk int64
	rows  int64
}

// resume begins where the marks of a job's lanes say.
func (l *lanes) resume(job []ledger.Lane) {
	l.marked = true
	shared := map[ledger.Counted]*counter{}
	for i, lane := range job {
		ln := &l.lanes[i]
		ln.mark = lane.Mark
		by := lane.Counted
		if by.Chunk != lane.Mark.Chunk {
			continue
		}
		if shared[by] == nil {
			shared[by] = &counter{chunk: by.Chunk}
			l.last = max(l.last, by.Chunk)
		}
		ln.counted = shared[by]
	}
	for by, c := range shared {
		for i, lane := range job {
			if by.Min <= lane.Min && lane.Max <= by.Max {
				l.lanes[i].counts = append(l.lanes[i].counts, c)
			}
		}
	}
}

// stored makes the lane's position that of the row that comes next, and reports
// whether an earlier run has stored that.
func (l *lanes) stored(i int) bool {
	ln := &l.lanes[i]
	if ln.chunk != l.chunk {
		ln.chunk, ln.rows = l.chunk, 0
	}
	if ln.counted != nil && ln.counted.chunk == l.chunk {
		ln.rows = ln.counted.rows
	}
	return l.chunk <= ln.mark.Chunk && (ledger.Mark{Chunk: l.chunk, Rows: ln.rows}).Before(ln.mark)
}

// count counts the row that has come: the lane's position is behind it. Not before it
// is in the lane's batch: a batch that is sealed to make room for it ends before it.
func (l *lanes) count(i int) {
	ln := &l.lanes[i]
	ln.rows++
	if l.chunk > l.last {
		return
	}
	for _, c := range ln.counts {
		if c.chunk == l.chunk {
			c.rows++
		}
	}
}

// markEvery is the number of chunks after which a lane's mark moves, if it has
// rows or not: a load that is resumed begins at the mark that is furthest behind.
const markEvery = 256

// finish ends a chunk: the next one begins at place. It seals the lanes whose mark
// has been standing for long.
func (l *lanes) finish(place ledger.Place) {
	l.chunk++
	l.place = place
	if !l.marked || l.chunk%markEvery != 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.lanes {
		if l.chunk-l.lanes[i].mark.Chunk >= markEvery {
			l.sealMark(i)
		}
	}
}

// sealMark seals the lane's batch, an empty one if it has no rows.
func (l *lanes) sealMark(i int) {
	if ln := &l.lanes[i]; ln.open == nil && ln.mark.Before(ledger.Mark{Chunk: l.chunk}) {
		ln.open = &batch{lane: i}
	}
	l.seal(i)
}
