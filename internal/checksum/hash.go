package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Text is PostgreSQL's hashtextextended(text COLLATE "C", 0) of a text with these
// bytes in the server's encoding: hash_bytes_extended of src/common/hashfn.c, Bob
// Jenkins' lookup3, reading little-endian as servers on amd64 and arm64 do.
func Text(k []byte) int64 {
	a := initial(len(k))
	b, c := a, a
	for len(k) >= 12 {
		a += binary.LittleEndian.Uint32(k)
		b += binary.LittleEndian.Uint32(k[4:])
		c += binary.LittleEndian.Uint32(k[8:])
		a, b, c = mix(a, b, c)
		k = k[12:]
	}
	x, y, z := last(k)
	return final(a+x, b+y, c+z)
}

// last returns what the last 0 to 11 bytes add to the three halves. The lowest
// byte of c is reserved for the length, so that c takes its bytes from the second
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

// hashInt4Extended is PostgreSQL's hashint4extended.
func hashInt4Extended(v uint32, seed uint64) int64 {
	a := initial(4)
	b, c := a, a
	if seed != 0 {
		a, b, c = mix(a+uint32(seed>>32), b+uint32(seed), c)
	}
	return final(a+v, b, c)
}

// initial is the state before any of n bytes, for the seed 0.
func initial(n int) uint32 { return 0x9e3779b9 + uint32(n) + 3923095 }

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

func final(a, b, c uint32) int64 {
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	c = (c ^ b) - bits.RotateLeft32(b, 24)
	return int64(uint64(b)<<32 | uint64(c))
}
