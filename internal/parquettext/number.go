package parquettext

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go/format"
)

func int32Text(dst, v []byte) ([]byte, error) {
	return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(v))), 10), nil
}

func int64Text(dst, v []byte) ([]byte, error) {
	return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(v)), 10), nil
}

func uint32Text(dst, v []byte) ([]byte, error) {
	return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(v)), 10), nil
}

func uint64Text(dst, v []byte) ([]byte, error) {
	return strconv.AppendUint(dst, binary.LittleEndian.Uint64(v), 10), nil
}

// intForm is of integers of that many bits. Narrow ones are stored as int32 with their sign,
// or, of unsigned ones, with zeros above.
func intForm(l *leaf, width int8, signed bool) (form, error) {
	kind := format.Int32
	if width == 64 {
		kind = format.Int64
	}
	switch {
	case width != 8 && width != 16 && width != 32 && width != 64:
		return form{}, fmt.Errorf("column %q: integers of %d bits are unknown", l.path, width)
	case signed && width == 64:
		return l.need(integerForm(int64Text, readInt64), kind)
	case signed:
		return l.need(integerForm(int32Text, readInt32), kind)
	case width == 64:
		return l.need(integerForm(uint64Text, readUint64), kind)
	}
	return l.need(integerForm(uint32Text, readUint32), kind)
}

func floatForm(w writer) form {
	return form{text: w, plain: true, json: func(dst, v []byte) ([]byte, error) {
		start := len(dst)
		dst, err := w(dst, v)
		if c := dst[len(dst)-1]; c == 'N' || c == 'y' { // NaN, Infinity
			dst = append(slices.Insert(dst, start, '"'), '"')
		}
		return dst, err
	}}
}

func float32Text(dst, v []byte) ([]byte, error) {
	return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(v))), 32), nil
}

func float64Text(dst, v []byte) ([]byte, error) {
	return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(v)), 64), nil
}

func float16(dst, v []byte) ([]byte, error) {
	b := binary.LittleEndian.Uint16(v)
	exponent, fraction := int(b>>10&0x1f), float64(b&0x3ff)
	f := 0.0
	switch {
	case exponent == 0x1f && fraction != 0:
		f = math.NaN()
	case exponent == 0x1f:
		f = math.Inf(1)
	case exponent == 0:
		f = math.Ldexp(fraction, -24)
	default:
		f = math.Ldexp(1024+fraction, exponent-25)
	}
	if b>>15 != 0 {
		f = -f
	}
	return appendFloat(dst, f, 32), nil
}

// appendFloat appends the shortest text that means f, as PostgreSQL chooses between the two
// ways to write it.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0:
		if math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(dst, '0')
	}
	limit := 15
	if bits == 32 {
		limit = 6
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	e := len(dst) - 1
	for dst[e] != 'e' {
		e--
	}
	if exponent, _ := strconv.Atoi(string(dst[e+1:])); exponent >= -4 && exponent < limit {
		dst = strconv.AppendFloat(dst[:start], f, 'f', -1, bits)
	}
	return dst
}

// maxScale is as many digits after the point as a numeric of PostgreSQL can have.
const maxScale = 16383

func decimalForm(l *leaf, scale, precision int32) (form, error) {
	if scale < 0 || scale > maxScale || precision < 1 || scale > precision {
		return form{}, fmt.Errorf("column %q: decimals of %d digits, %d of them after the point, are not read", l.path, precision, scale)
	}
	n := int(scale)
	switch l.kind {
	case format.Int32:
		return numberForm(func(dst, v []byte) ([]byte, error) {
			return appendDecimal(dst, int64(int32(binary.LittleEndian.Uint32(v))), n), nil
		}), nil
	case format.Int64:
		return numberForm(func(dst, v []byte) ([]byte, error) {
			return appendDecimal(dst, int64(binary.LittleEndian.Uint64(v)), n), nil
		}), nil
	case format.ByteArray, format.FixedLenByteArray:
		return numberForm(func(dst, v []byte) ([]byte, error) { return appendBigDecimal(dst, v, n), nil }), nil
	}
	return l.need(form{}, format.ByteArray)
}

func appendDecimal(dst []byte, v int64, scale int) []byte {
	u := uint64(v)
	if v < 0 {
		dst, u = append(dst, '-'), -u
	}
	start := len(dst)
	return point(strconv.AppendUint(dst, u, 10), start, scale)
}

// point puts the point into the digits from start on, that many digits from their end.
func point(dst []byte, start, scale int) []byte {
	if scale == 0 {
		return dst
	}
	for len(dst)-start <= scale {
		dst = slices.Insert(dst, start, '0')
	}
	return slices.Insert(dst, len(dst)-scale, '.')
}

// appendBigDecimal appends the number with the two's complement v, big-endian.
func appendBigDecimal(dst, v []byte, scale int) []byte {
	for len(v) > 8 && (v[0] == 0 && v[1] < 0x80 || v[0] == 0xff && v[1] >= 0x80) {
		v = v[1:]
	}
	if len(v) <= 8 {
		var n int64
		if len(v) > 0 {
			n = int64(int8(v[0])) >> 7 // its sign
		}
		for _, c := range v {
			n = n<<8 | int64(c)
		}
		return appendDecimal(dst, n, scale)
	}
	negative := v[0] >= 0x80
	if negative {
		dst = append(dst, '-')
	}
	start := len(dst)
	if len(v) <= 16 {
		hi, lo := wide(v, negative)
		return point(appendWide(dst, hi, lo), start, scale)
	}
	n := new(big.Int).SetBytes(v)
	if negative {
		n.Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*len(v))), n)
	}
	return point(n.Append(dst, 10), start, scale)
}

// wide returns the absolute value of a number of 9 to 16 bytes.
func wide(v []byte, negative bool) (hi, lo uint64) {
	if negative {
		hi = math.MaxUint64
	}
	for _, c := range v[:len(v)-8] {
		hi = hi<<8 | uint64(c)
	}
	lo = binary.BigEndian.Uint64(v[len(v)-8:])
	if negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return hi, lo
}

// ten19 is the largest power of ten that has a place in 64 bits.
const ten19 = 10_000_000_000_000_000_000

// appendWide appends a number of 128 bits.
func appendWide(dst []byte, hi, lo uint64) []byte {
	high, rest := bits.Div64(0, hi, ten19)
	low, last := bits.Div64(rest, lo, ten19)
	if high == 0 && low == 0 {
		return strconv.AppendUint(dst, last, 10)
	}
	dst = appendWide(dst, high, low)
	end := len(dst)
	dst = strconv.AppendUint(dst, last, 10)
	for len(dst)-end < 19 {
		dst = slices.Insert(dst, end, '0')
	}
	return dst
}
