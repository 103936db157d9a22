package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/selection"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
)

// A Heading says which columns the fields of an input are, and how that is known.
type Heading struct {
	Line    int64    `json:"line"`    // of the first record or header, from 1
	Header  bool     `json:"header"`  // a record names the columns; else it is the table's order
	Guessed bool     `json:"guessed"` // nobody has said whether it does
	Why     string   `json:"why"`     // in words
	Columns []string `json:"columns"`
	// Selected says what Config.Select and Where make of the fields, nil without them. Columns
	// are then those of the list.
	Selected *Selection `json:"selected,omitempty"`

	fields  []string // of a record, by their names
	columns []*catalog.Column
	plan    *selection.Plan // of Config.Select and Where; nil without
	before  []byte          // the records: lines that are skipped, and the header
	size    int             // of the first record, in bytes
}

// Heading reads the beginning of in, and says how Load would take it. A header that cannot be
// one of the table is a *RowError, as for Load. ok is false if the input has no records, could not be
// read again by Load, or is a set: each of its Parts has its own.
func (l *Loader) Heading(ctx context.Context, in Input) (h Heading, ok bool, err error) {
	if !in.repeats || in.set != nil {
		return h, false, nil
	}
	if l, err = loaderAs(l, in.format); err != nil {
		return h, false, err
	}
	feed, err := l.open(ctx, in)
	if err != nil {
		return h, false, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	c, err := feed.Next(ctx, nil)
	switch {
	case errors.Is(err, io.EOF):
		return h, false, nil
	case err != nil:
		return h, false, err
	}
	h, err = l.heading(ctx, in, feed, c)
	return h, err == nil, err
}

// Parts returns the inputs that a set has now, in the order of their names, and any other input alone.
func Parts(ctx context.Context, l *Loader, in Input) ([]Input, error) {
	if in.set == nil {
		return []Input{in}, nil
	}
	parts, err := in.set.list(ctx, l.cfg.reading().Access)
	list := make([]Input, len(parts))
	for i, p := range parts {
		list[i] = in.set.part(p.Name)
	}
	return list, err
}

// heading finds out which columns the fields of in are, the feed of which has c for its first chunk.
// What is wrong with a header is a *RowError.
func (l *Loader) heading(ctx context.Context, in Input, feed input.Feed, c *input.Chunk) (h Heading, err error) {
	names := feed.Header()
	_, keyed := feed.(input.Keyed)
	switch {
	case keyed:
		h = Heading{Line: 1, Why: "its keys name the columns"}
	case names != nil:
		h = Heading{Line: 1, Header: true, Why: "its columns have names"}
		if input.CountsRows(feed) {
			h.Line = 0 // they are in no row
		}
		if !transcribedBytes(feed) {
			h.before = headerLine(names, l.cfg.Delimiter)
		}
	default:
		names = h.guess(l, c)
	}
	if h.Header && l.cfg.Header == HeaderMatch {
		err = decode.MatchHeader(l.target.Table, names)
	}
	var wrong error
	switch {
	case l.cfg.selects():
		wrong = h.choose(ctx, l, in, names, keyed)
	case keyed:
		h.columns, wrong = keyedColumns(l.target, names)
		h.nameFields()
	default:
		wrong = h.match(l.target.Table, names)
	}
	if err == nil {
		err = wrong
	}
	if err != nil && fault.Of(err) != fault.Ours {
		return h, err // of the server, or of the way to it
	}
	if names != nil && feed.Header() == nil && h.Header {
		h.before = append(h.before, c.Data[len(h.before):len(h.before)+h.size]...)
	}
	h.name()
	h.Header = h.Header && feed.Header() == nil
	if err != nil {
		err = countRows(feed, &failure.RowError{File: in.name, Line: h.Line, Err: err})
	}
	return h, err
}

// name sets Columns.
func (h *Heading) name() {
	for _, column := range h.columns {
		if column != nil { // else there is an error that says so
			h.Columns = append(h.Columns, column.Name)
		}
	}
}

// match makes the columns those that names are, if the input names them, else all.
func (h *Heading) match(t *catalog.Table, names []string) (err error) {
	h.columns = t.CopyColumns()
	if h.Header {
		h.columns, err = decode.HeaderColumns(t, names)
	}
	if err != nil && h.Guessed {
		err = decode.Doubt(t, names, err)
	}
	if err != nil {
		return err
	}
	h.nameFields()
	return nil
}

// nameFields says that the fields of a record are the columns.
func (h *Heading) nameFields() {
	for _, c := range h.columns {
		h.fields = append(h.fields, c.Name)
	}
}

// guess finds out whether the first record of c is a header, and returns its values.
func (h *Heading) guess(l *Loader, c *input.Chunk) (names []string) {
	dialect := l.cfg.dialect()
	s := c.Scanner(dialect)
	s.Next()
	names = dialect.Values(s.Record())
	h.Line = s.Line()
	switch header := l.cfg.Header; {
	case header != HeaderAuto:
		h.Header, h.Why = header != HeaderNo, "as was said"
	case l.target.Table.LooksLikeHeader(names, dialect.RareHeader()):
		h.Header, h.Guessed, h.Why = true, true, decode.TakenFor(l.target.Table, names)
	case dialect.RareHeader():
		h.Guessed, h.Why = true, "its fields are not all names of columns"
	default:
		h.Guessed, h.Why = true, "none of its fields is the name of a column"
	}
	h.before, h.size = bytes.Clone(c.Data[:c.Skipped]), s.Size()
	return names
}

// String says in words what the first record is taken for.
func (h Heading) String() string {
	if h.Line == 0 {
		return "it needs no header: " + h.Why
	}
	what := "a record, not a header"
	if h.Header {
		what = "the header"
	}
	return fmt.Sprintf("line %d is %s: %s", h.Line, what, h.Why)
}

// tell says what a guess has made of the first record where that may be wrong without an error.
// In the text format nobody expects a header.
func (h *Heading) tell(ctx context.Context, log *slog.Logger, name string, f Format) {
	level := slog.LevelDebug
	if h.Guessed && (!h.Header && f == FormatCSV || h.Header && len(h.columns) == 1 && decode.IsText(h.columns[0])) {
		level = slog.LevelInfo
	}
	log.Log(ctx, level, name+": "+h.String())
}
