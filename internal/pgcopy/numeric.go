package pgcopy

import "encoding/binary"

// maxNumericDigits is the longest numeric taken here, well below any limit of
// the server's.
const maxNumericDigits = 1000

// A numericType is numeric(precision, scale) as far as it limits the digits
// before the point.
type numericType struct {
	limited          bool
	precision, scale int
}

// numericOf returns the encoder of numeric, which takes digits with or without a
// sign and a fraction. It leaves to the server what may not fit the type;
// rounding to the type's scale the server does in either format.
func numericOf(typmod int32) Encoder {
	var t numericType
	if typmod >= typmodOffset {
		// The scale has 11 bits and a sign.
		m := int(typmod - typmodOffset)
		t = numericType{limited: true, precision: m >> 16, scale: (m&0x7ff ^ 0x400) - 0x400}
	}
	return t.encode
}

func (t numericType) encode(dst, v []byte) ([]byte, bool) {
	negative := false
	if len(v) > 0 && (v[0] == '-' || v[0] == '+') {
		negative = v[0] == '-'
		v = v[1:]
	}
	whole, fraction, ok := cutNumber(v)
	if !ok || !t.fits(len(whole), len(fraction)) {
		return dst, false
	}
	return appendNumeric(dst, negative, whole, fraction), true
}

// fits reports whether a number with that many digits before and behind the
// point is surely in range, even if rounding carries.
func (t numericType) fits(whole, fraction int) bool {
	room := t.precision - t.scale
	return !t.limited || whole < room || whole == room && fraction <= t.scale
}

// cutNumber splits digits[.digits] at its point, without leading zeros.
func cutNumber(v []byte) (whole, fraction []byte, ok bool) {
	if len(v) > maxNumericDigits {
		return nil, nil, false
	}
	n := countDigits(v)
	whole, v = v[:n], v[n:]
	if n == 0 {
		return nil, nil, false
	}
	if len(v) > 0 {
		fraction = v[1:]
		if v[0] != '.' || len(fraction) == 0 || countDigits(fraction) != len(fraction) {
			return nil, nil, false
		}
	}
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	return whole, fraction, true
}

func countDigits(v []byte) int {
	n := 0
	for n < len(v) && v[n]-'0' <= 9 {
		n++
	}
	return n
}

// appendNumeric appends the field: the number of base-10000 digits, the weight of
// the first, the sign, the number of decimal digits behind the point, and the
// digits without zeros at either end.
func appendNumeric(dst []byte, negative bool, whole, fraction []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, 12)...)
	digits, weight := len(dst), (len(whole)+3)/4-1
	for group := weight; group >= -(len(fraction)+3)/4; group-- {
		d := base10000(whole, fraction, group)
		if d == 0 && len(dst) == digits {
			weight--
			continue
		}
		dst = binary.BigEndian.AppendUint16(dst, d)
	}
	for len(dst) > digits && dst[len(dst)-1] == 0 && dst[len(dst)-2] == 0 {
		dst = dst[:len(dst)-2]
	}
	head := dst[start+4 : digits]
	if len(dst) > digits {
		binary.BigEndian.PutUint16(head, uint16((len(dst)-digits)/2))
		binary.BigEndian.PutUint16(head[2:], uint16(weight))
		if negative {
			head[4] = 0x40
		}
	}
	binary.BigEndian.PutUint16(head[6:], uint16(len(fraction)))
	putLen(dst, start)
	return dst
}

// base10000 returns the digit of weight 10000^group.
func base10000(whole, fraction []byte, group int) (d uint16) {
	for exponent := 4*group + 3; exponent >= 4*group; exponent-- {
		d *= 10
		if at := len(whole) - 1 - exponent; exponent >= 0 && at >= 0 {
			d += uint16(whole[at] - '0')
		} else if at := -1 - exponent; exponent < 0 && at < len(fraction) {
			d += uint16(fraction[at] - '0')
		}
	}
	return d
}
