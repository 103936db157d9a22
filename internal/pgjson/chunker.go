package pgjson

import (
	"bytes"
	"errors"
	"io"

	"shardload/internal/refill"
)

const (
	// ChunkSize is the usual length of a chunk in bytes. It is part of what a chunk number
	// means: a job that is resumed must cut its input where the first run did.
	ChunkSize = 1 << 20
	// maxRecords is the number of records, and of lines, after which a chunk ends in any
	// case: a record of a few bytes may name none of many columns, and each of them takes
	// three bytes as NULL.
	maxRecords = 16 << 10
)

// A FrameError says that bytes between records, or the end of the input, are not what they
// should be. What follows cannot be read.
type FrameError struct {
	At  int // of the byte at fault, in the bytes that Next returns with the error
	Err error
}

func (e *FrameError) Error() string { return e.Err.Error() }

func (e *FrameError) Unwrap() error { return e.Err }

// What can be wrong with the frame of an array.
var (
	errOpen    = errors.New("the input ends before its array does: it is cut off")
	errMissing = errors.New("an element is missing before this")
	errAfter   = errors.New("data go on after the end of the array; one input has one array, or one object on each line")
	errBracket = errors.New("} stands where the array goes on or ends")
)

// A Chunker cuts a stream into chunks: runs of whole records, about ChunkSize bytes each.
// Where it cuts depends on the stream's bytes alone, not on how they arrive. It holds at
// most one chunk's worth of bytes between calls.
//
// The first chunk of an array begins with its bracket, the others with an element; all but
// the last end behind the comma that follows one. The last ends with the input.
type Chunker struct {
	in    refill.Stream
	form  Form
	begun bool // the array's first bracket was read
	ended bool // and its last one
}

// NewChunker returns a Chunker of r that takes no record longer than maxRecord bytes for
// one.
func NewChunker(r io.Reader, maxRecord int) *Chunker {
	return &Chunker{in: refill.New(r, ChunkSize, maxRecord)}
}

// NewChunkerAt returns a Chunker of what follows a chunk that another one of the same input
// has cut. last is the last byte of that chunk.
func NewChunkerAt(r io.Reader, maxRecord int, form Form, last byte) *Chunker {
	c := NewChunker(r, maxRecord)
	c.form, c.begun = form, true
	c.ended = form == Array && last != ','
	return c
}

// SetSize changes the usual length of chunks, for tests of what depends on where an input is
// cut.
func (c *Chunker) SetSize(size int) { c.in.Size = size }

// Form returns the form of the input, Unknown before the first Next.
func (c *Chunker) Form() Form { return c.form }

// Next returns the next chunk, in buf if it is large enough.
//
// After the last chunk Next returns io.EOF. With a *FrameError or a *refill.TooLongError it
// also returns the bytes from the chunk's start. Other errors are the reader's.
func (c *Chunker) Next(buf []byte) ([]byte, error) {
	buf = c.in.Begin(buf)
	if c.form == Unknown && len(buf) > 0 {
		c.form = FormOf(buf)
	}
	var end int
	var err error
	switch {
	case c.in.Failed() != nil:
	case c.form == Array:
		buf, end, err = c.cutArray(buf)
	default:
		buf, end, err = c.cutLines(buf)
	}
	switch {
	case c.in.Failed() != nil:
		return buf[:0], c.in.Failed()
	case err != nil:
		return buf, err
	case end == 0:
		return buf, io.EOF
	}
	return c.in.Cut(buf, end), nil
}

// cutLines returns the end of the chunk at the beginning of buf: the last line break within
// size bytes, or, if there is none, the first one behind them.
func (c *Chunker) cutLines(buf []byte) (_ []byte, end int, err error) {
	end = bytes.LastIndexByte(buf, '\n') + 1
	for from := len(buf); end == 0 && !c.in.Ended(); from = len(buf) {
		if buf, err = c.in.More(buf, 0); err != nil {
			return buf, 0, err
		}
		if i := bytes.IndexByte(buf[from:], '\n'); i >= 0 {
			end = from + i + 1
		}
	}
	if end == 0 || len(buf) < c.in.Size { // also at the end of the input: how it arrives must not matter
		end = len(buf)
	}
	return buf, linesEnd(buf[:end], maxRecords), nil
}

// linesEnd returns the position behind the first n lines of b, all of b if it has no more.
func linesEnd(b []byte, n int) int {
	if bytes.Count(b, []byte{'\n'}) <= n {
		return len(b)
	}
	end := 0
	for range n {
		end += bytes.IndexByte(b[end:], '\n') + 1
	}
	return end
}

// cutArray returns the end of the chunk at the beginning of buf: behind the last comma
// between elements within size bytes, or, if there is none, behind the first one that
// follows.
func (c *Chunker) cutArray(buf []byte) (_ []byte, end int, err error) {
	x := extent{}
	first := false
	if !c.begun {
		c.begun, first = true, true
		x.at = skipBlanks(buf, 0) + 1
	}
	if c.ended {
		return c.cutTail(buf, 0)
	}
	for records := 0; records < maxRecords; {
		at := x.next(buf)
		switch {
		case at < 0 && end > 0 && len(buf) >= c.in.Size:
			return buf, end, nil
		case at < 0 && c.in.Ended():
			return buf, 0, &FrameError{At: len(buf), Err: errOpen}
		case at < 0:
			if buf, err = c.in.More(buf, 0); err != nil {
				return buf, 0, err
			}
			continue
		case at >= c.in.Size && end > 0:
			return buf, end, nil
		case buf[at] == '}':
			return buf, 0, &FrameError{At: at, Err: errBracket}
		case !x.filled && (buf[at] == ',' || !first || records > 0):
			return buf, 0, &FrameError{At: at, Err: errMissing}
		case buf[at] == ']':
			c.ended = true
			return c.cutTail(buf, at+1)
		}
		records++
		end = at + 1
		x = extent{at: end}
	}
	return buf, end, nil
}

// cutTail is cutArray for the end of the array, which buf has before from. So few blanks may
// follow that they need no chunk of their own.
func (c *Chunker) cutTail(buf []byte, from int) (_ []byte, end int, err error) {
	most := from + c.in.Size
	buf = c.in.Fill(buf, most+1)
	if at := skipBlanks(buf, from); at < len(buf) || at > most {
		return buf, 0, &FrameError{At: at, Err: errAfter}
	}
	return buf, len(buf), nil
}
