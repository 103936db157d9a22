// Package refill reads a stream for those who cut it into chunks of whole records: what
// follows a cut is kept for the next chunk, and a record may be longer than a chunk.
package refill

import (
	"errors"
	"fmt"
	"io"
)

// A TooLongError reports a record longer than one is believed to be.
type TooLongError struct{ Max int }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the record is longer than %d bytes", e.Max)
}

// A Stream is read into the buffers of chunks. It holds what follows the last cut, at most
// one chunk's worth of bytes.
type Stream struct {
	Size      int // usual length of a chunk in bytes
	MaxRecord int // of the longest record, in bytes

	r     io.Reader
	carry []byte // read already, behind the last cut
	err   error  // what r said, to be returned once carry is used up
}

// New returns the Stream of r.
func New(r io.Reader, size, maxRecord int) Stream {
	return Stream{Size: size, MaxRecord: maxRecord, r: r}
}

// Begin returns the bytes that follow the last cut, in buf if that is large enough: those of
// a chunk, if there are so many.
func (s *Stream) Begin(buf []byte) []byte {
	buf = append(buf[:0], s.carry...)
	s.carry = s.carry[:0]
	return s.Fill(buf, s.Size)
}

// Fill reads until buf has n bytes or the reader has no more.
func (s *Stream) Fill(buf []byte, n int) []byte {
	if cap(buf) < n && s.err == nil {
		// A long record is read in many steps, and copied in few.
		grown := make([]byte, len(buf), max(n, min(2*cap(buf), s.MaxRecord+1)))
		copy(grown, buf)
		buf = grown
	}
	for len(buf) < n && s.err == nil {
		var k int
		k, s.err = s.r.Read(buf[len(buf):n])
		buf = buf[:len(buf)+k]
	}
	return buf
}

// More is Fill for a record that begins at base and is longer than a chunk. The error is a
// *TooLongError.
func (s *Stream) More(buf []byte, base int) ([]byte, error) {
	n := len(buf) - base
	if n > s.MaxRecord {
		return buf, &TooLongError{Max: s.MaxRecord}
	}
	return s.Fill(buf, base+min(n+s.Size, max(s.MaxRecord+1, n+1))), nil
}

// Cut ends the chunk at the beginning of buf there. What follows is kept for the next one.
func (s *Stream) Cut(buf []byte, end int) []byte {
	s.carry = append(s.carry, buf[end:]...)
	return buf[:end]
}

// Rest reports whether anything follows the last cut.
func (s *Stream) Rest() bool {
	if s.err == nil {
		s.carry = s.Fill(s.carry, len(s.carry)+1)
	}
	return len(s.carry) > 0
}

// Ended reports whether the reader has no more, for whatever reason.
func (s *Stream) Ended() bool { return s.err != nil }

// Failed returns what the reader said in place of more bytes, unless that is its end.
func (s *Stream) Failed() error {
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}
