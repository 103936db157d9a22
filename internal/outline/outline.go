// Package outline reads inputs from their beginning to their end, and says which table takes
// all of their records. It needs no server.
package outline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"shardload/internal/charset"
	"shardload/internal/fault"
	"shardload/internal/infer"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/server"
	"shardload/loader/failure"
)

// Header says whether first records name the columns.
type Header string

// The ways to treat first records. Without a table to compare them with, HeaderAuto takes
// one of which all fields are texts for a header.
const (
	HeaderAuto Header = "auto"
	HeaderYes  Header = "yes"
	HeaderNo   Header = "no"
)

// A Config says what to read, and how.
type Config struct {
	// Files are paths; "-" is Stdin. They are parts of one table. Objects in stores have a
	// location by their name.
	Files   []string
	Objects map[string]input.Location
	Stdin   io.Reader

	Reading  input.Reading // but for the length of chunks
	Forced   pgcsv.Forced
	Header   Header
	Encoding string // PostgreSQL's name of it
	Procs    int    // goroutines that look at values; at least 1
}

// A Progress says how far a Read has come. It may be asked from any goroutine.
type Progress struct {
	records atomic.Int64
	bytes   atomic.Int64 // of records
	before  atomic.Int64 // of the files that are read, as they are stored
	now     atomic.Pointer[opened]
	passes  atomic.Int64 // through all inputs; 0 for one
}

// An opened is an input that is being read.
type opened struct {
	feed input.Feed
	size int64 // as it is stored, 0 if that is unknown
}

// stored returns how many bytes of the input were read, as far as that is known.
func (o *opened) stored() int64 {
	if o == nil {
		return 0
	}
	done, total := o.feed.Far()
	if _, ok := o.feed.(input.Bytes); ok || total <= 0 {
		return done
	}
	return int64(float64(o.size) * float64(done) / float64(total)) // it counts in units of its own
}

// Records returns how many were read, and of how many bytes.
func (p *Progress) Records() (n, bytes int64) { return p.records.Load(), p.bytes.Load() }

// Stored returns how many bytes of the files, as they are stored, were read. Where inputs are
// read twice it is the half of that.
func (p *Progress) Stored() int64 {
	return (p.before.Load() + p.now.Load().stored()) / max(p.passes.Load(), 1)
}

// opens notes that an input is being read, until done is called.
func (p *Progress) opens(feed input.Feed, size int64) (done func()) {
	o := &opened{feed, size}
	p.now.Store(o)
	return func() {
		n := o.stored()
		p.now.Store(nil)
		p.before.Add(n)
	}
}

// restart says that all is read anew.
func (p *Progress) restart() {
	p.records.Store(0)
	p.bytes.Store(0)
	p.before.Store(0)
}

// An Outline is what all of the records have in common.
type Outline struct {
	Records int64
	Columns []infer.Finding
	// Numbered says that nothing named the columns.
	Numbered bool
	// Guessed says that they are named by a first record, or are not, because of what it
	// looks like.
	Guessed bool
}

// Read reads all of the inputs. An error names the input and, where a record is at fault,
// its line.
func Read(ctx context.Context, cfg Config, p *Progress) (*Outline, error) {
	if charset.Is(cfg.Encoding) {
		return nil, fault.Advise(fmt.Errorf("the input is in %s, which only a server can read", cfg.Encoding), "convert it: iconv -t UTF-8")
	}
	cfg.Reading.Chunk = pgcsv.ChunkSize
	for binary := []string(nil); ; {
		o, err := read(ctx, cfg, p, binary)
		row, ok := errors.AsType[*failure.RowError](err)
		if !ok || !input.IsBinary(row.Err) || slices.Contains(binary, row.Column) {
			return o, err
		}
		binary = append(binary, row.Column) // which was taken for text
		p.restart()
	}
}

// read reads all of the inputs once, of which these columns hold bytes.
func read(ctx context.Context, cfg Config, p *Progress, binary []string) (*Outline, error) {
	r := &reader{cfg: cfg, utf8: server.IsUTF8(cfg.Encoding), progress: p, binary: binary}
	if cfg.Reading.Format == input.JSON {
		if err := r.readKeys(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.readAll(ctx); err != nil {
		return nil, err
	}
	if r.names == nil {
		return nil, fmt.Errorf("%s: is empty: there are no columns", cfg.Files[0])
	}
	columns := infer.NewColumns(len(r.names))
	for _, w := range r.workers {
		for i := range columns {
			columns[i].Merge(&w.columns[i])
		}
	}
	records, _ := p.Records()
	o := &Outline{Records: records, Numbered: r.numbered, Guessed: r.guessed}
	for i, name := range r.names {
		o.Columns = append(o.Columns, columns[i].Finding(name))
	}
	return o, nil
}

// open opens one of the files. done is to be called before the feed is closed.
func (r *reader) open(ctx context.Context, file string) (feed input.Feed, done func(), err error) {
	size := int64(0)
	if file == "-" {
		src, err := input.New(file, r.cfg.Stdin, r.cfg.Reading.Compression)
		if err != nil {
			return nil, nil, err
		}
		feed, err = input.NewFeed(src, r.cfg.Reading)
		if err != nil {
			return nil, nil, err
		}
	} else {
		at, ok := r.cfg.Objects[file]
		if !ok {
			at = input.Path(file)
		}
		if feed, err = at.Feed(ctx, r.cfg.Reading); err != nil {
			return nil, nil, err
		}
		if info, err := os.Stat(file); err == nil {
			size = info.Size()
		}
	}
	return feed, r.progress.opens(feed, size), nil
}

// errNames says what to do about names that cannot be shown.
func errNames(encoding string) error {
	return fault.Advise(fmt.Errorf("a column's name is not ASCII, and the input is in %s, which only a server can read", encoding),
		"convert it: iconv -t UTF-8")
}

// ended reports whether an error is the end of the input.
func ended(err error) bool { return errors.Is(err, io.EOF) }
