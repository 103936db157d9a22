// Package loader loads CSV into a PostgreSQL table, or into a table of a Citus
// cluster shard by shard. It reads what the table is from the server's catalog
// and knows no table by name.
package loader

import (
	"context"
	"errors"
	"time"
)

// A Loader loads inputs into one table, one after the other.
type Loader struct{}

// A Plan says what a Loader is going to do, and why.
type Plan struct {
	Table   string // quoted, with its schema
	Route   Route
	Why     string // why that route
	Lanes   int
	Shards  bool // lanes are shards
	Streams int
	Batch   int
	Memory  int64
	Server  string // "PostgreSQL 15.20, Citus 13.2.2, 2 workers"
	HasRows bool   // the table had rows when the Loader was opened
}

// A Result says what a Load did. It is valid after an error, too.
type Result struct {
	Rows    int64 // rows that the server says are stored
	Batches int64 // batches stored
	Bytes   int64 // input read, decompressed
	Elapsed time.Duration
	// Copying is how much of Elapsed, summed over the streams, the server had a
	// batch to work on. Copying / (Elapsed * streams) near 1 means that the server
	// sets the pace.
	Copying time.Duration
	// InDoubt counts rows of batches whose COMMIT was sent and never answered.
	InDoubt int64
}

// A Progress is a snapshot of a running Load.
type Progress struct {
	BytesRead  int64 // of the input as it is stored: compressed, if it is
	BytesTotal int64 // -1 where unknown
	Rows       int64 // stored
	Bytes      int64 // input read, decompressed
}

// An Input is something to load.
type Input struct{}

// File returns the input in the file at path, decompressed by its content.
func File(path string) Input { return Input{} }

// A RowError names the input record that could not be stored.
type RowError struct {
	File     string // as the caller gave it; "-" for standard input
	Line     int64  // 1-based physical line on which the record starts
	LastLine int64  // beyond Line if the server hid which record of a range it was
	Column   string // "" if the whole record is at fault
	Err      error
}

func (e *RowError) Error() string { return e.Err.Error() }
func (e *RowError) Unwrap() error { return e.Err }

// Open connects, reads what the table is, and checks what would stop a load. The
// caller must Close the Loader.
func Open(ctx context.Context, cfg Config) (*Loader, error) { return nil, errors.New("not built yet") }

// Plan returns what Load will do.
func (l *Loader) Plan() Plan { return Plan{} }

// Load stores all rows of in, or stops at the first record that cannot be stored
// with a *RowError. Batches that are stored by then stay; Result counts them.
func (l *Loader) Load(ctx context.Context, in Input) (Result, error) { return Result{}, nil }

// Progress may be called from any goroutine while Load runs.
func (l *Loader) Progress() Progress { return Progress{} }

// Analyze refreshes the table's statistics.
func (l *Loader) Analyze(ctx context.Context) error { return nil }

// Close ends the Loader's connections.
func (l *Loader) Close() error { return nil }
