package charset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// blockLen is how much is read at a time, in bytes.
const blockLen = 64 << 10

// Reader returns a reader of what r holds, converted. It asks the server as long as ctx lasts.
func (c *Converter) Reader(ctx context.Context, r io.Reader) io.ReadCloser {
	return &reader{c: c, ctx: ctx, r: r, in: make([]byte, 0, blockLen), asker: asker{c: c}}
}

// Convert returns text converted.
func (c *Converter) Convert(ctx context.Context, text []byte) ([]byte, error) {
	r := c.Reader(ctx, bytes.NewReader(text))
	converted, err := io.ReadAll(r)
	return converted, errors.Join(err, r.Close())
}

type reader struct {
	c     *Converter
	ctx   context.Context
	r     io.Reader
	in    []byte // read, and not converted yet
	out   []byte // converted, and not returned yet
	at    int    // of out
	err   error  // what r said
	asker asker
}

func (r *reader) Read(p []byte) (int, error) {
	for r.at == len(r.out) {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.out[r.at:])
	r.at += n
	return n, nil
}

func (r *reader) Close() error {
	r.asker.close()
	return nil
}

// fill reads and converts a block. It returns io.EOF at the end.
func (r *reader) fill() error {
	r.out, r.at = r.out[:0], 0
	for r.err == nil && len(r.in) < cap(r.in) {
		var n int
		n, r.err = r.r.Read(r.in[len(r.in):cap(r.in)])
		r.in = r.in[:len(r.in)+n]
		if n > 0 && len(r.in) > 3 {
			break // do not wait for more than there is
		}
	}
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return r.err
	}
	if len(r.in) == 0 {
		return r.err
	}
	rest, unknown := r.convert()
	if len(unknown) > 0 {
		if err := r.asker.ask(r.ctx, unknown); err != nil {
			return err
		}
		if rest, unknown = r.convert(); len(unknown) > 0 {
			return fmt.Errorf("%d characters of encoding %q are not known", len(unknown), r.c.encoding)
		}
	}
	r.in = append(r.in[:0], rest...)
	return nil
}

// convert converts the whole characters of in, and returns what is left: less than a character.
// It also returns the sequences of which nobody knows what they are, if there are some.
func (r *reader) convert() (rest []byte, unknown map[string]bool) {
	r.c.mu.RLock()
	defer r.c.mu.RUnlock()
	r.out = r.out[:0]
	in := r.in
	for len(in) > 0 {
		n := 0
		for n < len(in) && in[n] < 0x80 {
			n++
		}
		r.out = append(r.out, in[:n]...)
		if in = in[n:]; len(in) == 0 {
			break
		}
		sequence, whole := r.next(in)
		if !whole {
			return in, unknown
		}
		in = in[len(sequence):]
		text, ok := r.c.known[string(sequence)]
		if !ok {
			if unknown == nil {
				unknown = map[string]bool{}
			}
			unknown[string(sequence)] = true
			continue
		}
		r.out = append(r.out, text...)
	}
	return nil, unknown
}

// next returns the sequence with which in begins. One that a control character breaks off, such as
// a line break, ends before it; it is none. whole is false if more is to be read.
func (r *reader) next(in []byte) (sequence []byte, whole bool) {
	n := r.c.length(in)
	for i := 1; i < len(in) && i < max(n, 2); i++ {
		if in[i] < ' ' {
			return in[:i], true
		}
	}
	if n > 0 && n <= len(in) {
		return in[:n], true
	}
	return in, r.err != nil
}
