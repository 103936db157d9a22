// Package pgcopy writes rows in the format of COPY … (FORMAT binary) from the
// text form of their values. It promises that what it writes is stored exactly
// as COPY would store the text.
//
// The server is the judge of what a text means, so an [Encoder] takes only the
// forms whose meaning no setting and no version of the server (12 or later)
// changes, and which the server is certain to take. Of every other form, wrong
// or merely unusual, it says that it is not sure, and the value has to travel as
// text. Only the inside of json and jsonb is left to the server: it parses their
// text in either format and refuses the same.
//
// All functions append to a slice and allocate only what the slice needs to grow.
package pgcopy

import "encoding/binary"

// Signature opens every binary COPY.
const Signature = "PGCOPY\n\xff\r\n\x00"

// AppendHeader appends what stands before the first row: the signature, no flags
// and no extension.
func AppendHeader(dst []byte) []byte {
	return append(dst, Signature+"\x00\x00\x00\x00"+"\x00\x00\x00\x00"...)
}

// AppendTrailer appends what stands after the last row.
func AppendTrailer(dst []byte) []byte { return append(dst, 0xff, 0xff) }

// AppendFieldCount appends the head of a row of n fields.
func AppendFieldCount(dst []byte, n int16) []byte {
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}

// AppendNull appends a field that is NULL.
func AppendNull(dst []byte) []byte { return append(dst, 0xff, 0xff, 0xff, 0xff) }

// appendLen appends the length in bytes that stands before a field's value.
func appendLen(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// putLen writes the length of the field that starts at dst[at:] and ends with
// dst. Its first four bytes are there already.
func putLen(dst []byte, at int) {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
}
