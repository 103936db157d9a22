package input

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/parquettext"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// A parquetFeed gives the rows of a Parquet file, a fixed number of them as a chunk.
type parquetFeed struct {
	src    *Source
	file   *parquettext.File
	rows   *parquettext.Reader
	types  []parquettext.Type // of the columns
	number atomic.Int64       // of the next chunk
}

// openParquet opens the Parquet file at a location. It must be one that can be read at any
// place: its end has to be read first, and its pages in no order.
func openParquet(ctx context.Context, at Location, how Reading) (Feed, error) {
	object, err := at.object(ctx)
	switch as := how.Compression; {
	case errors.Is(err, errIrregular):
		return nil, errNoFile(at.Name)
	case err != nil:
		return nil, err
	case as != "" && as != Auto && as != None:
		err = fault.Advise(fmt.Errorf("%s: a Parquet file cannot be read compressed by %s", at.Name, as), "it is compressed inside")
		return nil, errors.Join(err, object.Close())
	case !object.Random():
		err = fault.Advise(fmt.Errorf("%s: a Parquet file is read from its end, and its server sends it from the beginning only", at.Name), "download it and load the file")
		return nil, errors.Join(err, object.Close())
	}
	f, err := newParquet(at.Name, object, how)
	if err != nil {
		return nil, errors.Join(err, object.Close())
	}
	return f, nil
}

// CountsRows reports whether f has no lines: its rows are counted instead.
func CountsRows(f Feed) bool {
	_, ok := f.(*parquetFeed)
	return ok
}

// errNoFile says what to do with a Parquet file that can be read once only.
func errNoFile(name string) error {
	return fault.Advise(fmt.Errorf("%s: a Parquet file is read from its end, and this is no regular file", name), "write it to a file and load that")
}

func newParquet(name string, object Object, how Reading) (Feed, error) {
	src := &Source{Name: name, object: object, close: []func() error{object.Close}}
	var err error
	if src.opened, err = object.Stat(); err != nil {
		return nil, namedBy(src.Name, err)
	}
	src.Size = src.opened.Size
	if err := compressedParquet(src); err != nil {
		return nil, err
	}
	f := &parquetFeed{src: src}
	if f.file, err = parquettext.Open(object, src.Size, parquettext.Options{Chunk: how.Chunk / 2}); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// compressedParquet refuses a file that is compressed as a whole.
func compressedParquet(src *Source) error {
	var head [4]byte
	n, err := src.object.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return namedBy(src.Name, err)
	}
	for _, c := range []struct{ magic, by, undo string }{
		{"\x1f\x8b", "gzip", "gzip -d"}, {"\x28\xb5\x2f\xfd", "zstd", "zstd -d"}, {"BZh", "bzip2", "bzip2 -d"}, {"\xfd7zX", "xz", "xz -d"},
	} {
		if len(c.magic) <= n && string(head[:len(c.magic)]) == c.magic {
			return fault.Advise(fmt.Errorf("%s: is compressed by %s, and a Parquet file is read from its end", src.Name, c.by),
				"decompress it: "+c.undo+"; Parquet files are compressed inside")
		}
	}
	return nil
}

// Header returns the names of the file's columns.
func (f *parquetFeed) Header() []string {
	var names []string
	for _, c := range f.file.Columns() {
		names = append(names, c.Name)
	}
	return names
}

func (f *parquetFeed) SetFields(names []string) error {
	var fields []parquettext.Field
	for _, name := range names {
		fields = append(fields, parquettext.Field{Name: name, As: parquettext.AsAny})
	}
	return f.setFields(fields)
}

func (f *parquetFeed) SetNew(names, binary []string) (nested []bool, err error) {
	var fields []parquettext.Field
	nested = make([]bool, len(names))
	for i, name := range names {
		field := parquettext.Field{Name: name, As: parquettext.AsAny}
		for _, c := range f.file.Columns() {
			if c.Name == name {
				field.As, nested[i] = c.New, c.New == parquettext.AsJSON
			}
		}
		if slices.Contains(binary, name) {
			field.As = parquettext.AsBytea
		}
		fields = append(fields, field)
	}
	return nested, f.setFields(fields)
}

// IsBinary reports whether err says that a value has no text, but has a place in a bytea column.
func IsBinary(err error) bool { return errors.Is(err, parquettext.ErrBinary) }

// SetColumns is SetFields for fields that go into these columns, as which they are named. What is
// nested has a text for expressions, though no column of text takes it. Columns of the file that
// nobody uses are not read: none of them stops a load.
func (f *parquetFeed) SetColumns(columns []*catalog.Column, text, unused []bool) error {
	var fields []parquettext.Field
	for i, c := range columns {
		field := fieldOf(c)
		switch {
		case i < len(unused) && unused[i]:
			field.As = parquettext.AsNothing
		case i < len(text) && text[i]:
			field.As = parquettext.AsAny
		}
		fields = append(fields, field)
		f.types = append(f.types, parquettext.Type{OID: c.BaseOID, Mod: c.TypMod})
	}
	return f.setFields(fields)
}

func (f *parquetFeed) setFields(fields []parquettext.Field) (err error) {
	if f.rows, err = f.file.NewReader(fields); err != nil {
		return fmt.Errorf("%s: %w", f.src.Name, err)
	}
	return nil
}

// fieldOf returns the field that goes into a column.
func fieldOf(c *catalog.Column) parquettext.Field {
	field := parquettext.Field{Name: c.Name, As: asOf(c.BaseOID), Type: c.Type}
	if c.ElemOID != 0 {
		field.As, field.Element = parquettext.AsArray, asOf(c.ElemOID)
	}
	return field
}

// asOf returns how values are written for a type.
func asOf(oid uint32) parquettext.As {
	switch oid {
	case pgtype.ByteaOID:
		return parquettext.AsBytea
	case pgtype.TimestamptzOID, pgtype.TimetzOID:
		return parquettext.AsZoned
	case pgtype.UUIDOID:
		return parquettext.AsUUID
	case pgtype.JSONOID, pgtype.JSONBOID:
		return parquettext.AsJSON
	}
	return parquettext.AsValue
}

func (f *parquetFeed) Next(_ context.Context, _ []byte) (*Chunk, error) {
	n := f.number.Load()
	if n >= f.file.Chunks() {
		return nil, f.unchanged()
	}
	f.number.Store(n + 1)
	first, rows := f.file.RowsOf(n)
	start := f.offset(n)
	return &Chunk{
		Number: n, Line: first + 1, Lines: rows, Offset: start, Size: f.offset(n+1) - start, EOL: pgcsv.LF,
		transcribed: transcribed{by: f, even: true},
	}, nil
}

// offset returns where in the file a chunk would begin if all of them had the same length.
func (f *parquetFeed) offset(chunk int64) int64 {
	return int64(float64(f.src.Size) * float64(chunk) / float64(max(f.file.Chunks(), 1)))
}

func (f *parquetFeed) SetEncoding(opts pgcopy.Options) { f.rows.SetTypes(f.types, opts) }

// AppendRows appends the rows of a chunk.
func (f *parquetFeed) AppendRows(rows *Rows, c *Chunk, max int) (sure bool, err error) {
	sure, err = f.rows.AppendRows(rows, c.Number, max)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.src.Name, err)
	}
	return sure, err
}

// unchanged returns io.EOF if the file is still the one that was opened.
func (f *parquetFeed) unchanged() error {
	now, err := f.src.object.Stat()
	if err != nil {
		return namedBy(f.src.Name, err)
	}
	if now.Size != f.src.opened.Size || now.Modified != f.src.opened.Modified {
		return fmt.Errorf("%s: changed while it was read; load it when it is complete", f.src.Name)
	}
	return io.EOF
}

// Transcribe writes the rows of a chunk.
func (f *parquetFeed) Transcribe(t *Transcript, c *Chunk) error {
	data, faults, err := f.rows.AppendChunk(t.Data, c.Number)
	if err != nil {
		return fmt.Errorf("%s: %w", f.src.Name, err)
	}
	t.Data = data
	for _, fault := range faults {
		t.Faults = append(t.Faults, Fault{Record: fault.Row, Column: fault.Column, Err: fault.Err})
	}
	return nil
}

// AppendStarts is never asked for: a Parquet file has no bytes that are records.
func (f *parquetFeed) AppendStarts(dst []int32, _ *Chunk) []int32 { return dst }

func (f *parquetFeed) SkipTo(_ context.Context, number int64, _ ledger.Place, _ func(*Chunk)) error {
	if number > f.file.Chunks() {
		return fmt.Errorf("%s: is not the file that an earlier run has begun to load: it has fewer rows", f.src.Name)
	}
	f.number.Store(number)
	f.rows.Start(number)
	return nil
}

// Fingerprint has all of the footer in its tail: where each column's pages are, and as a rule their
// least and greatest values. Its head has samples of the rest.
func (f *parquetFeed) Fingerprint(first *Chunk) (ledger.Fingerprint, error) {
	size := f.src.Size
	spans := []int64{0, min(sample, size)}
	for i := range int64(pageSamples) {
		at := size / pageSamples * i
		spans = append(spans, at, min(pageSample, size-at))
	}
	head, err := f.hashOf(spans...)
	if err != nil {
		return ledger.Fingerprint{}, err
	}
	start := min(f.file.DataEnd(), max(size-sample, 0))
	tail, err := f.hashOf(start, size-start)
	if err != nil {
		return ledger.Fingerprint{}, err
	}
	print := ledger.Fingerprint{
		Size: size, Unit: ledger.Chunks, Head: head, Tail: tail,
		Lines: sampleLines(first.Data[:min(len(first.Data), sampledBytes)]),
	}
	stat, _ := f.src.Stat()
	print.Hints = stat.hints()
	return print, nil
}

// Samples of a file: how many, and how long each is, in bytes.
const (
	pageSamples = 64
	pageSample  = 4 << 10
)

// hashOf returns a hash of parts of the file: where each begins, and its length.
func (f *parquetFeed) hashOf(spans ...int64) (string, error) {
	h := sha256.New()
	for ; len(spans) > 0; spans = spans[2:] {
		if _, err := io.Copy(h, io.NewSectionReader(f.src.object, spans[0], spans[1])); err != nil {
			return "", namedBy(f.src.Name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// Far counts bytes, as if all rows had the same number of them.
func (f *parquetFeed) Far() (done, total int64) {
	return f.offset(f.number.Load()), f.src.Size
}

func (f *parquetFeed) Close() error { return f.src.Close() }
