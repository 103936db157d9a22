package pgcsv

import (
	"bytes"
	"fmt"
	"io"
)

// A SkipError reports that an input has not as many lines as are to be skipped, or, with Max,
// that they are longer than so many bytes.
type SkipError struct{ Lines, Has, Max int }

func (e *SkipError) Error() string {
	if e.Max > 0 {
		return fmt.Sprintf("the %d lines to be skipped are longer than %d bytes", e.Lines, e.Max)
	}
	return fmt.Sprintf("it has only %d of the %d lines to be skipped", e.Has, e.Lines)
}

// skipLines finds the lines that are no records at the beginning of buf, and reads on for them.
// An input without a single byte has none.
func (c *Chunker) skipLines(buf []byte) ([]byte, error) {
	c.skipped = 0
	lines, at := 0, 0
	for lines < c.skip {
		n := lineEnd(buf[at:], c.in.Ended())
		switch {
		case at+n > c.in.MaxRecord || n == 0 && len(buf) > c.in.MaxRecord:
			return buf, &SkipError{Lines: c.skip, Max: c.in.MaxRecord}
		case n > 0:
			lines, at = lines+1, at+n
		case c.in.Failed() != nil:
			return buf[:0], c.in.Failed()
		case c.in.Ended() && len(buf) == 0:
			return buf, io.EOF
		case c.in.Ended():
			return buf, &SkipError{Lines: c.skip, Has: lines}
		default:
			buf = c.in.Fill(buf, len(buf)+c.in.Size)
		}
	}
	c.skip, c.skipped = 0, at
	return buf, nil
}

// lineEnd returns the length of the first line of b with its line break, of whatever kind, 0
// if it goes on. final says that nothing follows b: then a line need not have a break.
func lineEnd(b []byte, final bool) int {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0 && final:
		return len(b)
	case i < 0 || b[i] == '\r' && i+1 == len(b) && !final:
		return 0
	case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
		return i + 2
	}
	return i + 1
}
