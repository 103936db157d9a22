package lane

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"shardload/internal/ledger"
)

// Starts are where the records of a chunk begin in its data.
type Starts interface {
	Len() int
	Start(i int) int
}

// An OtherInputError says that a mark of an earlier run is one of another input: at least
// so many bytes of that one are stored.
type OtherInputError struct{ Stored int64 }

func (e *OtherInputError) Error() string {
	return fmt.Sprintf("the first %d bytes are not those that an earlier run has stored", e.Stored)
}

// A Prefix hashes the first records of a chunk. To ask for ever more of them hashes
// each byte once.
type Prefix struct {
	data    []byte
	records Starts
	hashed  int // bytes of data
	digest  *xxhash.Digest
}

// NewPrefix returns the prefix of a chunk of that data.
func NewPrefix(data []byte, records Starts) Prefix { return Prefix{data: data, records: records} }

// count returns how many records the chunk has.
func (p *Prefix) count() int64 {
	if p.records == nil {
		return 0
	}
	return int64(p.records.Len())
}

// sum returns the hash of the first n records, 0 for none.
func (p *Prefix) sum(n int64) uint64 {
	if n == 0 || p.data == nil {
		return 0
	}
	end := len(p.data)
	if n < p.count() {
		end = p.records.Start(int(n))
	}
	if p.digest == nil || end < p.hashed {
		p.digest, p.hashed = xxhash.New(), 0
	}
	_, _ = p.digest.Write(p.data[p.hashed:end]) // never fails
	p.hashed = end
	return max(p.digest.Sum64(), 1)
}

// Proves reports whether the input up to place, and the chunk there of which p is, are
// what they were when the lane's mark was set. What is not known proves nothing wrong.
func Proves(lane ledger.Lane, place ledger.Place, p *Prefix) bool {
	switch {
	case lane.Place.Sum == 0 || place.Sum == 0:
		return true
	case lane.Place.Sum != place.Sum || lane.Place.Offset != place.Offset || lane.Mark.Records > p.count():
		return false
	}
	return lane.Within == 0 || lane.Within == p.sum(lane.Mark.Records)
}

// ProofsOf returns the lanes of which something is stored, in the order of their marks.
func ProofsOf(lanes []ledger.Lane) []ledger.Lane {
	proofs := slices.DeleteFunc(slices.Clone(lanes), func(l ledger.Lane) bool { return l.Mark == ledger.Mark{} })
	slices.SortFunc(proofs, func(a, b ledger.Lane) int {
		return cmp.Or(cmp.Compare(a.Mark.Chunk, b.Mark.Chunk), cmp.Compare(a.Mark.Records, b.Mark.Records))
	})
	return proofs
}
