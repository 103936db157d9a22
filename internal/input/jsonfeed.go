package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/internal/pgjson"
	"shardload/internal/refill"
	"shardload/loader/failure"
)

// A Keyed is a feed of records whose keys name columns. Its Header has the keys of the first
// chunk's records.
type Keyed interface {
	Transcribed
	// SetKeys is SetFields for fields of which it is known how values are written. unknown
	// returns what is wrong with a key that is none of them, nil to leave it out.
	SetKeys(fields []pgjson.Field, unknown func(key string) error)
	// NoteNested is told of keys that are no fields if a value of theirs is an object or an array.
	// It is called before any chunk is filled, and note by whoever fills one.
	NoteNested(note func(key string))
}

// A jsonFeed cuts a stream of JSON into chunks, and writes them as text.
type jsonFeed struct {
	ofSource
	chunker *pgjson.Chunker
	Reading
	last byte // of the chunk before the next one
	form pgjson.Form
	keys []string // nil before the first chunk

	fields   []pgjson.Field
	unknown  func(key string) error
	nested   func(key string)
	scanners sync.Pool // of *pgjson.Scanner, with the fields
}

func newJSON(src *Source, how Reading) *jsonFeed {
	f := &jsonFeed{ofSource: newOfSource(src), Reading: how}
	f.cutFrom(src)
	return f
}

// cutFrom goes on with the bytes of r.
func (f *jsonFeed) cutFrom(r io.Reader) {
	f.chunker = pgjson.NewChunker(r, f.MaxRecord)
	if f.place.Offset > 0 {
		f.chunker = pgjson.NewChunkerAt(r, f.MaxRecord, f.form, f.last)
	}
	f.chunker.SetSize(f.Chunk)
}

func (f *jsonFeed) Header() []string { return f.keys }

func (f *jsonFeed) SetFields(names []string) error {
	fields := make([]pgjson.Field, len(names))
	for i, name := range names {
		fields[i] = KeyField(name, nil)
	}
	f.SetKeys(fields, leftOut)
	return nil
}

func (f *jsonFeed) SetKeys(fields []pgjson.Field, unknown func(key string) error) {
	f.fields, f.unknown = fields, unknown
}

func (f *jsonFeed) NoteNested(note func(key string)) { f.nested = note }

func leftOut(string) error { return nil }

func (f *jsonFeed) Next(ctx context.Context, buf []byte) (*Chunk, error) {
	data, err := f.src.Cut(ctx, f.chunker, buf)
	if err != nil {
		return nil, f.explain(data, err)
	}
	if f.keys == nil {
		f.form = f.chunker.Form()
		f.keys = append([]string{}, pgjson.Keys(data, f.form, true)...)
	}
	c := f.chunk(data, pgcsv.LF)
	c.by = f
	f.last = data[len(data)-1]
	return c, nil
}

// explain returns the chunker's error with its place. data are the bytes from the chunk's
// start on that the chunker looked at.
func (f *jsonFeed) explain(data []byte, err error) error {
	row := &failure.RowError{File: f.src.Name, Line: f.place.Line, Err: err}
	if frame, ok := errors.AsType[*pgjson.FrameError](err); ok {
		row.Line += pgcsv.Lines(data[:frame.At], pgcsv.LF)
		return row
	}
	if long, ok := errors.AsType[*refill.TooLongError](err); ok {
		row.Err = failure.TooLongError(long.Max)
		return row
	}
	return err
}

// SkipTo goes there at once in a plain file, and else reads what is in front.
func (f *jsonFeed) SkipTo(ctx context.Context, number int64, place ledger.Place, passed func(*Chunk)) error {
	if !f.src.Plain() {
		return f.readTo(ctx, f, number, place, passed)
	}
	last := make([]byte, 1) // says whether an array goes on
	if place.Offset > 0 {
		if _, err := f.src.ReadAt(last, place.Offset-1); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if err := f.src.SeekTo(place.Offset); err != nil {
		return err
	}
	f.number, f.place, f.last = number, place, last[0]
	f.cutFrom(f.src)
	return nil
}

func (f *jsonFeed) Limit(n int64) { f.cutFrom(io.LimitReader(f.src, n)) }

// KeepOpen has nothing to keep: a line ends its record, and an array that does not end is no
// record.
func (f *jsonFeed) KeepOpen() {}

// maxRow is the length of the longest record of a transcript. A record of which PostgreSQL
// takes a gigabyte may become longer as text.
const maxRow = 1 << 30

// Transcribe writes the records of c. It may be called by several goroutines at once.
func (f *jsonFeed) Transcribe(t *Transcript, c *Chunk) error {
	s, ok := f.scanners.Get().(*pgjson.Scanner)
	if !ok {
		s = pgjson.NewScanner(f.fields, f.unknown)
		s.NoteNested(f.nested)
	}
	defer f.scanners.Put(s)
	for s.Reset(c.Data, f.form, c.Offset == 0); s.Next(); {
		start := len(t.Data)
		var err error
		if t.Data, err = s.AppendRow(t.Data); err == nil && len(t.Data)-start > maxRow {
			err = fmt.Errorf("as text it is longer than %d bytes", maxRow)
		}
		if err != nil {
			t.Data = append(t.Data[:start], '\n')
			t.Faults = append(t.Faults, faultOf(len(t.Origins), err))
		}
		t.Origins = append(t.Origins, Origin{Line: s.Line() - 1, Start: int32(s.Start()), End: int32(s.End())})
	}
	return nil
}

// faultOf returns what is wrong with a record.
func faultOf(record int, err error) Fault {
	if at, ok := errors.AsType[*pgjson.Error](err); ok {
		return Fault{Record: record, Column: at.Column, Err: at.Err}
	}
	return Fault{Record: record, Err: err}
}

func (f *jsonFeed) AppendStarts(dst []int32, c *Chunk) []int32 {
	s := pgjson.NewScanner(nil, leftOut)
	for s.Reset(c.Data, f.form, c.Offset == 0); s.Next(); {
		dst = append(dst, int32(s.Start()))
	}
	return dst
}
