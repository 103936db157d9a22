package loader

import (
	"sync"

	"shardload/internal/input"
	"shardload/internal/ledger"
)

// A tally says of the parts of a run what is known of each when all are read.
type tally struct {
	mu   sync.Mutex
	ends map[int32]*ledger.PartRows // of parts that were read to their end
	last int32                      // the part that is entering the lanes
	from int64                      // records before it; -1 if that is not known
	was  map[int32]ledger.Part      // what parts were when they were opened
	has  int                        // parts that are read here, and are not left out
}

// begin begins anew, where so many records come before what is read.
func (t *tally) begin(records int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.has = 0
	t.ends, t.last, t.from, t.was = map[int32]*ledger.PartRows{}, -1, records, map[int32]ledger.Part{}
}

// turn notes that the records of a part begin to enter the lanes, before which there are so many.
func (t *tally) turn(seq int32, before ledger.Place, within bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLast(before)
	t.last, t.from = seq, before.Records
	if within {
		t.from = -1
	}
}

// endLast notes how many records the last part has had, and what it was, when the lanes are at its end.
func (t *tally) endLast(end ledger.Place) {
	if t.last < 0 {
		return
	}
	rows := int64(-1)
	if t.from >= 0 {
		rows = end.Records - t.from
	}
	t.ends[t.last] = &ledger.PartRows{Seq: t.last, Rows: rows, Now: t.openedAs(t.last, end.Sum)}
}

// openedAs returns what a part was when it was opened, and all of it has that hash.
func (t *tally) openedAs(seq int32, sum uint64) *ledger.Part {
	is, ok := t.was[seq]
	if !ok {
		is.Size = -1
	}
	delete(t.was, seq)
	is.Sum = sum
	return &is
}

// opened notes what a part is as it is opened.
func (t *tally) opened(p *input.Part, is ledger.Part) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.was[partOf(p.First)] = is
}

// listEnds lists what is known of the parts when all are read, and the lanes are at that place.
func (t *tally) listEnds(end ledger.Place) (list []ledger.PartRows) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLast(end)
	for _, end := range t.ends {
		list = append(list, *end)
	}
	return list
}

// count counts parts that are read here.
func (t *tally) count(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.has += n
}

// loaded returns how many parts the run has stored, of those that this process has read.
func (t *tally) loaded() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.has
}

// empty notes that a part has no records.
func (t *tally) empty(p *input.Part) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seq := partOf(p.First)
	t.ends[seq] = &ledger.PartRows{Seq: seq, Now: t.openedAs(seq, 0)}
}
