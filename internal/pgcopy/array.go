package pgcopy

import (
	"bytes"
	"encoding/binary"
)

// An array is the encoder of the one-dimensional arrays of a type.
type array struct {
	elem  Encoder
	oid   uint32 // of the elements
	nulls bool   // NULL is a null element
}

// arrayOf returns the encoder of {a,"b c",NULL}: elements with or without quotes,
// with blanks around them or not. Further dimensions, given bounds and
// backslashes outside quotes are left to the server.
func arrayOf(oid uint32, elem Encoder, opts Options) Encoder {
	return (&array{elem: elem, oid: oid, nulls: opts.ArrayNulls}).encode
}

// Offsets in an array's field.
const (
	arrayFlags = 8  // behind the length and the number of dimensions
	arrayCount = 16 // behind the flags and the type
)

func (a *array) encode(dst, v []byte) ([]byte, bool) {
	if len(v) < 2 || len(v) > maxArray || v[0] != '{' || v[len(v)-1] != '}' {
		return dst, false
	}
	start := len(dst)
	if len(v) == 2 {
		return a.appendHead(dst, 12, 0), true
	}
	dst = a.appendHead(dst, 0, 1)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 1) // the count, set below; the lower bound
	count, nulls := uint32(0), byte(0)
	for rest, more := v[1:len(v)-1], true; more; count++ {
		var e element
		var ok bool
		if e, rest, more, ok = cutElement(rest); !ok {
			return dst[:start], false
		}
		if e.isNull() {
			if !a.nulls {
				return dst[:start], false
			}
			nulls = 1
			dst = AppendNull(dst)
			continue
		}
		if dst, ok = a.appendElement(dst, e); !ok {
			return dst[:start], false
		}
	}
	dst[start+arrayFlags+3] = nulls
	binary.BigEndian.PutUint32(dst[start+arrayCount:], count)
	putLen(dst, start)
	return dst, true
}

// appendHead appends the length of an array's field, the number of dimensions,
// the flags and the type of the elements.
func (a *array) appendHead(dst []byte, length int, dimensions byte) []byte {
	dst = appendLen(dst, length)
	dst = append(dst, 0, 0, 0, dimensions, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(dst, a.oid)
}

func (a *array) appendElement(dst []byte, e element) ([]byte, bool) {
	if !e.escaped {
		return a.elem(dst, e.text)
	}
	// The text without its backslashes needs a place: the end of dst, from where
	// the field behind it moves down.
	start := len(dst)
	dst = appendUnescaped(dst, e.text)
	text := dst[start:]
	dst, ok := a.elem(dst, text)
	return append(dst[:start], dst[start+len(text):]...), ok
}

// An element is the text of one element of an array.
type element struct {
	text    []byte // between the quotes, if there are any
	quoted  bool
	escaped bool // has backslashes
}

// isNull reports whether e is the word NULL, which is a string only in quotes.
func (e element) isNull() bool {
	return !e.quoted && len(e.text) == 4 && e.text[0]|0x20 == 'n' &&
		e.text[1]|0x20 == 'u' && e.text[2]|0x20 == 'l' && e.text[3]|0x20 == 'l'
}

// cutElement returns the first element of v, the inside of an array, and what
// follows its comma; more says that there was one.
func cutElement(v []byte) (e element, rest []byte, more, ok bool) {
	v = trimLeft(v)
	if len(v) > 0 && v[0] == '"' {
		e, v, ok = cutQuoted(v[1:])
	} else {
		e, v, ok = cutPlain(v)
	}
	if !ok || len(v) == 0 {
		return e, nil, false, ok
	}
	return e, v[1:], true, v[0] == ','
}

// cutQuoted returns the element before the closing quote in v, and what follows
// the quote and any blanks.
func cutQuoted(v []byte) (e element, rest []byte, ok bool) {
	e.quoted = true
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '\\':
			e.escaped = true
			i++
		case '"':
			e.text = v[:i]
			return e, trimLeft(v[i+1:]), true
		}
	}
	return e, nil, false
}

// cutPlain returns the element at the head of v, which has no quotes, and the
// comma and what follows it.
func cutPlain(v []byte) (e element, rest []byte, ok bool) {
	i := 0
	for ; i < len(v) && v[i] != ','; i++ {
		switch v[i] {
		case '"', '\\', '{', '}':
			return e, nil, false
		}
	}
	e.text = bytes.TrimRight(v[:i], " ")
	if len(e.text) == 0 || isOddBlank(e.text[0]) || isOddBlank(e.text[len(e.text)-1]) {
		return e, nil, false
	}
	return e, v[i:], true
}

// isOddBlank reports whether c is white space other than a blank. At the ends of
// an element servers do not agree on which of it belongs to the value.
func isOddBlank(c byte) bool { return c-'\t' <= '\r'-'\t' }

func trimLeft(v []byte) []byte {
	for len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	return v
}

// appendUnescaped appends v with each backslash replaced by what follows it.
func appendUnescaped(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, '\\')
		if i < 0 || i+1 == len(v) {
			return append(dst, v...)
		}
		dst = append(append(dst, v[:i]...), v[i+1])
		v = v[i+2:]
	}
}
