package loader

import (
	"context"
	"io"

	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/internal/server"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/reject"
)

// newKeeper returns the keeper of a load, the job of which is open. It drops what
// earlier runs have kept of batches that were not stored in the end.
func (ld *load) newKeeper(ctx context.Context) (*reject.Keeper, error) {
	l := ld.l
	opt := reject.Options{
		Limit: l.cfg.MaxErrors, Dir: l.cfg.RejectsDir, Table: l.target.Table.Name, Input: ld.Input, Extension: l.cfg.rejectsExtension(), OneLine: l.cfg.Format == FormatJSON,
		Rewritten: ld.Layout.Record != decode.SentOrRead, Whole: ld.whole, Guessed: ld.guessed,
	}
	if f, ok := ld.feed.(input.Bytes); ok {
		opt.Again = f.ReadAt
	}
	if ld.Layout.Rewritten() {
		opt.Original = ld.Layout.Original
	}
	if l.charset != nil {
		opt.Encode = l.charset.Encode
	}
	if ld.ofRun != nil {
		opt.Rows = rejectRows(ctx, ld.ofRun, ld)
	}
	if ld.Job.Tell() {
		opt.Job, opt.Lanes = ld.Job.Job, ld.Job.Lanes
		opt.AwaitEarlier = func() error { return ld.Job.AwaitEarlier(ctx) }
		opt.Note = func(path string) error {
			if ld.whole {
				return nil // the job's row, which is stored with its rows, has it
			}
			return l.target.OnControl(ctx, func(conn *pgx.Conn) error {
				return ledger.SetRejects(ctx, conn, ld.Job.Target, ld.Job.Job, path)
			})
		}
	}
	k, err := reject.New(opt)
	if k != nil {
		ld.Rejected.Store(k.Found.Load())
	}
	return k, err
}

// jobInput says what is to be known of the input to find its job.
func (ld *load) jobInput() *job.Input {
	in, l := ld.in, ld.l
	of := &job.Input{
		Name: in.name, Repeats: in.repeats, Feed: ld.feed, Kind: ld.kind, Next: ld.next, Header: ld.Header, Form: ld.form, Shares: ld.shares, Whole: ld.whole, Lay: ld.Layout,
		Named: l.cfg.Job != "" || in.job != "", Manner: mannerOf(l),
		Open: func(ctx context.Context) (input.Feed, error) { return l.open(ctx, in) },
	}
	if !of.Named {
		of.Path = in.path
	}
	return of
}

// jobOptions says how jobs are found.
func (l *Loader) jobOptions() job.Options {
	return job.Options{
		Ledger: l.ledgerTarget(), Rewritten: l.cfg.Rewritten, Appended: l.cfg.Appended, Keyed: l.cfg.OnConflict != ConflictError,
		Named: l.cfg.Job != "", Replacing: l.replacing, Shards: l.nodes.LookAtShards,
	}
}

// open opens an input.
func (l *Loader) open(ctx context.Context, in Input) (input.Feed, error) {
	how := l.cfg.reading()
	if l.charset != nil {
		how.Convert = func(r io.Reader) io.ReadCloser { return l.charset.Reader(ctx, r) }
	}
	feed, err := in.open(ctx, how)
	if f, ok := feed.(input.Bytes); ok && err == nil && !l.cfg.MaxErrors.None() {
		f.KeepOpen()
	}
	return feed, err
}

// newLanes makes the lanes of ld, with the marks of its job.
func (ld *load) newLanes() {
	l := ld.l
	if j := ld.Job; j.InPieces() {
		ld.Layout.Router.SetRanges(j.Lanes)
	}
	ld.Lanes = lane.New(lane.Options{
		Lanes: ld.Layout.Router.Lanes, Memory: l.cfg.Memory, Batch: ld.batchSize(), Chunk: int64(l.cfg.reading().Chunk), Nodes: l.nodes.Len(), Streams: l.plan.Streams,
		Sorted: len(ld.Layout.SortBy) > 0, Held: ld.stage == StageStore, Whole: ld.whole, Origins: !l.cfg.MaxErrors.None(), Dialect: ld.Layout.Sent,
	})
	if ld.Job.InPieces() {
		ld.Lanes.Resume(ld.Job.Lanes, ld.Job.Sums()) // blocks are known by their first and last one
	}
}

// layoutOptions says how records are written, and sent.
func (c *Config) layoutOptions() decode.Options {
	return decode.Options{
		Dialect: c.dialect(), Forced: pgcsv.Forced{Null: c.ForceNull, NotNull: c.ForceNotNull},
		Encoding: c.sentEncoding(), MaxRecord: c.MaxRecord, NoDetail: c.NoDetail, AsTheyAre: c.SendCSV,
	}
}

// target returns the table as the ledger wants to know it.
func (l *Loader) ledgerTarget() ledger.Target {
	return ledger.Target{Table: l.target.Table, Distribution: l.target.Distribution, Waiting: server.Waiting{Limit: l.cfg.RetryFor, Tell: func(holders []server.Holder) {
		l.cfg.Log.Warn("waiting for the lock under which tables of progress are made and dropped, which "+server.DescribeHolders(holders), "table", l.target.Table.String())
	}, Waits: l.cfg.Waits}}
}

// batchSize returns the number of bytes at which a batch is sealed.
func (ld *load) batchSize() int {
	if ld.whole {
		return 1 << 30
	}
	if smaller := ld.Batch.Load(); smaller > 0 {
		return min(ld.l.cfg.Batch, int(smaller))
	}
	return ld.l.cfg.Batch
}
