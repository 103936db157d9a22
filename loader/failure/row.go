package failure

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A RowError names the input record that could not be stored.
type RowError struct {
	File     string // as the caller gave it; "-" for standard input
	Line     int64  // 1-based physical line on which the record starts
	LastLine int64  // if not 0 the record is one of those from Line to LastLine
	LastFile string // in which LastLine is, of a set of files; "" for File
	Column   string // "" if the whole record is at fault
	Err      error
	Keepable bool // Config.MaxErrors would have kept the record aside
	// Guessed says that it is the first record, which was taken for one only because none
	// of its fields is a column's name. It may be a header: then the columns of all
	// records are others, and to keep it aside would store all values in wrong ones.
	Guessed bool
	// Counted says that Line is the number of the row, from 1, in an input without lines, or 0
	// for what is of no row.
	Counted bool
}

func (e *RowError) Error() string {
	text := e.where() + ": " + e.Err.Error()
	switch {
	case e.Guessed:
		text += "; its fields are no names of columns, and so it was taken for a record and not for a header"
	case e.Keepable:
		text += "; " + e.Advice()
	}
	return text
}

// MayBeHeader reports whether a first record that e refuses, and that was only guessed to be one,
// may be a header: if the types of the table cannot hold its values. What they can hold, and a
// constraint refuses, such as a key that is there already, is of a record like all others.
func (e *RowError) MayBeHeader() bool {
	refused, ok := errors.AsType[*RefusedError](e.Err)
	return !ok || !refused.OfConstraint()
}

// Advice says what to do, where that is certain.
func (e *RowError) Advice() string {
	if e.Guessed || !e.Keepable {
		return ""
	}
	return "Config.MaxErrors keeps such records aside"
}

// where returns the record's place in the input.
func (e *RowError) where() string {
	at := fmt.Sprintf("%s:%d", e.File, e.Line)
	switch {
	case e.Counted && e.Line == 0:
		at = e.File
	case e.Counted:
		at = fmt.Sprintf("%s: row %d", e.File, e.Line)
	}
	switch {
	case e.LastFile != "" && e.LastFile != e.File:
		at += fmt.Sprintf(" to %s:%d", e.LastFile, e.LastLine)
	case e.LastLine > e.Line:
		at += fmt.Sprintf("-%d", e.LastLine)
	}
	if e.Column != "" {
		at += ": column " + strconv.Quote(e.Column)
	}
	return at
}

func (e *RowError) Unwrap() error { return e.Err }

// A RefusedError is the server's reason for not taking a row. Message and Detail may
// hold values of the row.
type RefusedError struct {
	SQLState string
	Message  string
	Detail   string // such as the key that is at fault; "" with Config.NoDetail
	Hint     string // what to do, "" if there is nothing to say
}

func (e *RefusedError) Error() string {
	text := e.Message
	if e.Detail != "" {
		text += ": " + strings.TrimSuffix(e.Detail, ".")
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Advice is what to do, "" if there is nothing to say.
func (e *RefusedError) Advice() string { return e.Hint }

// A PreflightError reports what would stop every load into the table, found
// before it began.
type PreflightError struct {
	Problem string
	Do      string // what to do next
}

func (e *PreflightError) Error() string { return e.Problem + "; " + e.Do }

// Advice is what to do next.
func (e *PreflightError) Advice() string { return e.Do }

// A TooLongError says that a record is longer than so many bytes.
type TooLongError int

func (e TooLongError) Error() string {
	return fmt.Sprintf("the record is longer than %s (%d bytes); if it is one, raise that, if not, look for a quote that is left open", e.Advice(), int(e))
}

// Advice names the setting.
func (TooLongError) Advice() string { return "Config.MaxRecord" }
