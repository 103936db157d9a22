package places

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// aheadFrom is after how many bytes of a stream others are read ahead: who only looks at the
// beginning needs none. In bytes.
const aheadFrom = 2 << 20

// A stream reads an object from a place to its end. While its bytes are read the next ones are
// asked for, in as many requests as the budget has blocks.
type stream struct {
	o      *object
	ctx    context.Context
	cancel context.CancelFunc

	began, at int64    // of the next byte
	direct    *segment // what is read as it comes, nil for nothing
	ended     bool     // it was read to an end of which nobody had said where it is
	ahead     []*block // what follows
	fillers   sync.WaitGroup
}

// newStream returns a stream from offset on.
func newStream(o *object, offset int64) *stream {
	s := &stream{o: o, began: offset, at: offset}
	s.ctx, s.cancel = context.WithCancel(o.reading)
	if offset == 0 && o.first != nil {
		s.direct, o.first = o.first, nil
	}
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		n, err := s.next(p)
		s.at += int64(n)
		switch {
		case n > 0 || len(p) == 0:
			s.readAhead()
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, err
		case s.direct != nil:
			s.direct.close()
			s.direct = nil
			s.ended = s.o.version.size < 0
		case len(s.ahead) > 0:
			s.o.budget.giveBlock(s.ahead[0].bytes)
			s.ahead = s.ahead[1:]
		default:
			return 0, io.EOF
		}
	}
}

// next reads from what comes next. io.EOF is the end of that.
func (s *stream) next(p []byte) (int, error) {
	switch {
	case s.direct != nil:
		return s.direct.Read(p)
	case len(s.ahead) > 0:
		return s.ahead[0].readAt(p, s.at)
	case s.ended, s.o.version.size >= 0 && s.at >= s.o.version.size:
		return 0, io.EOF
	}
	s.direct = &segment{o: s.o, ctx: s.ctx, at: s.at, end: s.o.version.size}
	if !s.o.random {
		s.direct.sum = xxhash.New()
	}
	if s.o.budget.block > 0 {
		s.direct.end = min(s.direct.end, s.at+s.o.budget.block)
	}
	return s.direct.Read(p)
}

// readAhead asks for what follows, as far as there is memory.
func (s *stream) readAhead() {
	if !s.o.random || s.at-s.began < aheadFrom {
		return
	}
	for len(s.ahead) < aheadBlocks {
		start := s.at
		if s.direct != nil {
			start = s.direct.end
		}
		if n := len(s.ahead); n > 0 {
			start = s.ahead[n-1].end
		}
		if start >= s.o.version.size {
			return
		}
		bytes := s.o.budget.takeBlock()
		if bytes == nil {
			return
		}
		b := newBlock(bytes, start, min(start+int64(len(bytes)), s.o.version.size))
		s.ahead = append(s.ahead, b)
		s.fillers.Go(func() { b.fill(&segment{o: s.o, ctx: s.ctx, at: b.start, end: b.end}) })
	}
}

// close ends all requests and waits for them.
func (s *stream) close() {
	s.cancel()
	if s.direct != nil {
		s.direct.close()
	}
	s.fillers.Wait()
	for _, b := range s.ahead {
		s.o.budget.giveBlock(b.bytes)
	}
	s.direct, s.ahead = nil, nil
}

// A block is bytes that are read ahead.
type block struct {
	start, end int64
	bytes      []byte

	mu     sync.Mutex
	grown  sync.Cond
	filled int // bytes that are there
	err    error
}

func newBlock(bytes []byte, start, end int64) *block {
	b := &block{start: start, end: end, bytes: bytes}
	b.grown.L = &b.mu
	return b
}

// fill reads all of b.
func (b *block) fill(from *segment) {
	defer from.close()
	length := int(b.end - b.start)
	for filled := 0; filled < length; {
		n, err := from.Read(b.bytes[filled:length])
		filled += n
		b.mu.Lock()
		b.filled, b.err = filled, err
		b.mu.Unlock()
		b.grown.Broadcast()
		if err != nil {
			return
		}
	}
}

// readAt returns bytes at that place of the object, once they are there. io.EOF is the end of b.
func (b *block) readAt(p []byte, at int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := int(at - b.start)
	if at >= b.end {
		return 0, io.EOF
	}
	for b.filled <= from {
		if b.err != nil {
			return 0, b.err
		}
		b.grown.Wait()
	}
	return copy(p, b.bytes[from:b.filled]), nil
}
