package pgtext

import (
	"bytes"
	"unicode/utf8"
)

// Text returns the Form of types that keep a text as it is: text, the labels of an
// enum.
func Text(o Options) Form {
	if o.UTF8 {
		return func(v, _ []byte) ([]byte, bool) { return v, true }
	}
	return func(v, _ []byte) ([]byte, bool) { return v, isASCII(v) }
}

// varchar returns the Form of varchar: beyond its length there may only be blanks,
// which are cut off.
func varchar(typmod int32, o Options) Form {
	if typmod < 4 {
		return Text(o)
	}
	limit := int(typmod - 4)
	return func(v, _ []byte) ([]byte, bool) {
		if !o.UTF8 && !isASCII(v) {
			return nil, false
		}
		if len(v) > limit {
			if n := prefix(v, limit); len(bytes.TrimRight(v[n:], " ")) == 0 {
				v = v[:n]
			}
		}
		return v, true
	}
}

// prefix returns the length of v's first n characters in bytes.
func prefix(v []byte, n int) int {
	at := 0
	for range n {
		if at == len(v) {
			break
		}
		_, size := utf8.DecodeRune(v[at:])
		at += size
	}
	return at
}

// bpchar returns the Form of char(n): as text it has no blanks at its end.
func bpchar(o Options) Form {
	return func(v, _ []byte) ([]byte, bool) {
		return bytes.TrimRight(v, " "), o.UTF8 || isASCII(v)
	}
}

func isASCII(v []byte) bool {
	for _, c := range v {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// bytea is sure of hexadecimal digits as the server writes them.
func bytea(v, _ []byte) ([]byte, bool) {
	if len(v)%2 != 0 || len(v) < 2 || v[0] != '\\' || v[1] != 'x' {
		return nil, false
	}
	for _, c := range v[2:] {
		if c-'0' > 9 && c-'a' > 5 {
			return nil, false
		}
	}
	return v, true
}

// uuid is sure of the standard form, 8-4-4-4-12 hexadecimal digits, small or
// capital.
func uuid(v, scratch []byte) ([]byte, bool) {
	if len(v) != 36 {
		return nil, false
	}
	capital := false
	for i, c := range v {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return nil, false
			}
		case c-'0' <= 9 || c-'a' <= 5:
		case c-'A' <= 5:
			capital = true
		default:
			return nil, false
		}
	}
	if !capital {
		return v, true
	}
	text := append(scratch[:0], v...)
	for i, c := range text {
		if c-'A' <= 5 {
			text[i] = c + 'a' - 'A'
		}
	}
	return text, true
}
