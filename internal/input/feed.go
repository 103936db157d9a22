package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/internal/refill"
	"shardload/loader/failure"
)

// A Feed gives an input's chunks, one after the other. Only one goroutine at a
// time uses it, but for far.
type Feed interface {
	// Header returns the names of the columns that the input itself gives apart
	// from its records, nil if it gives none.
	Header() []string

	// Next returns the next chunk, in buf if it is large enough, and io.EOF after
	// the last one. Errors name the input and, where a record is at fault, its line.
	Next(ctx context.Context, buf []byte) (*Chunk, error)

	// SkipTo goes to the chunk of that number, which is not the first and begins
	// at place. It calls passed for each chunk that it reads on the way.
	SkipTo(ctx context.Context, chunk int64, place ledger.Place, passed func(*Chunk)) error

	// Fingerprint tells the input from others. first is its first chunk.
	Fingerprint(first *Chunk) (ledger.Fingerprint, error)

	// Far returns how much of the input has been read and how much there is, -1 if
	// that is unknown. The unit is the feed's own.
	Far() (done, total int64)

	Close() error
}

// A Bytes is the feed of an input in bytes. What it can do besides is asked of it once,
// by a type assertion.
type Bytes interface {
	Feed

	// KeepOpen says that a last record which ends inside quotes is a record.
	KeepOpen()
	// Limit makes the next n bytes all there is. Nothing was read of them yet.
	Limit(n int64)
	// Plain reports whether it is a file that is not compressed: its offsets are the file's.
	Plain() bool
	// ReadAt reads bytes at an offset once more, of a plain file.
	ReadAt(p []byte, offset int64) error
	// Ends returns what a fingerprint would say of the first bytes of a plain file.
	Ends(size int64) (head, tail string, err error)
	// BehindBreak returns end, or, where the last record had no line break when it was
	// loaded, the place behind the one that it has now. The error is ErrGoesOn if that
	// record goes on.
	BehindBreak(end ledger.Place) (ledger.Place, error)
	// Touched reports whether somebody has changed the file since it was opened, and
	// timeTells whether its time of change would tell.
	Touched() (touched, timeTells bool, err error)
}

// A csvFeed cuts a stream of CSV, or of COPY's text format, into chunks.
type csvFeed struct {
	ofSource
	chunker *pgcsv.Chunker
	Reading
	open bool // a last record which ends inside quotes is a record
}

func (f *csvFeed) KeepOpen() { f.open = true }

// IsPlain reports whether f is of a file that is not compressed.
func IsPlain(f Feed) bool {
	of, ok := f.(Bytes)
	return ok && of.Plain()
}

// NewFeed returns the feed of src, which it closes.
func NewFeed(src *Source, how Reading) (Feed, error) {
	switch how.Format {
	case Delimited:
		if how.Convert != nil {
			src.Convert(how.Convert)
		}
		return newCSV(src, how), nil
	case JSON:
		return newJSON(src, how), nil
	case Parquet:
		return nil, errors.Join(errNoFile(src.Name), src.Close())
	default:
		return nil, errors.Join(fmt.Errorf("inputs cannot be read in format %d", how.Format), src.Close())
	}
}

// OpenFeed returns the feed of the file at path.
func OpenFeed(path string, how Reading) (Feed, error) {
	return Path(path).Feed(context.Background(), how)
}

// newCSV returns the feed of the bytes of src.
func newCSV(src *Source, how Reading) Bytes {
	f := &csvFeed{ofSource: newOfSource(src), chunker: pgcsv.NewChunker(src, how.MaxRecord), Reading: how}
	f.adjust()
	return f
}

// adjust tells a new chunker what it is to know.
func (f *csvFeed) adjust() {
	f.chunker.SetSize(f.Chunk)
	f.chunker.SetDialect(f.Dialect)
	if f.place.Offset == 0 {
		f.chunker.SetSkip(f.Skip)
	}
}

func (f *csvFeed) Header() []string { return nil }

func (f *csvFeed) Next(ctx context.Context, buf []byte) (*Chunk, error) {
	data, err := f.src.Cut(ctx, f.chunker, buf)
	open := f.open && errors.Is(err, pgcsv.ErrOpenQuote)
	if err != nil && !open {
		return nil, f.explain(data, err)
	}
	skipped := f.chunker.Skipped()
	c := f.chunk(data, f.chunker.EOL())
	c.Open, c.Skipped = open, skipped
	return c, nil
}

// explain returns the chunker's error with its place. data are the bytes from the
// chunk's start on that the chunker looked at.
func (f *csvFeed) explain(data []byte, err error) error {
	if !pgcsv.Unnamed(err) {
		return err
	}
	if _, short := errors.AsType[*pgcsv.SkipError](err); short {
		return fmt.Errorf("%s: %w", f.src.Name, err)
	}
	long, tooLong := errors.AsType[*refill.TooLongError](err)
	s := (&Chunk{Line: f.place.Line, Data: data, EOL: f.chunker.EOL(), Skipped: f.chunker.Skipped()}).Scanner(f.Dialect)
	for s.Next() {
	}
	row := &failure.RowError{File: f.src.Name, Line: s.Line(), Err: err, Keepable: errors.Is(err, pgcsv.ErrOpenQuote)}
	if tooLong {
		row.Err = failure.TooLongError(long.Max)
	}
	return row
}

// SkipTo goes there at once in a plain file, and else reads what is in front.
func (f *csvFeed) SkipTo(ctx context.Context, number int64, place ledger.Place, passed func(*Chunk)) error {
	if f.src.Plain() {
		if err := f.src.SeekTo(place.Offset); err != nil {
			return err
		}
		f.chunker = pgcsv.NewChunkerAt(f.src, f.MaxRecord, f.chunker.EOL())
		f.number, f.place = number, place
		f.adjust()
		return nil
	}
	return f.readTo(ctx, f, number, place, passed)
}

func (f *csvFeed) Limit(n int64) {
	f.chunker = pgcsv.NewChunkerAt(io.LimitReader(f.src, n), f.MaxRecord, f.chunker.EOL())
	f.adjust()
}

// A Format is a kind of input.
type Format byte

// The formats of inputs.
const (
	// Delimited is that of the dialects of COPY.
	Delimited Format = iota
	// JSON is objects, one on each line or in an array.
	JSON
	// Parquet is that of Apache Parquet. Only files have it.
	Parquet
)

// A Reading is how an input is read.
type Reading struct {
	Format    Format
	MaxRecord int
	// Dialect is that of the records, or of their transcript.
	Dialect pgcsv.Dialect
	Skip    int // lines before the first record
	// Convert converts what is read to UTF-8, nil where nothing is to be.
	Convert func(io.Reader) io.ReadCloser
	Chunk   int // usual length of a chunk in bytes
	// Compression is how the input is compressed; the zero value is Auto.
	Compression Compression
	Access      Access
}

// An Access is how an input is read that lies in a store.
type Access struct {
	RetryFor  time.Duration // how long the store may fail
	ReadAhead int64         // memory for what is read ahead, in bytes
	Log       *slog.Logger  // nil for nobody
}

// Made returns an error if records are to be read in another way than that in which they are
// made here.
func (r Reading) Made() error {
	d := pgcsv.CSV.Dialect()
	d.Null = r.Dialect.Null
	if r.Dialect != d || r.Skip > 0 || r.Convert != nil {
		return ErrNotCSV
	}
	return nil
}

// ErrNotCSV says that another format is asked for than that in which records are made
// here.
var ErrNotCSV = errors.New("records that are made and not read are CSV with commas and double quotes; nothing else can be asked for")

// ErrGoesOn says that the last record of an input which has grown is another one now.
var ErrGoesOn = errors.New("its last record goes on, where it ended")
