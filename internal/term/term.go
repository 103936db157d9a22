// Package term writes what people read: on terminals and in logs. What comes from
// data (values, names, what a server says) may hold characters that move the cursor,
// that turn the direction of the text, or that begin a line which looks like one of
// ours. Here they become visible; only our own line breaks stay.
package term

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// Line returns s as a piece of one line: with all control characters, line breaks
// among them, and all bytes that are no UTF-8 written as escapes. What is escaped
// already stays as it is.
func Line(s string) string { return escape(s, "") }

// Text is Line for what has line breaks of ours. Tabs stay as well.
func Text(s string) string { return escape(s, "\n\t") }

// escape returns s with all that a terminal may obey, keep apart, written out.
func escape(s, keep string) string {
	clean := 0
	for clean < len(s) && (' ' <= s[clean] && s[clean] < 0x7f || strings.IndexByte(keep, s[clean]) >= 0) {
		clean++
	}
	if clean == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:clean])
	for rest := s[clean:]; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case !obeyed(r) || r < utf8.RuneSelf && strings.IndexByte(keep, byte(r)) >= 0:
			b.WriteString(rest[:n])
		default:
			b.WriteString(written(r))
		}
		rest = rest[n:]
	}
	return b.String()
}

// obeyed reports whether a terminal, or what shows a log, may obey r instead of
// showing it: C0, DEL and C1, what breaks lines, and what turns the direction.
func obeyed(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r < 0xa0:
	case r == 0x2028, r == 0x2029:
	case r == 0x061c, r == 0x200e, r == 0x200f, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
	default:
		return false
	}
	return true
}

// written returns the escape of r.
func written(r rune) string {
	switch r {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	if r < utf8.RuneSelf {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// Sprintf is fmt.Sprintf whose arguments become pieces of one line. The format is
// ours, and so are its line breaks.
func Sprintf(format string, args ...any) string {
	if false {
		_ = fmt.Sprintf(format, args...) // so that go vet checks the callers' formats
	}
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = arg
		if _, ok := arg.(int); !ok { // which may be a width
			safe[i] = piece{arg}
		}
	}
	return fmt.Sprintf(format, safe...)
}

// A piece is an argument that is formatted as it would be, and then escaped.
type piece struct{ arg any }

func (p piece) Format(state fmt.State, verb rune) {
	_, _ = io.WriteString(state, Line(fmt.Sprintf(fmt.FormatString(state, verb), p.arg)))
}

// Error returns the text of err in lines. The line breaks that stay are those which
// keep joined errors apart; those within an error are data's. A program's output, the
// lines of which begin with a tab, keeps them, after a bar that no line of ours has.
func Error(err error) string {
	text := err.Error()
	switch wrapper := err.(type) {
	case interface{ Unwrap() []error }:
		return joined(text, wrapper.Unwrap())
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			return joined(text, []error{inner})
		}
	}
	return quoted(text)
}

// joined escapes the text of an error that wraps others, the texts of which it holds
// one after the other.
func joined(text string, errs []error) string {
	var b strings.Builder
	for _, err := range errs {
		if err == nil {
			continue
		}
		inner := err.Error()
		before, after, ok := strings.Cut(text, inner)
		if !ok || inner == "" {
			continue
		}
		b.WriteString(between(before))
		b.WriteString(Error(err))
		text = after
	}
	return b.String() + between(text)
}

// between escapes what stands between the texts of joined errors.
func between(s string) string {
	if s == "\n" {
		return s
	}
	return quoted(s)
}

// quoted escapes a piece of an error's text, which may end with a program's output.
func quoted(s string) string {
	return strings.ReplaceAll(Line(strings.TrimRight(s, "\n")), `\n\t`, "\n  | ")
}

// A Writer passes on what people read. It is the last guard, of what was written
// otherwise than with Sprintf: it lets line breaks and tabs through, and no other
// character that a terminal obeys.
type Writer struct{ raw io.Writer }

// NewWriter returns a Writer to w. One of its Writes is one of w's.
func NewWriter(w io.Writer) *Writer { return &Writer{w} }

// Raw returns the writer behind w: for data that is no text for people, and for
// control sequences of ours.
func (w *Writer) Raw() io.Writer { return w.raw }

func (w *Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.raw, Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// JSON returns a JSON document with the characters that a terminal obeys as JSON
// itself can write them: it means the same. Line breaks and tabs stand between its
// tokens, and stay.
func JSON(doc []byte) []byte {
	var b strings.Builder
	for _, r := range string(doc) { // the encoder leaves no bytes that are no UTF-8
		if obeyed(r) && r != '\n' && r != '\t' {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return []byte(b.String())
}

// Count returns "2,000".
func Count(n int64) string { return humanize.Comma(n) }

// Plural returns "1 row", "2 rows" or "2,000 rows".
func Plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "x") { // index
		noun += "e"
	}
	return humanize.Comma(int64(n)) + " " + noun + "s"
}

// Verb returns the form of a verb for so many: is or are.
func Verb[N int | int64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// Bytes returns "4 MiB".
func Bytes(n int64) string { return strings.Replace(humanize.IBytes(uint64(n)), ".0 ", " ", 1) }
