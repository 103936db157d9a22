package loader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/store"
)

// first reads the first chunk and finds the layout in it. It returns nil if the
// input has not a single byte.
func (ld *load) first(ctx context.Context, in Input) (*input.Chunk, error) {
	l := ld.l
	c, err := ld.next(ctx, nil)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	columns, hasHeader, err := ld.header(c)
	if err != nil {
		return nil, err
	}
	read, err := setFields(ld.feed, c, columns)
	if err != nil {
		return nil, err
	}
	ld.Read.Add(read)
	if err := l.target.MayInsert(columns); err != nil {
		return nil, err
	}
	ld.guessed = l.cfg.Header == HeaderAuto && !hasHeader && ld.feed.Header() == nil
	ld.form = l.cfg.form(hasHeader)
	ld.form.Columns, ld.form.Settings = ledgerColumns(columns), l.target.Meaning(columns)
	if ld.Layout, err = decode.NewLayout(l.target, columns, l.cfg.layoutOptions()); err == nil {
		ld.Merge, err = store.NewMerge(l.target, columns, l.cfg.OnConflict == ConflictSkip)
	}
	if err != nil {
		return nil, &failure.RowError{File: ld.Input, Line: 1, Err: err}
	}
	chooseOriginal(ld.Layout, ld.feed, !l.cfg.MaxErrors.None())
	ld.shares = ld.Layout.Shares()
	if _, size := ld.feed.Far(); in.path != "" && !ld.Pieces && input.IsPlain(ld.feed) && l.cfg.fitsWhole(size) {
		ld.whole = true
		ld.Layout.Router.One()
	}
	return c, nil
}

// header returns the columns that the input has: those that its feed names, or the first record in
// c, its first chunk, which takes that off the chunk; else all.
func (ld *load) header(c *input.Chunk) (columns []*catalog.Column, hasHeader bool, err error) {
	l := ld.l
	ld.EOL = c.EOL
	names := ld.feed.Header()
	if names == nil {
		dialect := l.cfg.dialect()
		s := c.Scanner(dialect)
		s.Next()
		names = dialect.Values(s.Record())
		hasHeader = l.cfg.Header == HeaderYes || l.cfg.Header == HeaderAuto && l.target.Table.LooksLikeHeader(names, dialect.RareHeader())
		if !hasHeader {
			return l.target.Table.CopyColumns(), false, nil
		}
		ld.Header = bytes.Clone(c.Data[:s.Size()])
		c.Behind(s.Size())
	} else if !transcribedBytes(ld.feed) {
		ld.Header = headerLine(names, l.cfg.Delimiter)
	}
	if columns, err = decode.HeaderColumns(l.target.Table, names); err != nil {
		strange := slices.ContainsFunc(names, func(name string) bool { return l.target.Table.Near(name) == "" })
		if hasHeader && strange && l.cfg.Header == HeaderAuto { // another of its values is a column's name
			err = fault.Advise(err, "if it is no header but a record say so with Config.Header no")
		}
		return nil, hasHeader, &failure.RowError{File: ld.Input, Line: 1, Err: err}
	}
	return columns, hasHeader, nil
}

// chooseOriginal says in lay where the bytes of records of f are found that are rejected, if any
// may be.
func chooseOriginal(lay *decode.Layout, f input.Feed, rejects bool) {
	if transcribedBytes(f) {
		lay.Original = decode.Read
	}
	switch {
	case !rejects || input.IsPlain(f):
	case lay.Original != decode.SentOrRead:
		lay.Original = decode.Kept
	default:
		lay.Encoders = nil // a row must tell what its record was
	}
}

// transcribedBytes reports whether f is of bytes, but of records that COPY does not read: they have
// no header, and rows are not sent as their records are.
func transcribedBytes(f input.Feed) bool {
	_, transcribed := f.(input.Transcribed)
	_, bytes := f.(input.Bytes)
	return transcribed && bytes
}

// setFields tells a feed of another format which fields its transcripts have, and makes that of
// first. It returns how many bytes were read for that.
func setFields(f input.Feed, first *input.Chunk, columns []*catalog.Column) (read int64, err error) {
	feed, ok := f.(input.Transcribed)
	if !ok {
		return 0, nil
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	if err := feed.SetFields(names); err != nil {
		return 0, err
	}
	late, err := first.Fill(new(input.Transcript))
	if late {
		read = first.Size
	}
	return read, err
}

// doubtHeader returns err, and if it refuses a first record that was only guessed to be
// one, says so in it.
func (ld *load) doubtHeader(err error) error {
	if row, ok := errors.AsType[*failure.RowError](err); ok && ld.guessed && row.Line == 1 {
		row.Guessed = true
	}
	return err
}

// form says how the input is cut and read.
func (c *Config) form(header bool) ledger.Form {
	return ledger.Form{
		Format: string(c.Format), Delimiter: string(c.Delimiter), Null: c.Null, Encoding: c.Encoding,
		Header: header, Chunk: pgcsv.ChunkSize,
	}
}

// ledgerColumns returns columns as a job keeps them.
func ledgerColumns(columns []*catalog.Column) (list []ledger.Column) {
	for _, c := range columns {
		list = append(list, ledger.Column{Name: c.Name, Num: c.Num})
	}
	return list
}

// headerLine returns the names of columns as a record.
func headerLine(names []string, delimiter byte) []byte {
	var line []byte
	for i, name := range names {
		if i > 0 {
			line = append(line, delimiter)
		}
		line = pgcsv.AppendField(line, []byte(name), delimiter)
	}
	return append(line, '\n')
}

// wholeLimit is the length in bytes of a file that is stored in one transaction.
const wholeLimit = 16 << 20

// fitsWhole reports whether the load of a file of that many bytes, or -1, is to be
// one transaction: then no progress has to be kept. Rows of small numbers are ten
// times as long on their way as they are in the file.
func (c *Config) fitsWhole(size int64) bool {
	return !c.NoResume && 0 <= size && size <= min(wholeLimit, c.Memory/16) &&
		(c.Route == RouteAuto || c.Route == RouteCoordinator)
}
