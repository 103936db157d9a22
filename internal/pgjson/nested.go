package pgjson

import "errors"

// maxDepth is how deep values may be nested. PostgreSQL's own limit is its stack's.
const maxDepth = 1000

var errDeep = errors.New("values are nested more than 1000 deep")

// A nest is what is open around a value.
type nest []byte

// end returns the position behind the object or array that begins at b[p].
func (n *nest) end(b []byte, p int) (int, error) {
	open := (*n)[:0]
	defer func() { *n = open }()
	for {
		var err error
		var opened byte
		if p < len(b) && (b[p] == '{' || b[p] == '[') {
			opened = b[p]
			if len(open) == maxDepth-1 { // the record is one, too
				return p, errDeep
			}
			open = append(open, opened)
			p = skipBlanks(b, p+1)
		} else if p, err = flatEnd(b, p); err != nil {
			return p, err
		}
		// Behind a value, or what opens one.
		for next := false; !next; {
			if p = skipBlanks(b, p); p == len(b) {
				return p, unexpected(b, p, wantIn(open[len(open)-1], opened))
			}
			top := open[len(open)-1]
			switch {
			case b[p] == top+2: // } is two behind {, and ] behind [
				if p++; len(open) == 1 {
					return p, nil
				}
				open, opened = open[:len(open)-1], 0
				continue
			case opened != 0:
			case b[p] == ',':
				p = skipBlanks(b, p+1)
			default:
				return p, unexpected(b, p, wantIn(top, opened))
			}
			if next = true; top == '{' {
				if p, err = keyEnd(b, p); err != nil {
					return p, err
				}
			}
		}
	}
}

// wantIn says what may follow a value in an object or array, or its beginning.
func wantIn(open, opened byte) string {
	switch {
	case opened == '{':
		return "a key or }"
	case opened == '[':
		return "a value or ]"
	case open == '{':
		return "a comma or }"
	}
	return "a comma or ]"
}

// flatEnd returns the position behind the string, number, boolean or null at b[p].
func flatEnd(b []byte, p int) (int, error) {
	if p == len(b) {
		return p, unexpected(b, p, "a value")
	}
	switch c := b[p]; {
	case c == '"':
		end, _, err := stringEnd(b, p+1)
		return end + 1, err
	case c == '-', c-'0' < 10:
		return numberEnd(b, p)
	case c == 't':
		return wordEnd(b, p, "true")
	case c == 'f':
		return wordEnd(b, p, "false")
	case c == 'n':
		return wordEnd(b, p, "null")
	}
	return p, unexpected(b, p, "a value")
}

// keyEnd returns the position of the value that belongs to the key at b[p].
func keyEnd(b []byte, p int) (int, error) {
	if p == len(b) || b[p] != '"' {
		return p, unexpected(b, p, "a key in double quotes")
	}
	p, _, err := stringEnd(b, p+1)
	if err != nil {
		return p, err
	}
	return colonEnd(b, p+1)
}

// colonEnd returns the position of the value behind the colon that follows a key.
func colonEnd(b []byte, p int) (int, error) {
	if p = skipBlanks(b, p); p == len(b) || b[p] != ':' {
		return p, unexpected(b, p, "a colon")
	}
	return skipBlanks(b, p+1), nil
}

// An extent finds where an element of an array ends, whatever stands in it: at the comma or
// bracket that is in no string, and in no brackets that were opened since. It can go on
// when more bytes are there.
type extent struct {
	at       int // of the next byte that it looks at; one more than there are behind a backslash
	depth    int
	inString bool
	filled   bool // a byte that is not blank was there
}

// next goes on in b, and returns the position of the comma or bracket; -1 if b has none.
func (x *extent) next(b []byte) int {
	for x.at < len(b) {
		if x.inString {
			x.skipString(b)
			continue
		}
		switch c := b[x.at]; c {
		case ' ', '\n', '\t', '\r':
			x.at++
			continue
		case '"':
			x.inString = true
		case '{', '[':
			x.depth++
		case ',':
			if x.depth == 0 {
				return x.at
			}
		case '}', ']':
			if x.depth == 0 {
				return x.at
			}
			x.depth--
		}
		x.filled = true
		x.at++
	}
	return -1
}

// skipString goes behind the string in which x stands, or to the end of b.
func (x *extent) skipString(b []byte) {
	for x.at < len(b) {
		switch x.at = plainEnd(b, x.at); {
		case x.at == len(b):
		case b[x.at] == '"':
			x.at++
			x.inString = false
			return
		case b[x.at] == '\\':
			x.at += 2
		default:
			x.at++
		}
	}
}
