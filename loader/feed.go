package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
)

// A feed gives an input's chunks, one after the other. Only one goroutine at a
// time uses it, but for far.
type feed interface {
	// header returns the names of the columns that the input itself gives apart
	// from its records, nil if it gives none.
	header() []string

	// next returns the next chunk, in buf if it is large enough, and io.EOF after
	// the last one. Errors name the input and, where a record is at fault, its line.
	next(ctx context.Context, buf []byte) (*chunk, error)

	// skipTo goes to the chunk of that number, which is not the first and begins
	// at place.
	skipTo(ctx context.Context, chunk int64, place ledger.Place) error

	// fingerprint tells the input from others. first is its first chunk.
	fingerprint(first *chunk) (ledger.Fingerprint, error)

	// far returns how much of the input has been read and how much there is, -1 if
	// that is unknown. The unit is the feed's own.
	far() (done, total int64)

	close() error
}

// A csvFeed cuts a stream of CSV into chunks.
type csvFeed struct {
	src       *input.Source
	chunker   *pgcsv.Chunker
	maxRecord int
	number    int64 // of the next chunk
	place     ledger.Place
	// abandoned says that a Read still waits; the source is closed after it.
	abandoned atomic.Bool
	// keepOpen says that a last record which ends inside quotes is a record.
	keepOpen bool
}

// chunkSize is the usual length of a chunk in bytes. Tests change it.
var chunkSize = pgcsv.ChunkSize

func newCSVFeed(src *input.Source, maxRecord int) *csvFeed {
	f := &csvFeed{src: src, chunker: pgcsv.NewChunker(src, maxRecord), maxRecord: maxRecord, place: ledger.Place{Line: 1}}
	f.chunker.SetSize(chunkSize)
	return f
}

func (f *csvFeed) header() []string { return nil }

func (f *csvFeed) next(ctx context.Context, buf []byte) (*chunk, error) {
	data, err := f.cut(ctx, buf)
	open := f.keepOpen && errors.Is(err, pgcsv.ErrOpenQuote)
	if err != nil && !open {
		return nil, f.explain(data, err)
	}
	c := &chunk{number: f.number, line: f.place.Line, offset: f.place.Offset, data: data, eol: f.chunker.EOL(), open: open,
		size: int64(len(data)), lines: pgcsv.Lines(data, f.chunker.EOL())}
	f.number++
	f.place.Offset += c.size
	f.place.Line += c.lines
	return c, nil
}

// cut returns the next chunk's bytes.
//
// Nothing can interrupt a Read that waits, for somebody to type for example. When
// ctx ends meanwhile the Read is abandoned: the source is closed once it returns.
func (f *csvFeed) cut(ctx context.Context, buf []byte) ([]byte, error) {
	type cut struct {
		data []byte
		err  error
	}
	cuts := make(chan cut, 1)
	go func() {
		data, err := f.chunker.Next(buf)
		cuts <- cut{data, err}
	}()
	select {
	case c := <-cuts:
		return c.data, c.err
	case <-ctx.Done():
		f.abandoned.Store(true)
		go func() {
			<-cuts
			_ = f.src.Close() // nobody is left to hear of it
		}()
		return nil, context.Cause(ctx)
	}
}

// explain returns the chunker's error with its place. data are the bytes from the
// chunk's start on that the chunker looked at.
func (f *csvFeed) explain(data []byte, err error) error {
	long, tooLong := errors.AsType[*pgcsv.TooLongError](err)
	if !tooLong && !errors.Is(err, pgcsv.ErrOpenQuote) {
		return err
	}
	var s pgcsv.Scanner
	for s.Reset(data, f.chunker.EOL(), f.place.Line); s.Next(); {
	}
	row := &RowError{File: f.src.Name, Line: s.Line(), Err: err, Keepable: true}
	if tooLong {
		row.Err, row.Keepable = tooLongError(long.Max), false
	}
	return row
}

// skipTo goes there at once in a plain file, and else reads what is in front.
func (f *csvFeed) skipTo(ctx context.Context, number int64, place ledger.Place) error {
	if f.src.Plain() {
		if err := f.src.SeekTo(place.Offset); err != nil {
			return err
		}
		f.chunker = pgcsv.NewChunkerAt(f.src, f.maxRecord, f.chunker.EOL())
		f.chunker.SetSize(chunkSize)
		f.number, f.place = number, place
		return nil
	}
	for buf := []byte(nil); f.number < number; {
		c, err := f.next(ctx, buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		buf = c.data
	}
	if f.number != number || f.place.Offset != place.Offset || f.place.Line != place.Line {
		return fmt.Errorf("%s: is not the input that an earlier run has begun to load: it ends or is cut elsewhere; "+
			"give that one, load this one under another --job, or empty the table and begin anew with --replace", f.src.Name)
	}
	return nil
}

func (f *csvFeed) fingerprint(first *chunk) (ledger.Fingerprint, error) {
	head, tail, isFile, err := f.src.Fingerprint()
	if err != nil {
		return ledger.Fingerprint{}, err
	}
	if isFile {
		print := ledger.Fingerprint{Size: f.src.Size, Head: head, Tail: tail}
		if f.src.Plain() {
			print.Unit = ledger.Bytes
		}
		return print, nil
	}
	return ledger.Fingerprint{Size: -1, Head: hashOf(first.data)}, nil
}

func (f *csvFeed) far() (done, total int64) { return f.src.BytesRead(), f.src.Size }

func (f *csvFeed) close() error {
	if f.abandoned.Load() {
		return nil
	}
	return f.src.Close()
}
