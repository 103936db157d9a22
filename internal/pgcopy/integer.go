package pgcopy

import "encoding/binary"

// maxDigits is how many decimal digits surely fit into 64 bits. Longer runs are
// out of range or begin with many zeros.
const maxDigits = 19

func int2(dst, v []byte) ([]byte, bool) {
	n, ok := parseInteger(v, 1<<15)
	if !ok {
		return dst, false
	}
	return binary.BigEndian.AppendUint16(append(dst, 0, 0, 0, 2), uint16(n)), true
}

func int4(dst, v []byte) ([]byte, bool) {
	n, ok := parseInteger(v, 1<<31)
	if !ok {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(dst, 4<<32|uint64(uint32(n))), true
}

func int8(dst, v []byte) ([]byte, bool) {
	n, ok := parseInteger(v, 1<<63)
	if !ok {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), n), true
}

// parseInteger returns the two's complement of the decimal number v, which must
// be at least -limit and less than limit. Digits with or without a sign are sure;
// blanks, underscores and other bases are not.
func parseInteger(v []byte, limit uint64) (n uint64, ok bool) {
	if n, ok = parseShort(v); ok {
		return n, n < limit
	}
	negative := false
	if len(v) > 0 && (v[0] == '-' || v[0] == '+') {
		negative = v[0] == '-'
		v = v[1:]
	}
	if len(v) == 0 || len(v) > maxDigits {
		return 0, false
	}
	for _, c := range v {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	if negative {
		return -n, n <= limit
	}
	return n, n < limit
}

// parseShort returns the number that v is if v is one to eight digits, all at once:
// a loop over so few ends where the processor does not expect it. It may read
// behind v, up to its capacity, and needs eight bytes there.
func parseShort(v []byte) (n uint64, ok bool) {
	if uint(len(v)-1) > 7 || cap(v) < 8 {
		return 0, false
	}
	const ones = 0x0101010101010101
	// The last digit is the highest byte; zeros fill the low ones.
	w := binary.LittleEndian.Uint64(v[:8])<<(64-8*len(v)) ^ '0'*ones<<(64-8*len(v))
	if (w|(w+0x76*ones))&(0x80*ones) != 0 {
		return 0, false
	}
	w = w*10 + w>>8 // two digits in every other byte
	const pair = 0xff | 0xff<<32
	return (w&pair*(100+1000000<<32) + w>>16&pair*(1+10000<<32)) >> 32, true
}
