package input

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// A gzipReader reads the members of a gzip file one after the other. Zeros after the
// last one are padding, as tapes and some tools leave it; gzip takes them, too. What
// else follows is an error: it may be data that were damaged.
type gzipReader struct {
	stored *bufio.Reader
	member *gzip.Reader
}

// errTrailing reports bytes after the compressed data.
var errTrailing = errors.New("gzip: bytes that are neither zeros nor compressed data follow the compressed data; " +
	"if they do not belong to the file cut them off, if they do it is damaged")

func newGzipReader(stored *bufio.Reader) (*gzipReader, error) {
	z, err := gzip.NewReader(stored)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gzipReader{stored: stored, member: z}, nil
}

func (g *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := g.member.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if n > 0 {
			return n, nil // the next call finds the end of the member once more
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
}

// next goes on to the next member. It returns io.EOF if there is none.
func (g *gzipReader) next() error {
	head, err := g.stored.Peek(2)
	switch {
	case len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b:
		if err := g.member.Reset(g.stored); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		g.member.Multistream(false)
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	return g.padding()
}

// padding reads to the end, where there must be nothing but zeros.
func (g *gzipReader) padding() error {
	for {
		b, err := g.stored.ReadByte()
		switch {
		case err != nil:
			return err
		case b != 0:
			return errTrailing
		}
	}
}
