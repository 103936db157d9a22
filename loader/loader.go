// Package loader loads CSV into a PostgreSQL table, or into a table of a Citus
// cluster shard by shard, as fast as the server takes it.
//
// It reads what the table is from the server's catalog and knows no table by
// name. The input flows through a pipeline: a chunker cuts it at record ends, one
// decoder per core parses the records and finds the lane of each, lanes collect
// rows into batches, and streams store a batch each in one transaction of its
// own. The memory of rows on their way is fixed by Config.Memory, whatever the
// size of the input.
//
// The server is the only judge of a value: what a decoder does not recognise is
// sent as it stands. Rows of one lane are stored in the order of the input.
package loader

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/charset"
	"shardload/loader/internal/route"
	"shardload/loader/internal/store"
	"shardload/loader/internal/target"
)

// A Loader loads inputs into one table, one after the other.
type Loader struct {
	target    *target.Target
	cfg       Config
	triggers  store.Triggers
	plans     plans // of Config.Select and Where
	plan      Plan
	nodes     *route.Nodes
	replacing string // the load that has emptied the table for its inputs, "" for none
	opening
	charset  *charset.Converter // of inputs, nil if they are sent as they are encoded
	begun    begun
	deferral *deferral

	current atomic.Pointer[load]
	whole   atomic.Pointer[whole] // set that is loaded, nil for one input
	past    totals
}

// An opening is how a Loader is opened.
type opening struct {
	thrifty bool // no connection is kept for a load: others are opened before it
	small   bool // what is loaded is stored in one transaction: no node is connected to for it
}

// A Plan says what a Loader is going to do, and why.
type Plan struct {
	Table   string `json:"table"` // quoted, with its schema
	Server  string `json:"server"`
	Route   Route  `json:"route"`
	Why     string `json:"why"` // why that route
	Lanes   int    `json:"lanes"`
	Shards  bool   `json:"shards"`  // lanes are shards
	Nodes   int    `json:"nodes"`   // to which streams connect
	Streams int    `json:"streams"` // of each node
	Batch   int    `json:"batch_bytes"`
	Memory  int64  `json:"memory_bytes"`
	// OnConflict and Key say what becomes of records that conflict, and by which
	// columns they do. They are zero where that is an error.
	OnConflict Conflict `json:"on_conflict,omitempty"`
	Key        []string `json:"conflict_key,omitempty"`
	HasRows    bool     `json:"has_rows"` // the table had rows when the Loader was opened
	// Indexes says which indexes are dropped while rows are stored, and which wait already.
	Indexes IndexPlan `json:"indexes"`
}

// A Result says what a Load did. It is valid after an error, too.
type Result struct {
	Before  int64 // rows that earlier runs of the same job have stored
	Rows    int64 // rows that the server says are stored
	Batches int64 // batches stored
	Bytes   int64 // input read, decompressed
	Spent
	// InDoubt counts rows of batches whose COMMIT was sent and never answered.
	// They are stored, all rows of a batch or none, or they are not.
	InDoubt int64
	// Rejected counts the records that were kept aside, by earlier runs of the same
	// job, too. Rejects is the file that has them and why, "" if there is none; the
	// records as they were are beside it in a file that ends in .csv. Reasons sums
	// up why, the most frequent reason first.
	Rejected int64
	Rejects  string
	Reasons  []Reason
	// Updated and Skipped count those of Before and Rows that met a row of the same
	// key and took its place, or were left out. The others were added to the table.
	Updated, Skipped int64
	// Filtered counts the records that Config.Where left out, by earlier runs of the same
	// job, too. They are in no other count.
	Filtered int64
	// Parts counts the parts of a set, nil for one input. Bytes, Batches and Copying are then
	// sums over what this process did.
	Parts *PartCounts
	// Resumable says, after an error, that another Load of the input goes on where
	// this one has stopped.
	Resumable bool
}

// Open connects, reads what the table is, and checks what would stop a load. The
// caller must Close the Loader.
func Open(ctx context.Context, cfg Config) (l *Loader, err error) {
	return openLoader(ctx, cfg, opening{})
}

// openLoader is Open. A thrifty Loader has one connection to the server that Conn names until
// it loads.
func openLoader(ctx context.Context, cfg Config, how opening) (l *Loader, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	control, err := target.NewControl(ctx, cfg.Conn, cfg.watch(), cfg.Log, cfg.RetryFor)
	if err != nil {
		return nil, err
	}
	cfg.Conn = control.Cfg
	l = &Loader{cfg: cfg, opening: how, target: &target.Target{Control: control}}
	l.deferral = &deferral{Loader: l}
	control.Spare = l.closeIdle
	l.charset = charset.New(cfg.Encoding, func(ctx context.Context) (*pgconn.PgConn, error) { return l.nodes.First().Connect(ctx) })
	if err := prepareWaiting(ctx, l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// prepareWaiting prepares, and waits for what passes: an answer or a connection that was
// lost, a node that restarts.
func prepareWaiting(ctx context.Context, l *Loader) error {
	return l.target.Persist(ctx, func() error {
		if err := l.target.Reconnect(ctx); err != nil {
			return err
		}
		return catalog.Steady(ctx, func() *pgx.Conn { return l.target.Conn }, l.cfg.Table, func() (*catalog.Table, error) {
			l.closeIdle()
			l.target.Table = nil
			err := (&planner{Loader: l}).prepare(ctx)
			return l.target.Table, err
		})
	})
}

// Plan returns what Load will do.
func (l *Loader) Plan() Plan { return l.plan }

// Analyze makes the table's statistics anew.
func (l *Loader) Analyze(ctx context.Context) error { return l.nodes.Analyze(ctx) }

// Stale reports whether the table's statistics should be made anew after so many rows were added or
// changed: a part of it has none, or about a tenth of its rows are others than they were, as
// autovacuum has it by default.
func (l *Loader) Stale(ctx context.Context, rows int64) (bool, error) {
	is, err := l.nodes.Statistics(ctx)
	return err != nil || is.Stale(rows), err
}

// closeIdle closes the connections that no stream has.
func (l *Loader) closeIdle() {
	l.target.CloseAhead()
	if l.nodes != nil { // else it was not found out which there are
		l.nodes.CloseIdle()
	}
}

// Close ends the Loader's connections.
func (l *Loader) Close() error {
	err := l.begun.close()
	l.closeIdle()
	l.deferral.leave()
	l.target.Control.Close()
	return err
}
