package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"shardload/internal/input"
	"shardload/internal/pgcsv"
)

// A BlockSource makes its input itself, block by block: CSV records of the columns
// that Header names, without a header, each ended by a line feed. Blocks may be
// asked for in any order, more than once, and from several goroutines.
type BlockSource = input.BlockSource

// An Input is something that was loaded: a file, or blocks.
type Input struct {
	at     input.Location
	blocks BlockSource
	as     *Reading // nil for that of the configuration
}

// File returns the input in the file at path, which is decompressed as the Reading says.
// The file is read more than once.
func File(path string) Input { return At(input.Path(path)) }

// At returns the input that lies at a location, as File does.
func At(at input.Location) Input { return Input{at: at} }

// As returns the input, which is read in another way than the configuration says. The encoding is the
// same.
func (in Input) As(how Reading) Input {
	in.as = &how
	return in
}

// Blocks returns the input that b makes. Errors call it name.
func Blocks(name string, b BlockSource) Input { return Input{at: input.Path(name), blocks: b} }

// inputs are all that was loaded into the table.
type inputs struct {
	list    []Input
	reading Reading
	layouts []*layout // of the inputs; nil for one without records
	rejects rejects
}

// how returns how an input is read.
func (in *inputs) how(i int) *Reading {
	if i < len(in.list) && in.list[i].as != nil {
		return in.list[i].as
	}
	return &in.reading
}

// settle fills in how inputs are read that have their own way.
func (in *inputs) settle() {
	in.list = slices.Clone(in.list)
	for i, one := range in.list {
		if one.as != nil {
			how := one.as.withDefaults()
			how.Encoding, how.charset = in.reading.Encoding, in.reading.charset
			in.list[i].as = &how
		}
	}
}

// A chunk is a run of whole records of an input.
type chunk struct {
	*input.Chunk
	of      int             // index of the input in the configuration's
	decoded *sync.WaitGroup // of the input's chunks
}

// open opens the input.
func (in Input) open(ctx context.Context, how Reading) (input.Feed, error) {
	cut := input.Reading{Format: how.Input, MaxRecord: how.MaxRecord, Dialect: how.dialect, Skip: how.Skip, Chunk: pgcsv.ChunkSize, Compression: how.Compression}
	if how.charset != nil {
		cut.Convert = func(r io.Reader) io.ReadCloser { return how.charset.Reader(ctx, r) }
	}
	if in.blocks != nil {
		return input.NewBlocks(in.blocks, cut)
	}
	if in.at.Open == nil {
		info, err := os.Stat(in.at.Name)
		if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
			return nil, fmt.Errorf("%s: is no regular file, and comparing contents needs to read it more than once", in.at.Name)
		}
	}
	feed, err := in.at.Feed(ctx, cut)
	if f, ok := feed.(input.Bytes); ok {
		f.KeepOpen() // the record is named with the others that are none
	}
	return feed, err
}

// firstRecord returns the first record of the file, nil if there is none.
func (in Input) firstRecord(ctx context.Context, how Reading) (record []byte, err error) {
	feed, err := in.open(ctx, how)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	c, err := feed.Next(ctx, nil)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := c.Scanner(how.dialect)
	s.Next()
	return s.Record(), nil
}

// scan reads all inputs once, several at a time, and hands their rows to sinks, one for each of the
// goroutines that decode. At most two chunks for each are in memory.
func (d *deep) scan(ctx context.Context, newSink func(i int) sink) error {
	g, ctx := errgroup.WithContext(ctx)
	chunks := make(chan chunk)
	free := make(chan []byte, 2*d.cfg.Procs)
	for range cap(free) {
		free <- nil
	}
	g.Go(func() error {
		defer close(chunks)
		return d.read(ctx, chunks, free, d.cfg.Procs)
	})
	for i := range d.cfg.Procs {
		dec := newDecoder(d, newSink(i))
		g.Go(func() error {
			defer dec.close()
			for c := range chunks {
				err := dec.decode(ctx, c)
				c.decoded.Done()
				if err != nil {
					return err
				}
				free <- c.Buffer()
			}
			return nil
		})
	}
	return g.Wait()
}

// read sends the chunks of all inputs, of which so many are open at once.
func (in *inputs) read(ctx context.Context, chunks chan<- chunk, free chan []byte, most int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(most)
	for i := range in.list {
		if in.layouts[i] != nil && ctx.Err() == nil {
			g.Go(func() error { return in.readInput(ctx, i, chunks, free) })
		}
	}
	return g.Wait()
}

// readInput sends the chunks of one input.
func (in *inputs) readInput(ctx context.Context, i int, chunks chan<- chunk, free chan []byte) (err error) {
	feed, err := in.list[i].open(ctx, *in.how(i))
	if err != nil {
		return err
	}
	var decoded sync.WaitGroup
	defer func() {
		if _, typed := feed.(input.Typed); typed { // of which chunks are read as they are decoded
			decoded.Wait()
		}
		err = errors.Join(err, feed.Close())
	}()
	for {
		buf, err := receive(ctx, free)
		if err != nil {
			return err
		}
		c, err := feed.Next(ctx, buf)
		if err == nil && c.Number == 0 {
			err = in.layouts[i].setFields(feed)
		}
		if errors.Is(err, io.EOF) {
			free <- buf // never blocks: it has room for all there are
			return nil
		}
		if err != nil {
			return err
		}
		decoded.Add(1)
		if err := send(ctx, chunks, chunk{c, i, &decoded}); err != nil {
			decoded.Done()
			return err
		}
	}
}

func send(ctx context.Context, ch chan<- chunk, c chunk) error {
	select {
	case ch <- c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func receive(ctx context.Context, ch <-chan []byte) ([]byte, error) {
	select {
	case buf := <-ch:
		return buf, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
