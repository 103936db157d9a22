package loader

import "shardload/internal/ledger"

// resume begins where the marks of a job's lanes say.
func (l *lanes) resume(job []ledger.Lane) {
	l.marked = true
	for i, lane := range job {
		l.lanes[i].mark = lane.Mark
	}
}

// markEvery is the number of chunks after which a lane's mark moves, if it has
// rows or not: a load that is resumed begins at the mark that is furthest behind.
const markEvery = 256

// finish ends a chunk: the next one begins at place. It seals the lanes whose mark
// has been standing for long.
func (l *lanes) finish(place ledger.Place) {
	l.at = ledger.Mark{Chunk: l.at.Chunk + 1}
	l.place = place
	if !l.marked || l.at.Chunk%markEvery != 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.lanes {
		if l.at.Chunk-l.lanes[i].mark.Chunk >= markEvery {
			l.sealMark(i)
		}
	}
}

// sealMark seals the lane's batch, an empty one if it has no rows.
func (l *lanes) sealMark(i int) {
	if ln := &l.lanes[i]; ln.open == nil && ln.mark.Before(l.at) {
		ln.open = &batch{lane: i}
	}
	l.seal(i)
}
