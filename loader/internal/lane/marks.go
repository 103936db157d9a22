package lane

import (
	"math"

	"shardload/internal/ledger"
)

// A Front is how far the rows have come. Only the decoder whose turn it is touches it, and
// whoever goes on after all rows are there.
type Front struct {
	at     ledger.Mark
	place  ledger.Place  // of its chunk
	prefix Prefix        // of its chunk
	source string        // the part of a set that it is of, "" for the load's input
	far    int64         // how much has entered, in parts of chunks
	proofs []ledger.Lane // marks of earlier runs that are still to be compared with it
	added  int64         // rows that were not passed over
	passed bool          // the last row was
}

// Front returns how far the rows have come.
func (l *Lanes) Front() *Front { return &l.front }

// Resume begins where the marks of a job's lanes say. They are compared with the input
// where prove says so.
func (l *Lanes) Resume(job []ledger.Lane, prove bool) {
	l.marked = true
	for i, lane := range job {
		l.lanes[i].mark = lane.Mark
	}
	if prove {
		l.front.proofs = ProofsOf(job)
	}
}

// Skip says that the input is read from a mark on, which is at place.
func (f *Front) Skip(at ledger.Mark, place ledger.Place) { f.at, f.place = at, place }

// SetSum says what the hash of the input is where the rows begin.
func (f *Front) SetSum(sum uint64) { f.place.Sum = sum }

// Mark returns up to where rows have come.
func (f *Front) Mark() ledger.Mark { return f.at }

// Place returns where the chunk stands in the input up to which rows have come.
func (f *Front) Place() ledger.Place { return f.place }

// Added returns how many rows were not passed over.
func (f *Front) Added() int64 { return f.added }

// Passed reports whether the last row was passed over: an earlier run has stored it.
func (f *Front) Passed() bool { return f.passed }

// A Turn is where a part of a set begins.
type Turn struct {
	Source string // by which errors call the part
	Chunk  int64  // number of its first chunk, greater than that of any before it
	Sum    uint64 // hash of the part's header, 0 for none
	Within bool   // rows up to somewhere in the part are stored: Skip has said up to where
}

// Turn says that the next chunk is the first one of a part. What comes before it is over: a mark
// that an earlier run has left there must be one of it.
func (f *Front) Turn(to *Turn) error {
	f.source = to.Source
	if to.Within {
		return nil
	}
	f.prefix = Prefix{}
	if err := f.proveBefore(to.Chunk); err != nil {
		return err
	}
	f.at = ledger.Mark{Chunk: to.Chunk}
	f.place = ledger.Place{Line: 1, Records: f.place.Records, Sum: to.Sum}
	return nil
}

// Source returns by which name errors call the part whose rows come, "" outside of sets.
func (f *Front) Source() string { return f.source }

// Enter says of which data and records the chunk is that enters the lanes. It returns an error if a mark that an earlier
// run has left in it, or at its beginning, is one of another input.
func (f *Front) Enter(data []byte, records Starts) error {
	f.prefix = NewPrefix(data, records)
	return f.Prove(false)
}

// Prove compares the marks of earlier runs that stand where the lanes are with the
// input. At its end all others are wrong: it is shorter than it was.
func (f *Front) Prove(atEnd bool) error {
	if atEnd {
		return f.proveBefore(math.MaxInt64)
	}
	return f.proveBefore(f.at.Chunk + 1)
}

// proveBefore compares those that stand before a chunk.
func (f *Front) proveBefore(chunk int64) error {
	for len(f.proofs) > 0 {
		lane := f.proofs[0]
		if lane.Mark.Chunk >= chunk {
			return nil
		}
		if lane.Mark.Chunk != f.at.Chunk || !Proves(lane, f.place, &f.prefix) {
			return &OtherInputError{lane.Place.Offset}
		}
		f.proofs = f.proofs[1:]
	}
	return nil
}

// markEvery is the length of input, in usual chunks, after which a lane's mark moves, if it has
// rows or not: a load that is resumed begins at the mark that is furthest behind. A batch that ends
// for that may be smaller than others, so chunks of a set of small files count as what they are;
// none counts less than the smallest part.
const (
	markEvery  = 256 * chunkParts
	chunkParts = 64
)

// Finish ends a chunk: the next one begins at place. It seals the lanes that have enough for a
// batch, and those whose mark has been standing for long.
func (l *Lanes) Finish(place ledger.Place) {
	f := &l.front
	before := f.far
	f.far += partsOf(place.Offset-f.place.Offset, l.Chunk)
	f.at = ledger.Mark{Chunk: f.at.Chunk + 1}
	f.place, f.prefix = place, Prefix{}
	l.mu.Lock()
	defer l.mu.Unlock()
	move := l.marked && f.far/markEvery > before/markEvery
	for i := range l.lanes {
		switch ln := &l.lanes[i]; {
		case ln.open != nil && ln.open.Bytes >= ln.full:
			l.seal(i)
		case move && f.far-ln.moved >= markEvery && ln.mark.Before(f.at):
			l.sealMark(i)
		}
	}
}

// partsOf returns how long a chunk of that many bytes is, in parts of a usual one, which is as long
// as that, or 0 if all are alike.
func partsOf(bytes, usual int64) int64 {
	if usual == 0 {
		return chunkParts
	}
	return min(max(bytes*chunkParts/usual, 1), chunkParts)
}

// sealMark seals the lane's batch, an empty one if it has no rows.
func (l *Lanes) sealMark(i int) {
	if ln := &l.lanes[i]; ln.open == nil && ln.mark.Before(l.front.at) {
		ln.open = &Batch{Lane: i}
	}
	l.seal(i)
}
