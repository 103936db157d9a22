package input

import "context"

// A Chunker cuts what it reads of a Source into chunks.
type Chunker interface {
	// Next returns the next chunk, in buf if that is large enough.
	Next(buf []byte) ([]byte, error)
}

// Cut returns the chunker's next chunk, which it reads of s, in buf if that is large enough.
//
// Nothing can interrupt a Read that waits, for the writer of a pipe or for somebody to type.
// When ctx ends meanwhile the Read is abandoned: the Source is closed once it returns, and
// must not be read any more.
func (s *Source) Cut(ctx context.Context, chunker Chunker, buf []byte) ([]byte, error) {
	type cut struct {
		data []byte
		err  error
	}
	cuts := make(chan cut, 1)
	go func() {
		data, err := chunker.Next(buf)
		cuts <- cut{data, err}
	}()
	select {
	case c := <-cuts:
		return c.data, c.err
	case <-ctx.Done():
		s.abandoned.Store(true)
		go func() {
			<-cuts
			_ = s.closeAll() // nobody is left to hear of it
		}()
		return nil, context.Cause(ctx)
	}
}
