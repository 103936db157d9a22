// Package outline reads inputs from their beginning to their end, and says which table takes
// all of their records. It needs no server.
package outline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"shardload/internal/charset"
	"shardload/internal/fault"
	"shardload/internal/infer"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/server"
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
	// Files are paths; "-" is Stdin. They are parts of one table.
	Files []string
	Stdin io.Reader

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
	feed    atomic.Pointer[input.Feed]
}

// Records returns how many were read, and of how many bytes.
func (p *Progress) Records() (n, bytes int64) { return p.records.Load(), p.bytes.Load() }

// Stored returns how many bytes of the files, as they are stored, were read; 0 of formats
// that do not count in bytes.
func (p *Progress) Stored() int64 {
	n := p.before.Load()
	if f := p.feed.Load(); f != nil {
		done, _ := (*f).Far()
		n += done
	}
	return n
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
	r := &reader{cfg: cfg, utf8: server.IsUTF8(cfg.Encoding), progress: p}
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

// open opens one of the files.
func (r *reader) open(file string) (input.Feed, error) {
	var src *input.Source
	var err error
	if file == "-" {
		src, err = input.New(file, r.cfg.Stdin, r.cfg.Reading.Compression)
	} else {
		src, err = input.Open(file, r.cfg.Reading.Compression)
	}
	if err != nil {
		return nil, err
	}
	return input.NewFeed(src, r.cfg.Reading)
}

// errNames says what to do about names that cannot be shown.
func errNames(encoding string) error {
	return fault.Advise(fmt.Errorf("a column's name is not ASCII, and the input is in %s, which only a server can read", encoding),
		"convert it: iconv -t UTF-8")
}

// ended reports whether an error is the end of the input.
func ended(err error) bool { return errors.Is(err, io.EOF) }
