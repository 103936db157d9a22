package selection

import (
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"shardload/internal/term"
)

// A MistakeError is what is wrong with a list or a condition.
type MistakeError struct {
	Condition bool   // it is the condition; else the list
	Node      string // the node that says so, "" for the server that was asked first
	Text      string // the list or the condition, as given
	At        int    // where in Text, in bytes; -1 where that is not known
	Message   string
	Hint      string // what may help, "" for nothing

	code string // SQLSTATE, if it is the server's
}

// Error returns the message and, where the place is known, the line of the text that has it,
// with a caret under it. These lines begin with a tab.
func (e *MistakeError) Error() string {
	text := e.Advice() + ": "
	if e.Node != "" {
		text += e.Node + ": "
	}
	text += e.Message
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text + e.pointed()
}

// inCondition returns e as a mistake of the condition where, if that is not "" and the place
// of e is not known.
func (e *MistakeError) inCondition(where string) *MistakeError {
	if e != nil && e.At < 0 && where != "" {
		e.Condition, e.Text = true, where
	}
	return e
}

// Advice names the setting.
func (e *MistakeError) Advice() string {
	if e.Condition {
		return "Config.Where"
	}
	return "Config.Select"
}

// How much of a long line is shown, in columns of a terminal: before the place, and in all.
const (
	before = 50
	shown  = 75
)

// pointed returns the line that has the place, and a line with a caret, each after a line
// break and a tab.
func (e *MistakeError) pointed() string {
	if e.At < 0 || e.At > len(e.Text) {
		return ""
	}
	start := strings.LastIndexByte(e.Text[:e.At], '\n') + 1
	line, _, _ := strings.Cut(e.Text[start:], "\n")
	line = strings.TrimSuffix(line, "\r")
	at := min(e.At-start, len(line))
	left, right := line[:at], line[at:]
	from, to := 0, len(right)
	for len(left)-from > 8*before { // far more bytes than are shown
		from += size(left[from:])
	}
	for to > 8*shown {
		_, n := utf8.DecodeLastRuneInString(right[:to])
		to -= n
	}
	for from < len(left) && width(left[from:]) > before {
		from += size(left[from:])
	}
	for to > 0 && width(right[:to]) > shown-width(left[from:]) {
		_, n := utf8.DecodeLastRuneInString(right[:to])
		to -= n
	}
	head := term.Line(left[from:])
	if from > 0 {
		head = "…" + head
	}
	tail := term.Line(right[:to])
	if to < len(right) {
		tail += "…"
	}
	return "\n\t" + head + tail + "\n\t" + strings.Repeat(" ", width(head)) + "^"
}

// width returns how many columns of a terminal s occupies, with what a terminal would obey
// written out.
func width(s string) int { return runewidth.StringWidth(term.Line(s)) }

// size returns how many bytes the first character of s has.
func size(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}
