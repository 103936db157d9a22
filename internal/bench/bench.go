// Package bench measures how fast rows get into a table: by the loader over its
// routes, streams and batch sizes, beside what bounds it (reading and encoding
// alone, sending alone) and what people use instead of it.
//
// Everything runs on the same rows, in a schema that the benchmark makes and drops
// again. The runs of all arms are interleaved, in another order in each round, so
// that what the machine does meanwhile meets them alike; before each run the table
// is emptied and the servers write a checkpoint, and after it the rows are counted.
// What is measured is kept as it is, with what explains it; statistics come
// afterwards.
package bench

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/loader"
)

// An Order is how the rows of the input follow each other.
type Order string

// The orders.
const (
	Mixed  Order = "mixed"  // neighbours belong to many tenants, as in an export
	Sorted Order = "sorted" // by tenant
)

// A Format is how the loader sends rows.
type Format string

// The formats.
const (
	Binary Format = "binary" // as users' loads do, wherever they can
	CSV    Format = "csv"    // as they are in the input
)

// Defaults of the Config's fields.
const (
	DefaultRows   = 1_000_000
	DefaultShards = 32
	DefaultRepeat = 5
	DefaultLimit  = 5 * time.Minute
	DefaultSlow   = 15 * time.Second
)

// A Config says what to measure, and where. The first value of each list is the
// base; the others are tried one at a time beside the base, unless Cross says that
// all are to be combined. The zero value of each field but Conn and Dir is usable.
type Config struct {
	// Conn names the server; DSN is the same for programs that speak libpq's
	// language. Both are required.
	Conn *pgx.ConnConfig
	DSN  string

	// Dir is an empty directory for the input files, which the caller removes. The
	// server may read them if it runs on this machine and can enter the directory.
	Dir string

	Routes  []loader.Route // empty means those that the server allows, the fastest first
	Streams []int          // connections in all; zero or empty means one per CPU, at least 2
	Batches []int64        // bytes; empty means 4 MiB, 1 MiB and 16 MiB
	Formats []Format       // empty means Binary
	Shards  []int          // of the table on a Citus cluster; empty means 32
	Rows    []int64        // empty means 1,000,000
	Orders  []Order        // empty means Mixed
	Cross   bool

	// Arms names the arms to run, by their names or the part of it before a colon;
	// empty means all that can run.
	Arms []string
	// Rivals are commands that load a file, too.
	Rivals []Rival

	// Repeat is the number of measured runs of each arm, Warmup that of runs before
	// them which do not count. Repeat zero means 5.
	Repeat, Warmup int
	// Slow is how long a run may take for its arm to be run again, unless the
	// fastest arm is not much faster. Zero means 15 s.
	Slow time.Duration
	// Limit ends a run, and its arm with it. Zero means 5 minutes.
	Limit time.Duration

	// steady says that the loader's time is that between its first BEGIN and its
	// last COMMIT, without what starting and ending a job costs.
	steady bool

	Seed    uint64
	NodeMap map[string]string // as the loader's

	// Observe, if not nil, is told of each batch that the loader stores.
	Observe func(loader.StoredBatch)
	// Retried, if not nil, is told of each batch that the loader sends again.
	Retried func(node string)

	// Note is told what happens, for a user to follow. Nil discards it.
	Note func(format string, args ...any)
}

// A Rival is a command that loads a CSV file into a table. sh runs it, with
// these replaced: {dsn} without its password, which is in PGPASSWORD, {url}, the
// same as a URL of user, host, port and database alone, {file}, {table}, which is
// {schema}.{name}, {columns} with commas between them, and {workers}.
type Rival struct {
	Name    string
	Command string
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if len(c.Streams) == 0 {
		n := max(runtime.NumCPU(), 2)
		c.Streams = []int{n, 2 * n, 4 * n}
	}
	if len(c.Batches) == 0 {
		c.Batches = []int64{loader.DefaultBatch, 1 << 20, 16 << 20}
	}
	if len(c.Formats) == 0 {
		c.Formats = []Format{Binary}
	}
	if len(c.Shards) == 0 {
		c.Shards = []int{DefaultShards}
	}
	if len(c.Rows) == 0 {
		c.Rows = []int64{DefaultRows}
	}
	if len(c.Orders) == 0 {
		c.Orders = []Order{Mixed}
	}
	if c.Repeat == 0 {
		c.Repeat = DefaultRepeat
	}
	if c.Slow == 0 {
		c.Slow = DefaultSlow
	}
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Note == nil {
		c.Note = func(string, ...any) {}
	}
	return c
}

// Validate reports all mistakes in what c wants to be measured: not that a server or
// a directory is missing.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	checkWords(bad, "route", c.Routes, loader.RouteShard, loader.RouteNode, loader.RouteCoordinator)
	checkWords(bad, "format", c.Formats, Binary, CSV)
	checkWords(bad, "order", c.Orders, Mixed, Sorted)
	checkList(bad, "streams", c.Streams, 1, loader.MaxStreams)
	checkList(bad, "batch", c.Batches, 1, 1<<30)
	checkList(bad, "shards", c.Shards, 1, 64_000)
	checkList(bad, "rows", c.Rows, 1, math.MaxInt32)
	if c.Repeat < 1 || c.Warmup < 0 {
		bad("%d measured runs and %d before them; want at least 1 and 0", c.Repeat, c.Warmup)
	}
	if c.Slow < 0 || c.Limit < 0 {
		bad("an arm is slow after %s and given up after %s; want times above 0", c.Slow, c.Limit)
	}
	for _, r := range c.Rivals {
		if r.Name == "" || r.Command == "" {
			bad("rival %q: want name=command", r.Name)
		}
	}
	c.checkArms(bad)
	return errors.Join(errs...)
}

// checkArms complains about names of arms that there never are.
func (c Config) checkArms(bad func(string, ...any)) {
	names := armNames(c.Rivals)
	for _, name := range c.Arms {
		known := slices.ContainsFunc(names, func(n string) bool { return n == name || strings.HasPrefix(n, name+":") })
		if !known {
			bad("no arm is named %q: want some of %s", name, strings.Join(names, ", "))
		}
	}
}

// checkWords complains about words that are none of choices, and about one that is
// there twice.
func checkWords[T ~string](bad func(string, ...any), name string, list []T, choices ...T) {
	for i, v := range list {
		if !slices.Contains(choices, v) {
			bad("%s %q: want one of %q", name, v, choices)
		}
		if slices.Contains(list[:i], v) {
			bad("%s %s is there twice", name, v)
		}
	}
}

// checkList complains about values outside of a range, and about a value that is
// there twice.
func checkList[T int | int64](bad func(string, ...any), name string, list []T, low, high T) {
	for i, v := range list {
		if v < low || v > high {
			bad("%s %d: want %d to %d", name, v, low, high)
		}
		if slices.Contains(list[:i], v) {
			bad("%s %d is there twice", name, v)
		}
	}
}
