package pgtext

import (
	"bytes"

	"shardload/internal/pgarray"

	"github.com/jackc/pgx/v5/pgtype"
)

// array returns the Form of an array type, or nil. It is sure of arrays of one
// dimension that the server would write with the same bytes.
func array(oid uint32, typmod int32, o Options) Form {
	elem := pgarray.ElementOf(oid)
	if !sameInside(elem) {
		return nil
	}
	isElement := sameBytes(scalar(elem, typmod, o))
	return func(v, scratch []byte) ([]byte, bool) {
		return v, isArray(v, scratch, o.ArrayNulls, isElement)
	}
}

// sameInside reports whether the server writes values of the type in an array as it does
// outside. Booleans and char(n) it does not, and of most others it is not known here.
func sameInside(oid uint32) bool {
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID,
		pgtype.TextOID, pgtype.VarcharOID, pgtype.UUIDOID, pgtype.DateOID, pgtype.TimestampOID:
		return true
	}
	return false
}

// sameBytes returns a function that reports whether form is sure that the server
// writes a value with the same bytes.
func sameBytes(form Form) func(v, scratch []byte) bool {
	return func(v, scratch []byte) bool {
		text, sure := form(v, scratch)
		return sure && bytes.Equal(text, v)
	}
}

// isArray reports whether v is {…} with elements that need no other quotes than
// they have.
func isArray(v, scratch []byte, nulls bool, isElement func(v, scratch []byte) bool) bool {
	if len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}' {
		return false
	}
	rest := v[1 : len(v)-1]
	if len(rest) == 0 {
		return true
	}
	for {
		end := elementEnd(rest)
		if end < 0 || !isWritten(rest[:end], scratch, nulls, isElement) {
			return false
		}
		if end == len(rest) {
			return true
		}
		if rest[end] != ',' {
			return false
		}
		rest = rest[end+1:]
	}
}

// elementEnd returns the length of the element at v's start, with its quotes, -1
// if they are not closed.
func elementEnd(v []byte) int {
	if len(v) == 0 || v[0] != '"' {
		if i := bytes.IndexByte(v, ','); i >= 0 {
			return i
		}
		return len(v)
	}
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// isWritten reports whether the server writes an element like that. An element
// with a backslash in it is not sure.
func isWritten(v, scratch []byte, nulls bool, isElement func(v, scratch []byte) bool) bool {
	if string(v) == "NULL" {
		return nulls
	}
	if len(v) == 0 || v[0] != '"' {
		return !needsQuotes(v) && isElement(v, scratch)
	}
	v = v[1 : len(v)-1]
	return bytes.IndexByte(v, '\\') < 0 && needsQuotes(v) && isElement(v, scratch)
}

// needsQuotes reports whether the server puts quotes around an element.
func needsQuotes(v []byte) bool {
	if len(v) == 0 || len(v) == 4 && bytes.EqualFold(v, []byte("NULL")) {
		return true
	}
	for _, c := range v {
		switch c {
		case '"', '\\', '{', '}', ',', ' ', '\t', '\n', '\r', '\v', '\f':
			return true
		}
	}
	return false
}
