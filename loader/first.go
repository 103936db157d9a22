package loader

import (
	"cmp"
	"context"
	"errors"
	"io"

	"shardload/internal/catalog"
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
	h, read, err := l.head(ctx, in, ld.feed, c)
	if err != nil {
		return nil, err
	}
	ld.Read.Add(read)
	ld.kind, ld.EOL = ld.feed, c.EOL
	return c, layOut(ld, in, h)
}

// layOut lays the pipeline out for records of that heading.
func layOut(ld *load, in Input, h Heading) error {
	l := ld.l
	ld.heading, ld.Header = h, h.before
	if err := l.target.MayInsert(h.columns); err != nil {
		return err
	}
	if h.Guessed && !h.Header {
		ld.guessed = h.Line
	}
	ld.whole = in.repeats && ld.series == nil && !ld.Pieces && l.cfg.fitsWhole(ld.feed)
	if err := h.layOut(ld); err != nil {
		return &failure.RowError{File: ld.Input, Line: h.Line, Err: err}
	}
	ld.form = l.cfg.form(h.Header, ld.Layout)
	ld.form.Columns, ld.form.Settings = ledgerColumns(h.columns), l.target.Meaning(h.columns)
	if ld.Layout.Staged() {
		ld.form.Settings = l.target.Session.Evaluating()
	}
	h.addTo(&ld.form)
	ld.shares = ld.Layout.Shares()
	if ld.whole {
		ld.Layout.Router.One()
	}
	return nil
}

// head finds out what the fields of in are, of which c is the first chunk, and takes the header off
// it. read is how many bytes were read beside it.
func (l *Loader) head(ctx context.Context, in Input, feed input.Feed, c *input.Chunk) (h Heading, read int64, err error) {
	if h, err = l.heading(ctx, in, feed, c); err != nil {
		return h, 0, err
	}
	if len(h.before) > 0 && feed.Header() == nil {
		c.Behind(len(h.before))
	}
	read, err = setFields(feed, c, l.target.Table, &h)
	return h, read, err
}

// chooseOriginal says in lay where the bytes of records of f are found that are rejected, if any
// may be. One of a series of parts is not read again.
func chooseOriginal(lay *decode.Layout, f input.Feed, inSeries, rejects bool) {
	if transcribedBytes(f) {
		lay.Record = decode.Read
	}
	switch {
	case !rejects || input.IsPlain(f) && !inSeries:
	case lay.Record != decode.SentOrRead:
		lay.Record = decode.Kept
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

// layOut makes the layout of a load of such records, and what moves its rows from a staging table
// into the table, if they pass through one.
func (h *Heading) layOut(ld *load) (err error) {
	l := ld.l
	if h.plan != nil && h.plan.Staged {
		err = (&stager{ld, h.plan}).layOut()
	} else if ld.Layout, err = decode.NewLayout(l.target, h.columns, h.options(l.cfg.layoutOptions())); err == nil {
		ld.Merge, err = store.NewMerge(l.target, h.columns, l.cfg.OnConflict == ConflictSkip, nil)
	}
	if err == nil {
		chooseOriginal(ld.Layout, ld.kind, ld.series != nil, !l.cfg.MaxErrors.None())
		setEncoding(ld, ld.kind, h)
	}
	return err
}

// setEncoding tells a feed that can make binary rows to do so.
func setEncoding(ld *load, of input.Feed, h *Heading) {
	if f, ok := of.(input.Binary); ok && ld.Layout.Encoders != nil && (h.plan == nil || h.plan.Plain()) {
		f.SetEncoding(decode.BinaryOptions(ld.l.target, ld.l.cfg.Encoding))
	}
}

// checkGuess refuses a first record which nobody has called one if the table cannot hold its
// values, before anything is stored, and says else what the guess was.
func (ld *load) checkGuess(ctx context.Context, first *input.Chunk, ask *decode.Asker) error {
	if ld.guessed > 0 && ld.series == nil { // else each part is looked at
		if err := ld.Layout.Misfit(ctx, ld.Input, first, ask); err != nil {
			return err
		}
	}
	if ld.Attempts == 0 {
		ld.heading.tell(ctx, ld.log, cmp.Or(ld.sample, ld.Input), ld.l.cfg.Format)
	}
	return nil
}

// countRows returns err, and if it is of a record of an input without lines, says so in it.
func countRows(f input.Feed, err error) error {
	if row, ok := errors.AsType[*failure.RowError](err); ok {
		row.Counted = input.CountsRows(f)
	}
	return err
}

// doubtHeader returns err, and if it refuses a first record that was only guessed to be
// one, says so in it.
func (ld *load) doubtHeader(err error) error {
	if row, ok := errors.AsType[*failure.RowError](err); ok && ld.guessed > 0 && row.Line == ld.guessed && row.MayBeHeader() {
		row.Guessed = true
	}
	return err
}

// form says how the input is cut and read.
func (c *Config) form(header bool, lay *decode.Layout) ledger.Form {
	f := ledger.Form{
		Format: string(c.Format), Delimiter: string(c.Delimiter), Null: c.Null, Encoding: c.Encoding,
		Header: header, Chunk: pgcsv.ChunkSize, Skip: c.Skip,
		ForceNull: lay.Nulls.Named(lay.Nulls.Force), ForceNotNull: lay.Nulls.Named(lay.Nulls.ForceNot),
	}
	if _, ok := transcribed[c.Format]; ok {
		f.Delimiter, f.Null = "", "" // they are the transcript's
		return f
	}
	usual := lay.Dialect.Format.Dialect()
	if d := lay.Dialect; d.Quote != usual.Quote {
		f.Quote = string(d.Quote)
		if d.Quote == 0 {
			f.Quote = "none"
		}
	}
	if d := lay.Dialect; d.Escape != d.Quote {
		f.Escape = string(d.Escape)
	}
	return f
}

// mannerOf says how inputs are read, whatever each one's own header decides.
func mannerOf(l *Loader) string {
	f := l.cfg.form(false, &decode.Layout{Dialect: l.cfg.dialect()})
	f.ForceNull, f.ForceNotNull, f.Select, f.Where = l.cfg.ForceNull, l.cfg.ForceNotNull, l.cfg.Select, l.cfg.Where
	return f.Manner()
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

// fitsWhole reports whether the load of a file is to be one transaction: then no
// progress has to be kept. Rows of small numbers are ten times as long on their way as
// they are in the file.
func (c *Config) fitsWhole(f input.Feed) bool {
	_, size := f.Far()
	return !c.NoResume && input.IsPlain(f) && 0 <= size && size <= min(wholeLimit, c.Memory/16) &&
		(c.Route == RouteAuto || c.Route == RouteCoordinator)
}
