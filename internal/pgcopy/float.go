package pgcopy

import (
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"
)

// The smallest numbers of full precision. Below them C libraries differ in what
// they call an underflow, which the server refuses.
const (
	minFloat4 = 0x1p-126
	minFloat8 = 0x1p-1022
)

func float4(dst, v []byte) ([]byte, bool) {
	f, ok := parseFloat(v, 32, minFloat4)
	if !ok {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(dst, 4<<32|uint64(math.Float32bits(float32(f)))), true
}

func float8(dst, v []byte) ([]byte, bool) {
	f, ok := parseFloat(v, 64, minFloat8)
	if !ok {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), math.Float64bits(f)), true
}

// parseFloat returns the number of that size nearest to the decimal number v, as
// the server's strtod does. What rounds to infinity or below smallest is not sure.
func parseFloat(v []byte, bits int, smallest float64) (float64, bool) {
	zero, ok := scanFloat(v)
	if !ok {
		return 0, false
	}
	// The string does not outlive the call, so it may share v's bytes.
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(v), len(v)), bits) // #nosec G103 -- see above
	if err != nil || math.Abs(f) < smallest && !zero {
		return 0, false
	}
	return f, true
}

// scanFloat reports whether v is a plain decimal number, and whether all its
// digits before the exponent are zeros. ParseFloat takes more than that:
// underscores, hexadecimal digits, names.
func scanFloat(v []byte) (zero, ok bool) {
	i := 0
	if len(v) > 0 && (v[0] == '-' || v[0] == '+') {
		i++
	}
	zero = true
	digits, point := 0, false
	for ; i < len(v); i++ {
		switch c := v[i]; {
		case c-'0' <= 9:
			digits++
			zero = zero && c == '0'
		case c == '.' && !point:
			point = true
		case c|0x20 == 'e' && digits > 0:
			return zero, isExponent(v[i+1:])
		default:
			return false, false
		}
	}
	return zero, digits > 0
}

// isExponent reports whether v is a short integer.
func isExponent(v []byte) bool {
	_, ok := parseInteger(v, 1<<15)
	return ok
}
