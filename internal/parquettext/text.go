package parquettext

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// utf8Text appends text as it is.
func utf8Text(dst, v []byte) ([]byte, error) {
	if err := checkText(v); err != nil {
		return dst, err
	}
	return append(dst, v...), nil
}

// rawText appends bytes that are text, though nothing says so.
func rawText(dst, v []byte) ([]byte, error) {
	if checkText(v) != nil {
		return dst, ErrBinary
	}
	return append(dst, v...), nil
}

// checkText reports what PostgreSQL has against a text.
func checkText(v []byte) error {
	switch {
	case isPlain(v):
		return nil
	case !utf8.Valid(v):
		return errNotUTF8
	case bytes.IndexByte(v, 0) >= 0:
		return errZero
	}
	return nil
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// isPlain reports whether v is ASCII without control characters and backslashes. It looks at
// eight bytes at once.
func isPlain(v []byte) bool {
	for ; len(v) >= 8; v = v[8:] {
		w := binary.LittleEndian.Uint64(v)
		slash := w ^ '\\'*ones
		if (w|(w-' '*ones)|(slash-ones)&^slash)&highs != 0 {
			return false
		}
	}
	for _, c := range v {
		if c < ' ' || c >= 0x80 || c == '\\' {
			return false
		}
	}
	return true
}

// jsonString appends a text as a string of JSON.
func jsonString(dst, v []byte) ([]byte, error) {
	if err := checkText(v); err != nil {
		return dst, err
	}
	return appendJSONString(dst, v), nil
}

// appendJSONString appends v in quotes, with the escapes that PostgreSQL uses.
func appendJSONString(dst, v []byte) []byte {
	dst = append(dst, '"')
	for _, c := range v {
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			if c < ' ' {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}

// embeddedJSON appends a document of JSON that becomes part of another.
func embeddedJSON(dst, v []byte) ([]byte, error) {
	if err := checkText(v); err != nil {
		return dst, err
	}
	if !json.Valid(v) {
		return dst, errors.New("is not valid JSON")
	}
	return append(dst, v...), nil
}

// appendElement appends an element of an array, in quotes where it needs them.
//
// Source: array_out of PostgreSQL.
func appendElement(dst, v []byte) []byte {
	quotes := len(v) == 0 || bytes.EqualFold(v, []byte("null")) || bytes.ContainsAny(v, "{},\"\\ \t\n\r\v\f")
	if !quotes {
		return append(dst, v...)
	}
	dst = append(dst, '"')
	for _, c := range v {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
