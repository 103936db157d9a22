// Package pgcsv reads the two dialects of COPY, csv and text, the way COPY does, in two
// steps: a Chunker cuts a stream into runs of whole records without looking at their
// fields, and a Scanner walks the records and fields of one such run.
//
// In CSV a quote (") toggles quoting wherever it stands in a field, two of them inside
// quotes are one, and a line break inside quotes belongs to the field. In text a
// backslash gives the byte after it another meaning, and a line break after one belongs
// to the field. The first other line break decides how all records end. Both steps agree
// with the server about where a record ends, whatever the bytes are; the package never
// decides whether a value is valid.
package pgcsv

import "bytes"

// An EOL is how the records of an input end.
type EOL byte

// The ends of records that COPY knows.
const (
	EOLUnknown EOL = iota // no record has ended yet
	LF
	CRLF
	CR
)

func (e EOL) String() string {
	switch e {
	case LF:
		return "LF"
	case CRLF:
		return "CRLF"
	case CR:
		return "CR"
	default:
		return "unknown"
	}
}

// last returns the byte that ends a record.
func (e EOL) last() byte {
	if e == CR {
		return '\r'
	}
	return '\n'
}

// eolAt returns how b[i], a line break, ends a record: EOLUnknown where it may be half of a
// CRLF, unless final says that nothing follows b.
func eolAt(b []byte, i int, final bool) EOL {
	switch {
	case b[i] == '\n':
		return LF
	case i+1 < len(b) && b[i+1] == '\n':
		return CRLF
	case i+1 < len(b) || final:
		return CR
	}
	return EOLUnknown
}

// Lines returns the number of line breaks in b, in quotes or not. COPY counts the
// same way.
func Lines(b []byte, eol EOL) int64 {
	return int64(bytes.Count(b, []byte{eol.last()}))
}
