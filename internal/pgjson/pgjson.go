// Package pgjson reads records written in JSON and writes them as records of COPY's text
// format, in two steps: a Chunker cuts a stream into runs of whole records, and a Scanner
// walks the records of one such run.
//
// A record is an object, whose keys name columns. Records stand one on a line, or are the
// elements of one array. The grammar is RFC 8259's and nothing beside it. Numbers stay
// letter by letter what they are, and values of json and jsonb whole; the server judges
// them.
package pgjson

import "bytes"

// A Form is how the records of an input follow each other.
type Form byte

// The forms.
const (
	Unknown Form = iota // nothing was read yet
	Lines               // an object on each line that is not blank
	Array               // the elements of one array, on as many lines as they like
)

func (f Form) String() string {
	switch f {
	case Lines:
		return "lines"
	case Array:
		return "array"
	}
	return "unknown"
}

// FormOf returns the form of an input that begins with head.
func FormOf(head []byte) Form {
	if rest := bytes.TrimLeft(head, blanks); len(rest) > 0 && rest[0] == '[' {
		return Array
	}
	return Lines
}

// LooksLike reports whether an input that begins with head is probably JSON: it begins with an
// object, or with an array of them.
func LooksLike(head []byte) bool {
	open := byte(0)
	for _, c := range head {
		switch {
		case isBlank(c):
		case open == 0 && (c == '{' || c == '['):
			open = c
		case open == '[' && c == '{':
			return true
		default:
			return open == '{' && (c == '"' || c == '}') || open == '[' && c == ']'
		}
	}
	return false
}

// blanks is JSON's white space.
const blanks = " \t\r\n"

// isBlank reports whether c is white space.
func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// skipBlanks returns the position of the first byte of b from p on that is not blank.
func skipBlanks(b []byte, p int) int {
	for p < len(b) && isBlank(b[p]) {
		p++
	}
	return p
}
