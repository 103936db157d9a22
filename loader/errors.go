package loader

import (
	"errors"
	"fmt"
	"strconv"
)

// A RowError names the input record that could not be stored.
type RowError struct {
	File     string // as the caller gave it; "-" for standard input
	Line     int64  // 1-based physical line on which the record starts
	LastLine int64  // if not 0 the record is one of those from Line to LastLine
	Column   string // "" if the whole record is at fault
	Err      error
	Keepable bool // Config.MaxErrors would have kept the record aside
}

func (e *RowError) Error() string {
	text := e.where() + ": " + e.Err.Error()
	if e.Keepable {
		text += "; --max-errors N keeps such records aside"
	}
	return text
}

// where returns the record's place in the input.
func (e *RowError) where() string {
	at := fmt.Sprintf("%s:%d", e.File, e.Line)
	if e.LastLine > e.Line {
		at += fmt.Sprintf("-%d", e.LastLine)
	}
	if e.Column != "" {
		at += ": column " + strconv.Quote(e.Column)
	}
	return at
}

func (e *RowError) Unwrap() error { return e.Err }

// A RefusedError is the server's reason for not taking a row. It has no
// detail: that would be the row's content.
type RefusedError struct {
	SQLState string
	Message  string
	Hint     string // what to do, "" if there is nothing to say
}

func (e *RefusedError) Error() string {
	if e.Hint != "" {
		return e.Message + " (" + e.Hint + ")"
	}
	return e.Message
}

// ErrEmpty reports an input without a single byte.
var ErrEmpty = errors.New("is empty, without even a header")

// A PreflightError reports what would stop every load into the table, found
// before it began.
type PreflightError struct {
	Problem string
	Do      string // what to do next
}

func (e *PreflightError) Error() string { return e.Problem + "; " + e.Do }

// tooLongError says that a record is longer than limit bytes.
func tooLongError(limit int) error {
	return fmt.Errorf("the record is longer than --max-record (%d bytes); if it is one, raise that, if not, look for a quote that is left open", limit)
}
