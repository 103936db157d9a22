package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"shardload/internal/input"
	"shardload/internal/pgcsv"
)

// A BlockSource makes its input itself, block by block: CSV records of the columns
// that Header names, without a header, each ended by a line feed. Blocks may be
// asked for in any order, more than once, and from several goroutines.
type BlockSource interface {
	Header() []string
	Len() int64 // blocks
	AppendBlock(dst []byte, i int64) []byte
}

// An Input is something that was loaded: a file, or blocks.
type Input struct {
	name   string
	blocks BlockSource
}

// File returns the input in the file at path, decompressed by its content. The
// file is read more than once.
func File(path string) Input { return Input{name: path} }

// Blocks returns the input that b makes. Errors call it name.
func Blocks(name string, b BlockSource) Input { return Input{name: name, blocks: b} }

// A chunk is a run of whole records of an input.
type chunk struct {
	input int    // index in the configuration's
	block int64  // for blocks: which one is to be made
	line  int64  // on which the chunk starts, from 1
	first bool   // whether the chunk starts with the input's first record
	data  []byte // nothing yet for blocks
	eol   pgcsv.EOL
	err   error // what is wrong with the last record
}

// open opens the file of in.
func (in Input) open() (*input.Source, error) {
	info, err := os.Stat(in.name)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("%s: is no regular file, and comparing contents needs to read it more than once", in.name)
	}
	return input.Open(in.name)
}

// firstRecord returns the first record of the file, nil if there is none.
func (in Input) firstRecord(maxRecord int) (record []byte, err error) {
	src, err := in.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	c := pgcsv.NewChunker(src, maxRecord)
	data, err := c.Next(nil)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil && !errors.Is(err, pgcsv.ErrOpenQuote):
		return nil, in.named(err)
	}
	var s pgcsv.Scanner
	s.Reset(data, c.EOL(), 1)
	s.Next()
	return s.Record(), nil
}

// named returns err with the input's name, which errors of reading have already.
func (in Input) named(err error) error {
	if errors.As(err, new(*pgcsv.TooLongError)) || errors.Is(err, pgcsv.ErrOpenQuote) {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	return err
}

// scan reads all inputs once and hands their rows to sinks, one for each of the
// goroutines that decode. At most two chunks for each are in memory.
func (d *deep) scan(ctx context.Context, newSink func(i int) sink) error {
	g, ctx := errgroup.WithContext(ctx)
	chunks := make(chan *chunk)
	free := make(chan *chunk, 2*d.cfg.Procs)
	for range cap(free) {
		free <- &chunk{}
	}
	g.Go(func() error {
		defer close(chunks)
		return d.read(ctx, chunks, free)
	})
	for i := range d.cfg.Procs {
		dec := newDecoder(d, newSink(i))
		g.Go(func() error {
			defer dec.close(ctx)
			for c := range chunks {
				if err := dec.decode(ctx, c); err != nil {
					return err
				}
				free <- c
			}
			return nil
		})
	}
	return g.Wait()
}

// read sends the chunks of all inputs.
func (d *deep) read(ctx context.Context, chunks chan<- *chunk, free chan *chunk) error {
	for i, in := range d.cfg.Inputs {
		if d.layouts[i] == nil {
			continue
		}
		read := d.readFile
		if in.blocks != nil {
			read = d.readBlocks
		}
		if err := read(ctx, i, chunks, free); err != nil {
			return err
		}
	}
	return nil
}

func (d *deep) readFile(ctx context.Context, i int, chunks chan<- *chunk, free chan *chunk) (err error) {
	in := d.cfg.Inputs[i]
	src, err := in.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	cut := pgcsv.NewChunker(src, d.cfg.Format.MaxRecord)
	for line, first := int64(1), true; ; first = false {
		c, err := receive(ctx, free)
		if err != nil {
			return err
		}
		data, err := cut.Next(c.data)
		*c = chunk{input: i, line: line, first: first, data: data, eol: cut.EOL()}
		switch {
		case errors.Is(err, io.EOF):
			free <- c
			return nil
		case errors.Is(err, pgcsv.ErrOpenQuote):
			c.err = err
		case err != nil:
			return in.named(err)
		}
		line += pgcsv.Lines(data, c.eol)
		last := c.err != nil
		if err := send(ctx, chunks, c); err != nil || last {
			return err
		}
	}
}

func (d *deep) readBlocks(ctx context.Context, i int, chunks chan<- *chunk, free chan *chunk) error {
	for block := range d.cfg.Inputs[i].blocks.Len() {
		c, err := receive(ctx, free)
		if err != nil {
			return err
		}
		*c = chunk{input: i, block: block, line: 1, data: c.data[:0], eol: pgcsv.LF}
		if err := send(ctx, chunks, c); err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, ch chan<- *chunk, c *chunk) error {
	select {
	case ch <- c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func receive(ctx context.Context, ch <-chan *chunk) (*chunk, error) {
	select {
	case c := <-ch:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
