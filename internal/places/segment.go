package places

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// A segment reads the bytes of an object from at to end, however often the connection breaks.
type segment struct {
	o   *object
	ctx context.Context
	// at is where the next byte is, and end where the last one was, -1 for the object's end
	// where nobody knows where it is.
	at, end int64
	from    *answer // nil before the store is asked
	// sum is of all bytes before at, where the segment began with the first one, nil if they
	// are not needed: the store sends what is asked for at any place.
	sum *xxhash.Digest
}

func (s *segment) Read(p []byte) (int, error) {
	for {
		if s.end >= 0 {
			if s.at >= s.end {
				s.close()
				return 0, io.EOF
			}
			p = p[:min(int64(len(p)), s.end-s.at)]
		}
		if s.from == nil {
			if err := s.open(); err != nil {
				return 0, err
			}
		}
		n, err := s.from.Read(p)
		if n > 0 {
			s.at += int64(n)
			if s.sum != nil {
				_, _ = s.sum.Write(p[:n]) // never fails
			}
			s.o.patience.succeed()
			return n, nil // what comes with err comes once more
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF) && s.end < 0:
			s.close()
			return 0, io.EOF
		}
		if err = s.again(s.broken(err)); err != nil {
			return 0, err
		}
	}
}

// broken returns why an answer ended before it should.
func (s *segment) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		// What reads the bytes must not take it for their end.
		return fmt.Errorf("the answer ends at byte %d, where more must follow", s.at)
	}
	return err
}

// again waits until the store may be asked again, from where s is.
func (s *segment) again(err error) error {
	s.close()
	if s.ctx == s.o.own {
		return err // nobody wants to wait any more
	}
	return s.o.patience.wait(s.ctx, err)
}

// open asks for what is to be read.
func (s *segment) open() error {
	n := s.end - s.at
	switch {
	case !s.o.random:
		n = everyByte
	case s.end < 0:
		n = allThatFollow
	}
	for {
		err := s.ask(n)
		if err == nil {
			return nil
		}
		if err := s.again(err); err != nil {
			return err
		}
	}
}

// ask asks once, and goes to where s is.
func (s *segment) ask(n int64) (err error) {
	at := s.at
	if !s.o.random {
		at = 0
	}
	if s.from, err = s.o.store.get(s.ctx, at, n, s.o.version); err != nil {
		return err
	}
	if how := s.o.version.differs(s.from.version); how != "" {
		return &ChangedError{How: how}
	}
	if s.from.offset < s.at {
		return s.discard(s.at - s.from.offset)
	}
	return nil
}

// discard reads the first n bytes of an answer once more, which must be what they were.
func (s *segment) discard(n int64) error {
	sum := xxhash.New()
	for buf := make([]byte, min(n, bufferLen)); n > 0; {
		got, err := s.from.Read(buf[:min(n, int64(len(buf)))])
		if n -= int64(got); n == 0 {
			_, _ = sum.Write(buf[:got])
			break
		}
		_, _ = sum.Write(buf[:got]) // never fails
		if err != nil {
			return s.broken(err)
		}
	}
	if s.sum != nil && sum.Sum64() != s.sum.Sum64() {
		return &ChangedError{How: fmt.Sprintf("its first %d bytes are others", s.at)}
	}
	return nil
}

func (s *segment) close() {
	if s.from != nil {
		s.from.close()
		s.from = nil
	}
}

// bufferLen is how much is read at a time, in bytes.
const bufferLen = 64 << 10
