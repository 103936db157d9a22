package pgcopy

import "encoding/hex"

// bytea takes the hexadecimal form alone, without blanks.
func bytea(dst, v []byte) ([]byte, bool) {
	if len(v) < 2 || v[0] != '\\' || v[1] != 'x' || len(v)%2 != 0 || len(v) > maxValue {
		return dst, false
	}
	return appendHex(appendLen(dst, len(v)/2-1), len(dst), v[2:])
}

// Lengths of a uuid: its bytes, and its standard form in characters.
const uuidLen, uuidDashed = 16, 36

// uuid takes the standard form, and the one without any dash.
func uuid(dst, v []byte) ([]byte, bool) {
	var digits [2 * uuidLen]byte
	switch {
	case len(v) == len(digits):
		copy(digits[:], v)
	case len(v) == uuidDashed && v[8] == '-' && v[13] == '-' && v[18] == '-' && v[23] == '-':
		copy(digits[:8], v)
		copy(digits[8:12], v[9:])
		copy(digits[12:16], v[14:])
		copy(digits[16:20], v[19:])
		copy(digits[20:], v[24:])
	default:
		return dst, false
	}
	return appendHex(append(dst, 0, 0, 0, uuidLen), len(dst), digits[:])
}

// appendHex appends the bytes that digits stand for, or cuts dst back to n bytes
// if they are no digits.
func appendHex(dst []byte, n int, digits []byte) ([]byte, bool) {
	dst, err := hex.AppendDecode(dst, digits)
	if err != nil {
		return dst[:n], false
	}
	return dst, true
}
