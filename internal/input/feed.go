package input

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
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
	src     *Source
	chunker *pgcsv.Chunker
	Reading
	number int64 // of the next chunk
	place  ledger.Place
	open   bool // a last record which ends inside quotes is a record
}

func (f *csvFeed) KeepOpen() { f.open = true }

func (f *csvFeed) Plain() bool { return f.src.Plain() }

func (f *csvFeed) ReadAt(p []byte, offset int64) error {
	_, err := f.src.ReadAt(p, offset)
	return err
}

func (f *csvFeed) Ends(size int64) (head, tail string, err error) { return f.src.FingerprintTo(size) }

func (f *csvFeed) Touched() (touched, timeTells bool, err error) {
	touched, err = f.src.Touched()
	stat, _ := f.src.Stat()
	return touched, stat.TimeTells, err
}

// IsPlain reports whether f is of a file that is not compressed.
func IsPlain(f Feed) bool {
	of, ok := f.(Bytes)
	return ok && of.Plain()
}

// NewFeed returns the feed of src, which it closes.
func NewFeed(src *Source, how Reading) (Feed, error) {
	switch how.Format {
	case Delimited:
		return newCSV(src, how), nil
	default:
		return nil, errors.Join(fmt.Errorf("inputs cannot be read in format %d", how.Format), src.Close())
	}
}

// newCSV returns the feed of the bytes of src.
func newCSV(src *Source, how Reading) Bytes {
	f := &csvFeed{src: src, chunker: pgcsv.NewChunker(src, how.MaxRecord), Reading: how, place: ledger.Place{Line: 1}}
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
	c := &Chunk{
		Number: f.number, Line: f.place.Line, Offset: f.place.Offset, Data: data, EOL: f.chunker.EOL(), Open: open, Skipped: f.chunker.Skipped(),
		Size: int64(len(data)), Lines: pgcsv.Lines(data, f.chunker.EOL()),
	}
	f.number++
	f.place.Offset += c.Size
	f.place.Line += c.Lines
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
	long, tooLong := errors.AsType[*pgcsv.TooLongError](err)
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
	for buf := []byte(nil); f.number < number; {
		c, err := f.Next(ctx, buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		passed(c)
		buf = c.Data
	}
	if f.number != number || f.place.Offset != place.Offset || f.place.Line != place.Line {
		return fmt.Errorf("%s: is not the input that an earlier run has begun to load: it ends or is cut elsewhere; "+
			"give that one, or "+failure.Beside+", or "+failure.Anew, f.src.Name)
	}
	return nil
}

func (f *csvFeed) Fingerprint(first *Chunk) (ledger.Fingerprint, error) {
	head, tail, isFile, err := f.src.Fingerprint()
	if err != nil {
		return ledger.Fingerprint{}, err
	}
	lines, err := f.lines(first)
	if err != nil {
		return ledger.Fingerprint{}, err
	}
	if isFile {
		print := ledger.Fingerprint{Size: f.src.Size, Head: head, Tail: tail, Lines: lines}
		if f.src.Plain() {
			print.Unit = ledger.Bytes
		}
		if stat, _ := f.src.Stat(); stat.TimeTells {
			print.Hints = ledger.Hints{Modified: stat.Modified, Device: stat.Device, Inode: stat.Inode}
		}
		return print, nil
	}
	return ledger.Fingerprint{Size: -1, Head: hashOf(first.Raw()), Lines: lines}, nil
}

func (f *csvFeed) Far() (done, total int64) { return f.src.BytesRead(), f.src.Size }

func (f *csvFeed) Close() error { return f.src.Close() }

func (f *csvFeed) Limit(n int64) {
	f.chunker = pgcsv.NewChunkerAt(io.LimitReader(f.src, n), f.MaxRecord, f.chunker.EOL())
	f.adjust()
}

func (f *csvFeed) BehindBreak(end ledger.Place) (ledger.Place, error) {
	around := make([]byte, 3)
	n, err := f.src.ReadAt(around, end.Offset-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return end, err
	}
	around = around[:n]
	switch {
	case n > 0 && (around[0] == '\n' || around[0] == '\r' && (n == 1 || around[1] != '\n')):
		return end, nil
	case n > 2 && around[1] == '\r' && around[2] == '\n':
		end.Offset += 2
	case n > 1 && (around[1] == '\n' || around[1] == '\r'):
		end.Offset++
	default:
		return end, ErrGoesOn
	}
	end.Line++
	return end, nil
}

// A Format is a kind of input.
type Format byte

// The formats of inputs.
const (
	// Delimited is that of the dialects of COPY.
	Delimited Format = iota
)

// A Reading is how an input is read.
type Reading struct {
	Format    Format
	MaxRecord int
	// Dialect is that of the records, or of their transcript.
	Dialect pgcsv.Dialect
	Skip    int // lines before the first record
	Chunk   int // usual length of a chunk in bytes
	// Compression is how the input is compressed; the zero value is Auto.
	Compression Compression
}

// Made returns an error if records are to be read in another way than that in which they are
// made here.
func (r Reading) Made() error {
	d := pgcsv.CSV.Dialect()
	d.Null = r.Dialect.Null
	if r.Dialect != d || r.Skip > 0 {
		return ErrNotCSV
	}
	return nil
}

// ErrNotCSV says that another format is asked for than that in which records are made
// here.
var ErrNotCSV = errors.New("records that are made and not read are CSV with commas and double quotes; nothing else can be asked for")

// ErrGoesOn says that the last record of an input which has grown is another one now.
var ErrGoesOn = errors.New("its last record goes on, where it ended")
