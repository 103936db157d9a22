package loader

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"

	"github.com/gocarina/gocsv"

	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/places"
)

// An Input is something to load. File, Reader, Blocks and Records make one.
type Input struct {
	name string
	path string // of a file, "" for others
	job  string // by which a later run finds its load, "" for path or name
	// repeats says that it can be opened again.
	repeats bool
	open    func(ctx context.Context, how input.Reading) (input.Feed, error)
	set     *partSet // nil for one input
	format  Format   // of a part, "" for Config.Format
	alone   *Input   // the same as one input, nil if it is none
}

// reading says how the Loader reads inputs.
func (c *Config) reading() input.Reading {
	return input.Reading{
		Format: transcribed[c.Format], MaxRecord: c.MaxRecord, Dialect: c.dialect(), Skip: c.Skip,
		Chunk: cmp.Or(c.paces.chunk, pgcsv.ChunkSize), Compression: input.Compression(c.Compression),
		Access: input.Access{RetryFor: c.RetryFor, ReadAhead: c.Memory / aheadShare, Log: c.Log},
	}
}

// aheadShare is which part of Config.Memory is for what is read ahead of an object in a store, beside
// it.
const aheadShare = 8

// streamInput returns the Input of the bytes that open opens.
func streamInput(name string, open func(context.Context, input.Compression) (*input.Source, error)) Input {
	return Input{name: name, open: func(ctx context.Context, how input.Reading) (input.Feed, error) {
		src, err := open(ctx, how.Compression)
		if err != nil {
			return nil, err
		}
		return input.NewFeed(src, how)
	}}
}

// Name returns what errors call the input.
func (in Input) Name() string { return in.name }

// WithJob returns the input under the name by which a later run finds its load, if
// Config.Job names none: in place of a file's path, or the input's name.
func (in Input) WithJob(name string) Input {
	in.job = name
	return in
}

// File returns the input in the file at path, which is decompressed: see
// Config.Compression.
func File(path string) Input {
	in := Input{name: path, path: path, open: func(_ context.Context, how input.Reading) (input.Feed, error) { return input.OpenFeed(path, how) }}
	info, err := os.Stat(path)
	in.repeats = err == nil && info.Mode().IsRegular()
	return in
}

// URL returns the input that lies at an https, http or s3 URL, which is decompressed: see
// Config.Compression. header is sent to servers of http and https, and not to where they redirect.
// Errors, and the job, call it by the URL without user, password and query (of a query that says
// more than what looks like a secret, a hash is left). A store that fails is tried again, for
// Config.RetryFor, from the byte where it broke off; an object that is changed meanwhile is refused.
// What is read ahead takes an eighth of Config.Memory, beside it. Credentials come from the
// environment: see docs/places.md.
func URL(url string, header http.Header) Input {
	name := places.Identity(url)
	return Input{name: name, repeats: true, open: func(ctx context.Context, how input.Reading) (input.Feed, error) {
		at, err := places.Locate(url, places.Options{RetryFor: how.Access.RetryFor, ReadAhead: how.Access.ReadAhead, Log: how.Access.Log, Header: header})
		if err != nil {
			return nil, err
		}
		return at.Feed(ctx, how)
	}}
}

// Reader returns the input that r holds, which is decompressed: see
// Config.Compression. Errors call it name. It can be loaded once.
func Reader(name string, r io.Reader) Input {
	return streamInput(name, func(_ context.Context, as input.Compression) (*input.Source, error) { return input.New(name, r, as) })
}

// Records returns the input made of typed rows, whose csv tags name the columns.
// The first error of seq stops the load. gocsv writes the rows, so this is for
// transforms, not for speed.
func Records[T any](name string, seq iter.Seq2[T, error]) Input {
	in := streamInput(name, func(ctx context.Context, _ input.Compression) (*input.Source, error) {
		r, w := io.Pipe()
		stop := context.AfterFunc(ctx, func() { _ = r.CloseWithError(context.Cause(ctx)) })
		go func() {
			w.CloseWithError(writeRecords(w, seq))
			stop()
		}()
		return input.NewCloser(name, r, input.None)
	})
	open := in.open
	in.open = func(ctx context.Context, how input.Reading) (input.Feed, error) {
		if err := how.Made(); err != nil {
			return nil, err
		}
		return open(ctx, how)
	}
	return in
}

// writeRecords writes seq as CSV with a header.
func writeRecords[T any](w io.Writer, seq iter.Seq2[T, error]) error {
	records := make(chan any)
	written := make(chan error, 1)
	out := gocsv.DefaultCSVWriter(w)
	go func() { written <- gocsv.MarshalChan(records, out) }()
	var failed error
	for record, err := range seq {
		if failed = err; err != nil {
			break
		}
		select {
		case records <- record:
			continue
		case failed = <-written:
		}
		break
	}
	close(records)
	if failed != nil {
		return failed
	}
	return <-written
}

// Read returns the records of r, CSV with a header, one at a time. After an error
// there are no more.
func Read[T any](r io.Reader) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		u, err := gocsv.NewUnmarshaller(csv.NewReader(r), zero)
		if err != nil {
			yield(zero, err)
			return
		}
		for {
			v, err := u.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			record, ok := v.(T)
			if err == nil && !ok {
				err = fmt.Errorf("gocsv made a %T of a record, want a %T", v, zero)
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// A BlockSource makes its input itself, block by block. A block is whole CSV
// records in PostgreSQL's default dialect, each ended by a newline, and always the
// same bytes. Blocks may be asked for in any order and by several goroutines at
// once; they should be of about 1 MiB or less.
type BlockSource interface {
	// Header returns the names of the columns. Blocks do not repeat them.
	Header() []string
	// Len returns the number of blocks.
	Len() int64
	// AppendBlock appends block i to dst and returns the result.
	AppendBlock(dst []byte, i int64) []byte
}

// Blocks returns the input that b makes. Errors call it name, and count its lines
// from 1 in the first block. Blocks are made by the goroutines that decode them.
func Blocks(name string, b BlockSource) Input {
	return Input{name: name, repeats: true, open: func(_ context.Context, how input.Reading) (input.Feed, error) { return input.NewBlocks(b, how) }}
}
