package input

import (
	"context"

	"shardload/internal/pgcsv"
)

// Cut returns the chunker's next chunk, which it reads of s, in buf if that is large enough.
//
// Nothing can interrupt a Read that waits, for the writer of a pipe or for somebody to type.
// When ctx ends meanwhile the Read is abandoned: the Source is closed once it returns, and
// must not be read any more.
func (s *Source) Cut(ctx context.Context, chunker *pgcsv.Chunker, buf []byte) ([]byte, error) {
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
