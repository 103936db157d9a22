package infer

import (
	"bytes"
	"net/netip"
	"strconv"
)

// isFloat reports whether v is a number that programs write of floating-point values: with
// an exponent that has a sign, or a point before it; or without digits before the point; or
// a negative zero. 12E4 may be anything.
func isFloat(v []byte) bool {
	v = bytes.TrimPrefix(v, []byte("-"))
	mantissa, exponent, scientific := v, []byte(nil), false
	if i := bytes.IndexAny(v, "eE"); i >= 0 {
		mantissa, exponent, scientific = v[:i], v[i+1:], true
	}
	whole, fraction, point := bytes.Cut(mantissa, []byte("."))
	if !isDigits(whole) || !isDigits(fraction) || point && len(fraction) == 0 || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if !scientific {
		return point && len(whole) == 0 || isZero(mantissa)
	}
	digits := bytes.TrimLeft(exponent, "+-")
	signed := len(exponent) - len(digits)
	return len(whole) > 0 && signed <= 1 && len(digits) > 0 && isDigits(digits) && (point || signed == 1)
}

func isDigits(v []byte) bool {
	for _, c := range v {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

func isZero(mantissa []byte) bool { return len(mantissa) > 0 && len(bytes.Trim(mantissa, "0.")) == 0 }

// longestNumber is the length in bytes beyond which pgcopy and pgtext are not sure of a number.
const longestNumber = 1000

// surelyKept is how many decimal digits double precision gives back of any number whose
// magnitude is ordinary.
const surelyKept = 15

// survives reports whether double precision, printed with as many digits as tell it from
// its neighbours, is the same number as v.
func survives(v []byte) bool {
	if len(v) <= surelyKept && !bytes.ContainsAny(v, "eE") {
		return true
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return false
	}
	var text, ours, theirs [longestNumber + 8]byte
	want, wantPower := significand(v, ours[:0])
	got, gotPower := significand(strconv.AppendFloat(text[:0], f, 'e', -1, 64), theirs[:0])
	return string(want) == string(got) && wantPower == gotPower
}

// significand appends the digits of a number, without zeros at either end, to dst, and
// returns the power of ten of the last one. The number is one by isFloat, or plain.
func significand(v, dst []byte) (digits []byte, power int) {
	v = bytes.TrimPrefix(v, []byte("-"))
	if i := bytes.IndexAny(v, "eE"); i >= 0 {
		power, _ = strconv.Atoi(string(v[i+1:])) // ParseFloat has taken it
		v = v[:i]
	}
	whole, fraction, _ := bytes.Cut(v, []byte("."))
	power -= len(fraction)
	digits = bytes.TrimLeft(append(append(dst, whole...), fraction...), "0")
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits, power = digits[:len(digits)-1], power+1
	}
	if len(digits) == 0 {
		power = 0
	}
	return digits, power
}

// isInet reports whether v is an address as the server prints it: without a mask, and in
// its shortest form.
func isInet(v []byte) bool {
	const longest = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
	if len(v) > longest || bytes.IndexByte(v, '.') < 0 && bytes.Count(v, []byte(":")) < 2 {
		return false
	}
	a, err := netip.ParseAddr(string(v))
	return err == nil && a.Zone() == "" && !a.Is4In6() && a.String() == string(v)
}
