package pgtext

import "bytes"

// integer returns the Form of an integer type. limit is the magnitude of its
// lowest value.
func integer(limit string) Form {
	return func(v, _ []byte) ([]byte, bool) {
		digits := v
		if len(v) > 0 && v[0] == '-' {
			digits = v[1:]
		}
		if !isWhole(digits) || digits[0] == '0' && len(v) > 1 || len(digits) > len(limit) {
			return nil, false
		}
		if len(digits) < len(limit) {
			return v, true
		}
		// As many digits as the lowest value has: the texts compare as the numbers.
		order := bytes.Compare(digits, []byte(limit))
		return v, order < 0 || order == 0 && len(digits) < len(v)
	}
}

// isWhole reports whether v is digits and nothing else, and at least one.
func isWhole(v []byte) bool {
	for _, c := range v {
		if c-'0' > 9 {
			return false
		}
	}
	return len(v) > 0
}

// A decimal is a number without an exponent: the digits before the point, without
// needless zeros, and those behind it.
type decimal struct {
	negative        bool
	whole, fraction []byte
}

// parseDecimal takes apart 0, -1, 1.50 and the like. A point has digits on both
// sides.
func parseDecimal(v []byte) (d decimal, ok bool) {
	d.whole = v
	if len(v) > 0 && v[0] == '-' {
		d.negative, d.whole = true, v[1:]
	}
	if i := bytes.IndexByte(d.whole, '.'); i >= 0 {
		d.whole, d.fraction = d.whole[:i], d.whole[i+1:]
		if !isWhole(d.fraction) {
			return d, false
		}
	}
	return d, isWhole(d.whole) && (len(d.whole) == 1 || d.whole[0] != '0')
}

// isZero reports whether all digits are zeros.
func (d decimal) isZero() bool {
	return len(bytes.Trim(d.whole, "0")) == 0 && len(bytes.Trim(d.fraction, "0")) == 0
}

// float returns the Form of a binary floating-point type of which any number of so
// many decimal digits can be told from its neighbours, so that the server writes
// the same digits again, and which writes numbers of at most so many digits before
// the point without an exponent.
func float(precision, fixed int) Form {
	return func(v, _ []byte) ([]byte, bool) {
		d, ok := parseDecimal(v)
		if !ok || len(d.whole) > fixed || d.isZero() && len(v) > 1 {
			return nil, false
		}
		if n := len(d.fraction); n > 0 && d.fraction[n-1] == '0' {
			return nil, false
		}
		digits := len(d.whole) + len(d.fraction)
		if d.whole[0] == '0' {
			zeros := len(d.fraction) - len(bytes.TrimLeft(d.fraction, "0"))
			digits -= 1 + zeros
			if zeros >= 4 {
				return nil, false // below 0.0001 there is an exponent
			}
		}
		return v, digits <= precision
	}
}

// maxNumeric is the longest numeric, in bytes, of which numeric is sure.
const maxNumeric = 1000

// numeric returns the Form of numeric with that type modifier.
func numeric(typmod int32) Form {
	if typmod < 4 {
		return func(v, _ []byte) ([]byte, bool) {
			d, ok := parseDecimal(v)
			return v, ok && len(v) <= maxNumeric && !(d.negative && d.isZero())
		}
	}
	precision := int(typmod-4) >> 16 & 0xffff
	scale := (int(typmod-4)&0x7ff ^ 1024) - 1024
	return func(v, scratch []byte) ([]byte, bool) {
		d, ok := parseDecimal(v)
		if !ok || scale < 0 || scale > precision || len(d.fraction) > scale || d.negative && d.isZero() {
			return nil, false
		}
		if d.whole[0] != '0' && len(d.whole) > precision-scale {
			return nil, false
		}
		if len(d.fraction) == scale {
			return v, true
		}
		text := append(scratch[:0], v...)
		if len(d.fraction) == 0 {
			text = append(text, '.')
		}
		for range scale - len(d.fraction) {
			text = append(text, '0')
		}
		return text, true
	}
}

func boolean(v, scratch []byte) ([]byte, bool) {
	switch string(v) {
	case "t", "true", "1", "y", "yes", "on", "T", "TRUE", "True":
		return append(scratch[:0], "true"...), true
	case "f", "false", "0", "n", "no", "off", "F", "FALSE", "False":
		return append(scratch[:0], "false"...), true
	}
	return nil, false
}
