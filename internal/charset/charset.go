// Package charset converts texts of the encodings that PostgreSQL knows in clients alone (GBK, BIG5,
// SJIS and others, where a byte of a longer character may look like a quote, a backslash or a
// delimiter) to UTF-8. What a character means is what a server says.
package charset

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// lengths has for each of the encodings how long the character is at the beginning of b, as the
// server counts it; 0 if more bytes of b are needed to tell. The first byte is not ASCII.
var lengths = map[string]func(b []byte) int{
	"SJIS": sjis, "SHIFTJIS2004": sjis, "BIG5": two, "GBK": two, "UHC": two, "JOHAB": johab, "GB18030": gb18030,
}

func two([]byte) int { return 2 }

// sjis: half-width katakana are one byte.
func sjis(b []byte) int {
	if b[0] >= 0xa1 && b[0] <= 0xdf {
		return 1
	}
	return 2
}

func johab(b []byte) int {
	if b[0] == 0x8f {
		return 3
	}
	return 2
}

func gb18030(b []byte) int {
	switch {
	case len(b) == 1:
		return 0
	case b[1] >= '0' && b[1] <= '9':
		return 4
	}
	return 2
}

// canonical returns the encoding's name as lengths has it.
func canonical(encoding string) string {
	name := strings.ToUpper(strings.NewReplacer("-", "", "_", "", " ", "").Replace(encoding))
	switch name { // as the server knows them, too
	case "SHIFTJIS", "MSKANJI", "WIN932", "WINDOWS932":
		return "SJIS"
	case "WIN950", "WINDOWS950":
		return "BIG5"
	case "WIN936", "WINDOWS936":
		return "GBK"
	case "WIN949", "WINDOWS949":
		return "UHC"
	}
	return name
}

// Is reports whether encoding, by PostgreSQL's name, is one of those.
func Is(encoding string) bool { return lengths[canonical(encoding)] != nil }

// maxInvalid is how many different sequences may be none of an encoding: text in it has none.
const maxInvalid = 1000

// A Converter converts inputs of one encoding, and keeps what it has learned for all of them. It
// may be used by several goroutines.
type Converter struct {
	encoding string
	length   func([]byte) int
	connect  func(context.Context) (*pgconn.PgConn, error)

	mu      sync.RWMutex
	known   map[string]string // by sequence; what is none has a mark
	invalid int               // of them
	back    map[string]string // the sequence of a text; nil if known has grown
}

// New returns a converter of one of the encodings, which asks a server on connections that connect
// makes. It is nil for others.
func New(encoding string, connect func(context.Context) (*pgconn.PgConn, error)) *Converter {
	length := lengths[canonical(encoding)]
	if length == nil {
		return nil
	}
	return &Converter{encoding: encoding, length: length, connect: connect, known: map[string]string{}}
}

// Sequences that are no characters become marks: bytes that no UTF-8 has around what they were.
const (
	markBegin = 0xff
	markEnd   = 0xfe
)

// mark returns what stands for a sequence that is no character.
func mark(sequence []byte) string {
	return "\xff" + hex.EncodeToString(sequence) + "\xfe"
}

// An InvalidError is of a record with a sequence of bytes that is no character.
type InvalidError struct {
	Encoding string
	Sequence []byte
}

func (e *InvalidError) Error() string {
	var list []string
	for _, b := range e.Sequence {
		list = append(list, fmt.Sprintf("0x%02x", b))
	}
	return fmt.Sprintf("invalid byte sequence for encoding %q: %s", e.Encoding, strings.Join(list, " "))
}

// Clear reports whether it is certain where the record ends: no byte of the sequence may be a quote,
// a delimiter or a backslash of its own.
func (e *InvalidError) Clear() bool {
	return !slices.ContainsFunc(e.Sequence, func(b byte) bool { return b < 0x80 })
}

// Check returns an *InvalidError if a record that was converted has a mark, else nil.
func (c *Converter) Check(record []byte) *InvalidError {
	i := bytes.IndexByte(record, markBegin)
	if i < 0 {
		return nil
	}
	sequence, _ := unmark(record[i:])
	return &InvalidError{Encoding: c.encoding, Sequence: sequence}
}

// unmark returns the sequence of the mark with which b begins, and the mark's length.
func unmark(b []byte) (sequence []byte, n int) {
	end := bytes.IndexByte(b, markEnd)
	if end < 0 {
		return nil, len(b)
	}
	sequence, _ = hex.DecodeString(string(b[1:end]))
	return sequence, end + 1
}
