package generate

import "math/bits"

// golden is 2^64 divided by the golden section: the step of SplitMix64, and odd.
const golden = 0x9E3779B97F4A7C15

// mix is SplitMix64's finalizer: each bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// cells is how many random numbers a row has. It is a part of the law.
const cells = 8

// seeds are those of the tables.
type seeds [kinds]uint64

// cell returns the n-th random number of a row: SplitMix64's sequence for the
// table's seed, of which each row of the sorted table owns eight in a row.
func (s *seeds) cell(k kind, row int64, n uint64) uint64 {
	return mix(s[k] + (uint64(row)*cells+n)*golden)
}

// A dice is a random number that is used up bit by bit from the top.
type dice uint64

// roll returns a number below n, from the next 16 bits. It may be called four
// times.
func (d *dice) roll(n int) int {
	v := uint64(*d>>48) * uint64(n) >> 16
	*d <<= 16
	return int(v)
}

// below returns a number below n, from all bits of a random number.
func below(random uint64, n int64) int64 {
	hi, _ := bits.Mul64(random, uint64(n))
	return int64(hi)
}
