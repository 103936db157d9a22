package pgjson

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDims is how many dimensions an array of PostgreSQL may have.
const maxDims = 6

// A list is a JSON array that becomes an array of PostgreSQL, as json_populate_record makes
// one of it: arrays in it are its dimensions.
type list struct {
	b         []byte // valid JSON
	at        int
	element   Kind
	delimiter byte

	lengths [maxDims]int // of each dimension; -1 where none has ended yet
	leaves  int          // the depth at which elements stand, 0 if none was met
}

var (
	errRagged = errors.New("the arrays in it are not all of one length and depth")
	errDims   = fmt.Errorf("an array has at most %d dimensions", maxDims)
)

// append appends the list as a field of COPY's text format.
func (l *list) append(dst []byte) ([]byte, error) {
	for i := range l.lengths {
		l.lengths[i] = -1
	}
	start := len(dst)
	dst, err := l.appendDim(dst, 1)
	if err == nil && l.leaves == 0 {
		return append(dst[:start], "{}"...), nil // PostgreSQL knows no others
	}
	return dst, err
}

// appendDim appends the array at l.at, which is in depth-1 others.
func (l *list) appendDim(dst []byte, depth int) (_ []byte, err error) {
	if depth > maxDims {
		return dst, errDims
	}
	dst = append(dst, '{')
	n := 0
	for l.at = skipBlanks(l.b, l.at+1); l.b[l.at] != ']'; n++ {
		if n > 0 {
			l.at = skipBlanks(l.b, l.at+1) // behind a comma
			dst = append(dst, l.delimiter)
		}
		if l.b[l.at] == '[' {
			if l.leaves > 0 && l.leaves <= depth {
				return dst, errRagged
			}
			dst, err = l.appendDim(dst, depth+1)
		} else {
			if l.leaves == 0 {
				l.leaves = depth
			}
			if l.leaves != depth {
				return dst, errRagged
			}
			dst, err = l.appendElement(dst)
		}
		if err != nil {
			return dst, err
		}
		l.at = skipBlanks(l.b, l.at)
	}
	l.at++
	if before := l.lengths[depth-1]; before >= 0 && before != n {
		return dst, errRagged
	}
	l.lengths[depth-1] = n
	return append(dst, '}'), nil
}

// appendElement appends the value at l.at.
func (l *list) appendElement(dst []byte) ([]byte, error) {
	start, b := l.at, l.b
	switch b[start] {
	case '{':
		var n nest
		l.at, _ = n.end(b, start)
		if l.element != JSON {
			return dst, errors.New("an element is an object, and their type is neither json nor jsonb")
		}
		return appendQuoted(dst, b[start:l.at], false)
	case 'n':
		l.at += len("null")
		return append(dst, "NULL"...), nil
	case '"':
		end, _, _ := stringEnd(b, start+1)
		l.at = end + 1
		if l.element == JSON {
			return appendQuoted(dst, b[start:l.at], false)
		}
		return appendQuoted(dst, b[start+1:end], true)
	}
	l.at, _ = flatEnd(b, start)
	return append(dst, b[start:l.at]...), nil
}

// appendQuoted appends an element in quotes: what the string raw means, or raw itself.
func appendQuoted(dst, raw []byte, isString bool) ([]byte, error) {
	dst = append(dst, '"')
	for len(raw) > 0 {
		r, n := rune(raw[0]), 1
		if isString && r == '\\' {
			var err error
			if r, n, err = unescape(raw); err != nil {
				return dst, err
			}
		}
		switch raw = raw[n:]; {
		case r == '"':
			dst = append(dst, `\\"`...)
		case r == '\\':
			dst = append(dst, `\\\\`...)
		case n > 1 && r >= 0x80:
			dst = utf8.AppendRune(dst, r)
		default:
			dst = appendByte(dst, byte(r))
		}
	}
	return append(dst, '"'), nil
}
