package input

import "sync/atomic"

// A Part is an input of a set, as those know it who get its chunks.
type Part struct {
	Source string // by which errors call it
	First  int64  // the number of its first chunk among those of the set's run
	Sum    uint64 // hash of its header, 0 for none

	left atomic.Bool
}

// Leave says that nobody wants the part's chunks any more.
func (p *Part) Leave() { p.left.Store(true) }

// Left reports whether nobody does.
func (p *Part) Left() bool { return p.left.Load() }

// OfPart says of which part of a set a chunk is. It is empty outside of sets.
type OfPart struct {
	Part *Part
	// Turns says that it is the first one of the part that is read, and Within that others come
	// before it, which are stored.
	Turns, Within bool
}
