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
