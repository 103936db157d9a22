package store

import (
	"sync/atomic"
	"time"

	"shardload/internal/pgcsv"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/reject"
	"shardload/loader/internal/route"
	"shardload/loader/internal/target"
)

// A Store is what the streams of a load share.
type Store struct {
	Target   *target.Target
	Nodes    *route.Nodes
	Layout   *decode.Layout
	Merge    *merge // nil if rows go into the table itself
	Job      *job.Job
	Lanes    *lane.Lanes
	Dispatch *route.Dispatch
	Fence    *route.Fence
	Keeper   *reject.Keeper // of rejected records, nil if there may be none
	Triggers *Triggers
	Tell     Tell
	// Hashed says that our hashes were found to be the server's: a lane's rows are of its shard.
	Hashed bool
	// Trusting says that nobody asks for triggers: sending alone is measured.
	Trusting bool

	Source
	*Counts
}

// A Source is what streams are told of the input.
type Source struct {
	Input   string // by which errors call it
	Repeats bool   // it can be opened again
	Header  []byte // with its line break, nil if there is none
	EOL     pgcsv.EOL
}

// Tell has whom to tell of batches.
type Tell struct {
	Stored  func(node string, b *lane.Batch, started time.Time) // nil for nobody
	Retried func(node string)                                   // nil for nobody
}

// Counts are what a load has done so far, over all its attempts.
type Counts struct {
	Attempts int
	Pieces   bool         // the input must not be stored in one transaction
	Batch    atomic.Int64 // bytes of a batch at most, 0 for Config.Batch
	Read     atomic.Int64 // input, decompressed
	Before   atomic.Int64 // rows stored by earlier runs
	Rows     atomic.Int64
	Rejected atomic.Int64 // by this and earlier runs
	Updated  atomic.Int64 // likewise
	Skipped  atomic.Int64 // likewise
	Filtered atomic.Int64 // likewise
	Batches  atomic.Int64
	Copying  atomic.Int64 // nanoseconds
	InDoubt  atomic.Int64

	Rejects string // the file of rejected records
	Reasons []failure.Reason
}

// Triggers are what is known of triggers that drop rows before they are inserted.
type Triggers struct {
	Drop      atomic.Bool // there may be some
	uncounted atomic.Bool // and were found where a COPY does not count what is stored
}
