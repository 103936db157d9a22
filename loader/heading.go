package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"shardload/internal/catalog"
	"shardload/internal/input"
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

	columns []*catalog.Column
	before  []byte // the records: lines that are skipped, and the header
}

// Heading reads the beginning of in, and says how Load would take it. A header that cannot be
// one of the table is a *RowError, as for Load. ok is false if the input has no records, or
// could not be read again by Load.
func (l *Loader) Heading(ctx context.Context, in Input) (h Heading, ok bool, err error) {
	if !in.repeats {
		return h, false, nil
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
	if h, err = l.heading(feed, c); err != nil {
		return h, false, countRows(feed, &failure.RowError{File: in.name, Line: h.Line, Err: err})
	}
	return h, true, nil
}

// heading finds out which columns the fields of feed's input are, the first chunk of which is c.
func (l *Loader) heading(feed input.Feed, c *input.Chunk) (h Heading, err error) {
	names := feed.Header()
	if _, keyed := feed.(input.Keyed); keyed {
		h = Heading{Line: 1, Why: "its keys name the columns"}
		h.columns, err = keyedColumns(l.target, names)
		h.name()
		return h, err
	}
	if names != nil {
		h = Heading{Line: 1, Header: true, Why: "its columns have names"}
		if input.CountsRows(feed) {
			h.Line = 0 // they are in no row
		}
		if !transcribedBytes(feed) {
			h.before = headerLine(names, l.cfg.Delimiter)
		}
	} else {
		names = h.guess(l, c)
	}
	switch {
	case !h.Header:
		h.columns = l.target.Table.CopyColumns()
	case l.cfg.Header == HeaderMatch:
		err = decode.MatchHeader(l.target.Table, names)
		fallthrough
	default:
		var wrong error
		h.columns, wrong = decode.HeaderColumns(l.target.Table, names)
		if err == nil {
			err = wrong
		}
	}
	if err != nil && h.Guessed {
		err = decode.Doubt(l.target.Table, names, err)
	}
	h.name()
	h.Header = h.Header && feed.Header() == nil
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

// guess finds out whether the first record of c is a header, and returns its values.
func (h *Heading) guess(l *Loader, c *input.Chunk) (names []string) {
	dialect := l.cfg.dialect()
	s := c.Scanner(dialect)
	s.Next()
	names = dialect.Values(s.Record())
	h.Line = s.Line()
	before := c.Skipped
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
	if h.Header {
		before += s.Size()
	}
	h.before = bytes.Clone(c.Data[:before])
	return names
}

// String says in words what the first record is taken for.
func (h Heading) String() string {
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
