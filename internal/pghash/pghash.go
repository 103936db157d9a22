// Package pghash has PostgreSQL's own hash functions, bit for bit: those by which Citus
// finds a row's shard, and the 64-bit one of which checksums are made. They are
// hash_bytes, hash_bytes_uint32 and their extended forms of src/common/hashfn.c: Bob
// Jenkins' lookup3, reading little-endian as servers on amd64 and arm64 do.
package pghash

import (
	"encoding/binary"
	"math/bits"
)

// Int4 is hashint4, and hashint2: equal values hash alike in all integer types.
func Int4(v int32) int32 {
	s := initial(4)
	_, c := final(s+uint32(v), s, s)
	return int32(c)
}

// Int8 is hashint8, which folds the high half into the low one so that a value that fits
// into four bytes hashes as hashint4 does.
func Int8(v int64) int32 {
	lo, hi := uint32(v), uint32(v>>32)
	if v >= 0 {
		lo ^= hi
	} else {
		lo ^= ^hi
	}
	return Int4(int32(lo))
}

// Bytes is hash_any: hashtext of a text's bytes under any deterministic collation,
// uuid_hash of a uuid's 16 bytes.
func Bytes(k []byte) int32 {
	_, c := final(absorb(k))
	return int32(c)
}

// Text is hashtextextended(text COLLATE "C", 0) of a text with these bytes in the server's
// encoding.
func Text(k []byte) int64 {
	b, c := final(absorb(k))
	return int64(uint64(b)<<32 | uint64(c))
}

// Int4Extended is hashint4extended.
func Int4Extended(v uint32, seed uint64) int64 {
	a := initial(4)
	b, c := a, a
	if seed != 0 {
		a, b, c = mix(a+uint32(seed>>32), b+uint32(seed), c)
	}
	b, c = final(a+v, b, c)
	return int64(uint64(b)<<32 | uint64(c))
}

// initial is the state before any of n bytes, for the seed 0.
func initial(n int) uint32 { return 0x9e3779b9 + uint32(n) + 3923095 }

// absorb returns the state after the bytes of k.
func absorb(k []byte) (a, b, c uint32) {
	a = initial(len(k))
	b, c = a, a
	for len(k) >= 12 {
		a += binary.LittleEndian.Uint32(k)
		b += binary.LittleEndian.Uint32(k[4:])
		c += binary.LittleEndian.Uint32(k[8:])
		a, b, c = mix(a, b, c)
		k = k[12:]
	}
	x, y, z := last(k)
	return a + x, b + y, c + z
}

// last returns what the last 0 to 11 bytes add to the three parts of the state. The
// lowest byte of c is reserved for the length, so that c takes its bytes from the second
// one on.
func last(k []byte) (a, b, c uint32) {
	if len(k) >= 8 {
		for i, x := range k[8:] {
			c |= uint32(x) << (8*i + 8)
		}
		return binary.LittleEndian.Uint32(k), binary.LittleEndian.Uint32(k[4:]), c
	}
	if len(k) >= 4 {
		return binary.LittleEndian.Uint32(k), few(k[4:]), 0
	}
	return few(k), 0, 0
}

// few returns the number that up to 3 bytes make.
func few(k []byte) (n uint32) {
	for i, x := range k {
		n |= uint32(x) << (8 * i)
	}
	return n
}

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

func final(a, b, c uint32) (uint32, uint32) {
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	c = (c ^ b) - bits.RotateLeft32(b, 24)
	return b, c
}
