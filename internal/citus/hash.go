package citus

import (
	"encoding/binary"
	"math/bits"
)

// HashInt2 is PostgreSQL's hashint2. Equal values hash alike in all integer
// types.
func HashInt2(v int16) int32 { return HashInt4(int32(v)) }

// HashInt4 is PostgreSQL's hashint4: hash_bytes_uint32 of src/common/hashfn.c.
func HashInt4(v int32) int32 {
	a := hashInit(4) + uint32(v)
	return int32(final(a, hashInit(4), hashInit(4)))
}

// HashInt8 is PostgreSQL's hashint8, which folds the high half into the low one
// so that a value that fits into four bytes hashes as hashint4 does.
func HashInt8(v int64) int32 {
	lo, hi := uint32(v), uint32(v>>32)
	if v >= 0 {
		lo ^= hi
	} else {
		lo ^= ^hi
	}
	return HashInt4(int32(lo))
}

// HashBytes is PostgreSQL's hash_any: hashtext of a text's bytes under any
// deterministic collation, uuid_hash of a uuid's 16 bytes. It is Bob Jenkins'
// lookup3, reading little-endian as servers on amd64 and arm64 do.
func HashBytes(k []byte) int32 {
	a := hashInit(len(k))
	b, c := a, a
	for len(k) >= 12 {
		a += binary.LittleEndian.Uint32(k)
		b += binary.LittleEndian.Uint32(k[4:])
		c += binary.LittleEndian.Uint32(k[8:])
		a, b, c = mix(a, b, c)
		k = k[12:]
	}
	// The last 0 to 11 bytes. The lowest byte of c is reserved for the length,
	// so that c takes its bytes from the second one on.
	for i, x := range k {
		switch {
		case i < 4:
			a += uint32(x) << (8 * i)
		case i < 8:
			b += uint32(x) << (8 * (i - 4))
		default:
			c += uint32(x) << (8 * (i - 7))
		}
	}
	return int32(final(a, b, c))
}

// hashInit is the state before any of n bytes.
func hashInit(n int) uint32 { return 0x9e3779b9 + uint32(n) + 3923095 }

func mix(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - c) ^ bits.RotateLeft32(c, 4)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 6)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 8)
	b += a
	a = (a - c) ^ bits.RotateLeft32(c, 16)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 19)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func final(a, b, c uint32) uint32 {
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	c = (c ^ b) - bits.RotateLeft32(b, 24)
	return c
}
