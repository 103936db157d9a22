package pgjson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The record as COPY's text format has it: tabs between fields, \N for NULL.
const (
	delimiter = '\t'
	nullMark  = `\N`
)

// AppendRow appends the record on which the Scanner stands as a record of COPY's text
// format, with its line feed. Of a record at fault it appends nothing and returns what is
// wrong, an *Error where a column is known.
func (s *Scanner) AppendRow(dst []byte) ([]byte, error) {
	if s.err != nil {
		return dst, s.err
	}
	start := len(dst)
	for i := range s.values {
		v := &s.values[i]
		if i > 0 {
			dst = append(dst, delimiter)
		}
		if s.asIs[i]>>v.kind&1 > 0 {
			dst = append(dst, s.chunk[v.start:v.end]...)
			continue
		}
		var err error
		switch {
		case s.fields[i].Kind == Record:
			dst = appendCopy(dst, s.chunk[s.object.start:s.object.end])
		case v.kind <= null:
			dst = append(dst, nullMark...)
		case s.fields[i].Kind == JSON:
			dst = appendCopy(dst, s.written(v))
		case v.kind == verbatim && s.fields[i].Kind == List:
			err = wrongFor("an array", s.chunk[v.start])
		case v.kind == escaped:
			dst, err = appendString(dst, s.chunk[v.start:v.end], true)
		default:
			dst, err = s.appendNested(dst, &s.fields[i], v)
		}
		if err != nil {
			return dst[:start], &Error{Column: s.fields[i].Name, Err: err}
		}
	}
	return append(dst, '\n'), nil
}

// written returns v as it is written, a string with its quotes.
func (s *Scanner) written(v *value) []byte {
	if v.kind == plain || v.kind == escaped {
		return s.chunk[v.start-1 : v.end+1]
	}
	return s.chunk[v.start:v.end]
}

// appendNested appends an object or array that is the value of f.
func (s *Scanner) appendNested(dst []byte, f *Field, v *value) ([]byte, error) {
	switch raw := s.chunk[v.start:v.end]; {
	case f.Kind == Text:
		return appendCopy(dst, raw), nil
	case f.Kind == List && v.kind == array:
		l := list{b: raw, element: f.Element, delimiter: f.Delimiter}
		return l.append(dst)
	case f.Kind == List:
		return dst, wrongFor("an array", '{')
	}
	return dst, fmt.Errorf("its value is %s, and its type is neither json nor jsonb", nameOf(s.chunk[v.start]))
}

// wrongFor is of a value that begins with c where another one should be.
func wrongFor(want string, c byte) error {
	return fmt.Errorf("its value is %s, want %s", nameOf(c), want)
}

// nameOf says what a value is that begins with c.
func nameOf(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// appendCopy appends raw as a field of COPY's text format.
func appendCopy(dst, raw []byte) []byte {
	for {
		i := specialAt(raw)
		dst = append(dst, raw[:i]...)
		if i == len(raw) {
			return dst
		}
		dst = appendByte(dst, raw[i])
		raw = raw[i+1:]
	}
}

// specialAt returns where the first backslash or control character of b stands; len(b) if it
// has none.
func specialAt(b []byte) int {
	p := 0
	for ; p+8 <= len(b); p += 8 {
		w := binary.LittleEndian.Uint64(b[p:])
		backslash := w ^ ones*'\\'
		if m := ((backslash-ones)&^backslash | (w-ones*0x20)&^w) & highs; m != 0 {
			return p + bits.TrailingZeros64(m)>>3
		}
	}
	for p < len(b) && b[p] >= 0x20 && b[p] != '\\' {
		p++
	}
	return p
}

// appendByte appends an ASCII character of a value.
func appendByte(dst []byte, c byte) []byte {
	switch c {
	case '\\':
		return append(dst, `\\`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, c)
}

var (
	errZero      = errors.New(`\u0000 is no character that PostgreSQL can store`)
	errSurrogate = errors.New("a string has one half of a surrogate pair alone")
)

// appendString appends what a string means whose escapes are valid, as a field of COPY's
// text format if forCopy.
func appendString(dst, raw []byte, forCopy bool) ([]byte, error) {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(dst, raw...), nil
		}
		dst = append(dst, raw[:i]...)
		raw = raw[i:]
		r, n, err := unescape(raw)
		if err != nil {
			return dst, err
		}
		if raw = raw[n:]; forCopy && r < utf8.RuneSelf {
			dst = appendByte(dst, byte(r))
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
}

// unescape returns the character that the escape at the beginning of b means, and the
// escape's length. The escape is valid.
func unescape(b []byte) (r rune, n int, err error) {
	switch b[1] {
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
	default:
		return rune(b[1]), 2, nil
	}
	r, _ = hex4(b[2:])
	switch {
	case r == 0:
		return 0, 0, errZero
	case !utf16.IsSurrogate(r):
		return r, 6, nil
	case len(b) >= 12 && b[6] == '\\' && b[7] == 'u':
		low, _ := hex4(b[8:])
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			return r, 12, nil
		}
	}
	return 0, 0, errSurrogate
}
