package parquettext

import (
	"encoding/binary"
	"errors"
)

// errPacked says that packed numbers are cut short or are not what the page says.
var errPacked = errors.New("has packed numbers that cannot be read")

// An unpacker reads numbers in Parquet's hybrid of runs and packed bits. It writes as many
// as it is asked for, however long a run claims to be.
type unpacker struct {
	src    []byte
	width  uint
	run    int    // numbers left of the run
	value  uint32 // of each of a run of equal ones
	packed []byte // of a run of packed ones, nil if they are equal
	bit    uint   // of the next one in packed
}

// next begins the next run.
func (u *unpacker) next() error {
	head, n := binary.Uvarint(u.src)
	if n <= 0 || head>>1 == 0 || head > 1<<32 {
		return errPacked
	}
	u.src = u.src[n:]
	if head&1 == 0 {
		size := int(u.width+7) / 8
		if size > len(u.src) {
			return errPacked
		}
		u.value = 0
		for i := range size {
			u.value |= uint32(u.src[i]) << (8 * i)
		}
		if u.width < 32 && u.value>>u.width != 0 {
			return errPacked
		}
		u.run, u.packed, u.src = int(head>>1), nil, u.src[size:]
		return nil
	}
	groups := int(head >> 1)
	size := min(groups*int(u.width), len(u.src)) // writers cut the last group short
	if u.width == 0 {
		u.run, u.packed, u.value = groups*8, nil, 0
		return nil
	}
	u.run, u.packed, u.bit = min(groups*8, size*8/int(u.width)), u.src[:size], 0
	u.src = u.src[size:]
	if u.run == 0 {
		return errPacked
	}
	return nil
}

// unpack appends n numbers to dst.
func unpack[T uint8 | uint32](dst []T, n int, u *unpacker) ([]T, error) {
	for n > 0 {
		if u.run == 0 {
			if err := u.next(); err != nil {
				return dst, err
			}
		}
		now := min(n, u.run)
		n, u.run = n-now, u.run-now
		if u.packed == nil {
			v := T(u.value)
			for range now {
				dst = append(dst, v)
			}
			continue
		}
		dst = unpackBits(dst, now, u)
	}
	return dst, nil
}

// unpackBits appends n numbers of the packed run, which are there.
func unpackBits[T uint8 | uint32](dst []T, n int, u *unpacker) []T {
	mask := uint64(1)<<u.width - 1
	bit := u.bit
	for ; n > 0 && int(bit/8)+8 <= len(u.packed); n-- {
		dst = append(dst, T(binary.LittleEndian.Uint64(u.packed[bit/8:])>>(bit%8)&mask))
		bit += u.width
	}
	for ; n > 0; n-- {
		var last [8]byte
		copy(last[:], u.packed[bit/8:])
		dst = append(dst, T(binary.LittleEndian.Uint64(last[:])>>(bit%8)&mask))
		bit += u.width
	}
	u.bit = bit
	return dst
}

// maxDeltaBlock is the longest block of deltas that is believed, in numbers.
const maxDeltaBlock = 1 << 16

// readDeltas returns the n numbers that DELTA_BINARY_PACKED begins b with, and
// what follows them.
func readDeltas(b []byte, n int) (dst []int64, rest []byte, err error) {
	var head [3]uint64
	for i := range head {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return dst, b, errPacked
		}
		head[i], b = v, b[size:]
	}
	block, minis := head[0], head[1]
	first, size := binary.Varint(b)
	if size <= 0 || block == 0 || block > maxDeltaBlock || minis == 0 || block%minis != 0 || block/minis%8 != 0 || head[2] != uint64(n) {
		return dst, b, errPacked
	}
	b = b[size:]
	if n == 0 {
		return dst, b, nil
	}
	dst = append(dst, first)
	last, each := first, int(block/minis)
	for n--; n > 0; {
		least, size := binary.Varint(b)
		if size <= 0 || uint64(len(b)-size) < minis {
			return dst, b, errPacked
		}
		widths := b[size : size+int(minis)]
		b = b[size+int(minis):]
		for _, width := range widths {
			if n == 0 {
				break
			}
			length := each / 8 * int(width)
			if width > 64 || length > len(b) {
				return dst, b, errPacked
			}
			now := min(n, each)
			for i := range now {
				last += least + int64(bitsAt(b[:length], uint(i)*uint(width), uint(width)))
				dst = append(dst, last)
			}
			n -= now
			b = b[length:]
		}
	}
	return dst, b, nil
}

// bitsAt returns the number of width bits, at most 64, that stands at that bit of b.
func bitsAt(b []byte, bit, width uint) uint64 {
	if width == 0 {
		return 0
	}
	var v uint64
	at, shift := int(bit/8), bit%8
	if at+8 <= len(b) {
		v = binary.LittleEndian.Uint64(b[at:]) >> shift
	} else {
		var last [8]byte
		copy(last[:], b[at:])
		v = binary.LittleEndian.Uint64(last[:]) >> shift
	}
	if shift+width > 64 {
		v |= uint64(b[at+8]) << (64 - shift)
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}
