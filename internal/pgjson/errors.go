package pgjson

import (
	"fmt"
	"unicode/utf8"
)

// An Error says what is wrong with a record.
type Error struct {
	Column string // "" where none is at fault, or none is known yet
	Err    error
}

func (e *Error) Error() string {
	if e.Column == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("column %q: %v", e.Column, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// A syntaxError is of bytes that are not JSON.
type syntaxError struct {
	at   int // in what was looked at; from 0
	what string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("it is not JSON at byte %d: %s", e.at+1, e.what)
}

// unexpected is of a byte of b, or its end, where something else should be.
func unexpected(b []byte, p int, want string) *syntaxError {
	if p >= len(b) {
		return &syntaxError{at: len(b), what: "it ends where " + want + " should be"}
	}
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if len(b)-p >= len(word) && string(b[p:p+len(word)]) == word {
			return &syntaxError{at: p, what: fmt.Sprintf("JSON has no number %s; a string has: %q", word, word)}
		}
	}
	return &syntaxError{at: p, what: fmt.Sprintf("%q stands where %s should be", found(b[p:]), want)}
}

// found returns the character at the beginning of b.
func found(b []byte) []byte {
	if r, n := utf8.DecodeRune(b); r != utf8.RuneError {
		return b[:n]
	}
	return b[:1]
}

func controlError(p int, c byte) *syntaxError {
	return &syntaxError{at: p, what: fmt.Sprintf(`a control character in a string must be written \u%04x`, c)}
}
