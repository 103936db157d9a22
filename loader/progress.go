package loader

import (
	"sync/atomic"
	"time"

	"shardload/internal/ledger"
)

// A Progress is a snapshot of what a Loader has done.
type Progress struct {
	// BytesRead is how far the current input has been read as it is stored:
	// compressed, if it is. Of an input in blocks it counts blocks.
	BytesRead int64
	// BytesPassed is an estimate of how far the records of the current input are stored,
	// rejected or left out, in the same unit: those on their way are not. Of a set it counts what
	// other processes have stored meanwhile.
	BytesPassed int64
	BytesTotal  int64 // of the same; -1 where unknown. Of a set they are all of its parts.
	Rows        int64 // stored, of this and earlier inputs, by this and earlier runs
	Before      int64 // of Rows: by earlier runs
	Others      int64 // of a set: rows of what other processes work on, or have, as they have said last
	// OthersBefore is how many of Others were stored when this Load began.
	OthersBefore int64
	Bytes        int64 // input read, decompressed, of this and earlier inputs
	// Ending says that all of the current input is stored, and that this is noted.
	Ending bool
}

// Times are the parts of Result.Elapsed. Of several attempts they are sums.
type Times struct {
	Opening time.Duration // until rows could be stored: the input, the locks, the job, the marks
	Copying time.Duration // of rows
	Ending  time.Duration // from the last row that was stored
}

// A Spent is the time that a Load took.
type Spent struct {
	Elapsed time.Duration // from opening the input to the last COMMIT
	Times   Times         // of Elapsed; of a set Copying is until others have stored their parts, too
	// Copying is how much of Elapsed, summed over the streams, the server had a
	// batch to work on. Copying / (Elapsed * streams) near 1 means that the server
	// sets the pace.
	Copying time.Duration
}

// totals sums up the loads that are over.
type totals struct{ rows, before, bytes atomic.Int64 }

func (t *totals) add(r Result) {
	t.before.Add(r.Before)
	t.rows.Add(r.Before + r.Rows)
	t.bytes.Add(r.Bytes)
}

// Progress may be called from any goroutine while Load runs.
func (l *Loader) Progress() Progress {
	p := Progress{BytesTotal: -1, Rows: l.past.rows.Load(), Before: l.past.before.Load(), Bytes: l.past.bytes.Load()}
	if ld := l.current.Load(); ld != nil {
		before := ld.Before.Load()
		p.BytesRead, p.BytesTotal = ld.feed.Far()
		p.BytesPassed = ld.course.front.passed(p.BytesRead, ld.Read.Load(), before+ld.Rows.Load()+ld.Rejected.Load()+ld.Filtered.Load())
		p.Rows += before + ld.Rows.Load()
		p.Before += before
		p.Bytes += ld.Read.Load()
		p.Ending = ld.course.ending.Load()
	}
	if w := l.whole.Load(); w != nil {
		past := w.before + w.past.Load()
		p.BytesRead, p.BytesPassed, p.BytesTotal = p.BytesRead+past, p.BytesPassed+past, w.total
		if w.total >= 0 { // what was read once more counts twice
			p.BytesRead, p.BytesPassed = min(p.BytesRead, w.total), min(p.BytesPassed, w.total)
		}
		p.Rows, p.Before = p.Rows+w.rows, p.Before+w.rows
		p.addOthers(w)
		p.Ending = false // of a run alone
	}
	return p
}

// A whole is how large a set is.
type whole struct {
	total  int64 // bytes of all parts, as they are stored; -1 where that is not known
	before int64 // of those that were loaded before
	rows   int64 // of theirs
	past   atomic.Int64
	others others
}

// What others have stored of a set: rows of runs that were not closed when this process began with it,
// and are not its own.
type others struct{ rows, before atomic.Int64 }

// addOthers counts what other processes have stored. Their rows are about as long as those that are known.
func (p *Progress) addOthers(w *whole) {
	p.Others = w.others.rows.Load()
	p.OthersBefore = min(w.others.before.Load(), p.Others)
	if w.total >= 0 && p.Rows > 0 {
		p.BytesPassed = min(p.BytesPassed+int64(float64(p.BytesPassed)*float64(p.Others)/float64(p.Rows)), w.total)
	}
}

// A hearing is what a process has heard of the runs of a set.
type hearing struct {
	heard  bool
	closed int64 // rows of runs that were closed when it began
	done   int64 // rows of runs that it has had
}

// hear takes notice of how many rows all runs have stored, and of them the run that this process has
// now, if any.
func (h *hearing) hear(l *Loader, all, own int64) {
	if w := l.whole.Load(); w != nil {
		w.others.rows.Store(max(all-h.closed-h.done-own, 0))
	}
}

// begin takes notice of which runs there are when the process begins.
func (h *hearing) begin(l *Loader, now *ledger.Standing) {
	if h.heard {
		return
	}
	open := int64(0)
	for i := range now.Runs {
		open += now.Runs[i].Rows
	}
	h.heard, h.closed = true, now.Rows-open
	if w := l.whole.Load(); w != nil {
		w.others.before.Store(open)
	}
}

// size returns how large the set is, and how much of it is loaded.
func (of *roster) size() *whole {
	w := &whole{rows: of.set.Rows}
	left := map[string]bool{}
	for _, name := range of.seen.LeftNames() {
		left[name] = true
	}
	for _, p := range of.parts {
		if p.Size < 0 {
			return &whole{total: -1, rows: of.set.Rows}
		}
		if w.total += p.Size; !left[p.Name] {
			w.before += p.Size
		}
	}
	return w
}

// pass adds the parts of a run that are over.
func (w *whole) pass(s *series) {
	if w != nil {
		w.past.Add(s.done.Load())
	}
}

// A course is how far a load has come.
type course struct {
	front
	times  *times
	ending atomic.Bool // all rows are stored
}

// A front is how far the decoders have come with an input.
type front struct {
	offset  atomic.Int64 // in bytes, decompressed, or in blocks
	records atomic.Int64 // that come before it
}

// set says that the front is at a place of the input.
func (f *front) set(at ledger.Place) {
	f.offset.Store(at.Offset)
	f.records.Store(at.Records)
}

// reach notes how far the rows of ld have come. Of a set the front's place is within a part, and
// only how many records come before it counts.
func (c *course) reach(ld *load) {
	at := ld.Lanes.Front().Place()
	if ld.series != nil {
		at.Offset = ld.Read.Load()
	}
	c.front.set(at)
}

// passed returns how far an input that is read up to the byte far, as it is stored, or up to the
// byte read, decompressed, is through, if settled of its records are. What earlier runs have
// stored may lie before the front and after it.
func (f *front) passed(far, read, settled int64) int64 {
	records := f.records.Load()
	if read <= 0 || records <= 0 {
		return 0
	}
	share := min(float64(f.offset.Load())/float64(read), 1) * min(float64(settled)/float64(records), 1)
	return int64(float64(far) * share)
}

// The parts of a load.
const (
	partOpening = iota // until rows can be stored
	partCopying
	partEnding // from the last row that was stored
	numParts
)

// times are how long the parts of a load took so far, over all its attempts.
type times struct {
	took  [numParts]time.Duration
	now   int
	since time.Time // when that one began
}

// times returns how long they took.
func (p *times) times() Times {
	return Times{Opening: p.took[partOpening], Copying: p.took[partCopying], Ending: p.took[partEnding]}
}

// begin ends the part that is under way, and begins another one. Nobody asks nil.
func (p *times) begin(part int) {
	if p == nil {
		return
	}
	now := time.Now()
	p.took[p.now] += now.Sub(p.since)
	p.now, p.since = part, now
}
