package pgcopy

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// textOf returns the encoder of text: the bytes themselves.
func textOf(opts Options) Encoder {
	if !opts.UTF8 {
		return asciiText
	}
	return utf8Text
}

func asciiText(dst, v []byte) ([]byte, bool) {
	if asciiPrefix(v) != len(v) || len(v) > maxValue {
		return dst, false
	}
	return append(appendLen(dst, len(v)), v...), true
}

func utf8Text(dst, v []byte) ([]byte, bool) {
	if !isText(v, true) {
		return dst, false
	}
	return append(appendLen(dst, len(v)), v...), true
}

// varcharOf returns the encoder of varchar. A longer value than the type takes
// is not sure: the server refuses it, unless only blanks are too many.
func varcharOf(typmod int32, opts Options) Encoder {
	text := textOf(opts)
	if typmod < typmodOffset {
		return text
	}
	limit := int(typmod - typmodOffset)
	return func(dst, v []byte) ([]byte, bool) {
		if len(v) > limit && utf8.RuneCount(v) > limit {
			return dst, false
		}
		return text(dst, v)
	}
}

// typmodOffset is what the server adds to the length in a type modifier.
const typmodOffset = 4

// jsonOf returns the encoder of json: text that the server parses.
func jsonOf(opts Options) Encoder {
	text := textOf(opts)
	return func(dst, v []byte) ([]byte, bool) {
		if len(v) == 0 {
			return dst, false
		}
		return text(dst, v)
	}
}

// jsonbOf returns the encoder of jsonb: a version, then text that the server
// parses.
func jsonbOf(opts Options) Encoder {
	return func(dst, v []byte) ([]byte, bool) {
		if len(v) == 0 || !isText(v, opts.UTF8) {
			return dst, false
		}
		dst = append(appendLen(dst, 1+len(v)), 1)
		return append(dst, v...), true
	}
}

// isText reports whether v is text that any server takes: no zero byte, valid
// UTF-8 where that is what the server expects, else nothing but ASCII.
func isText(v []byte, isUTF8 bool) bool {
	if len(v) > maxValue {
		return false
	}
	n := asciiPrefix(v)
	if n == len(v) {
		return true
	}
	v = v[n:]
	return isUTF8 && utf8.Valid(v) && bytes.IndexByte(v, 0) < 0
}

// asciiPrefix returns how many bytes at the head of v are ASCII and not zero. It
// may fall short by up to seven if not all of v is.
func asciiPrefix(v []byte) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(v); i += 8 {
		// Without high bits in w, w-ones has one exactly where a byte is zero, or
		// follows such a byte.
		w := binary.LittleEndian.Uint64(v[i:])
		if (w|(w-ones))&high != 0 {
			return i
		}
	}
	if i == len(v) {
		return i
	}
	if cap(v)-i >= 8 { // what lies behind v may be read
		mine := uint64(1)<<(8*(len(v)-i)) - 1
		w := binary.LittleEndian.Uint64(v[i:i+8])&mine | ones&^mine
		if (w|(w-ones))&high != 0 {
			return i
		}
		return len(v)
	}
	for ; i < len(v); i++ {
		if v[i]-1 >= 0x7f {
			return i
		}
	}
	return i
}
