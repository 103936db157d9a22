package ledger

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// The sum of an input up to a place is a hash of its header and of all chunks before
// the place, in their order. Decoders hash the chunks, each on its own, and whose turn
// it is joins the hashes. So a mark says in which input it is a mark: what is loaded
// later, from there on, is known to follow what was stored. Zero is the sum of what is
// not known. Blocks have none: they are a function of the settings that make them.

// SumOf returns the hash of b, which is not zero.
func SumOf(b []byte) uint64 { return max(xxhash.Sum64(b), 1) }

// Join returns the sum of an input up to a place, given that up to an earlier one and
// the hash of what lies between.
func Join(sum, next uint64) uint64 {
	if sum == 0 || next == 0 {
		return 0
	}
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], sum)
	binary.LittleEndian.PutUint64(b[8:], next)
	return SumOf(b[:])
}
