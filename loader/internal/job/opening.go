package job

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/target"
)

// A Input is what is asked of an input to tell which job it is, and whether it is what
// it was.
type Input struct {
	Name    string // by which errors call it
	Path    string // of a file that has no other name as a job, else ""
	Named   bool   // its job has another name than its own
	Manner  string // how it is read: see ledger.Form.Manner
	Repeats bool   // it can be opened again
	Open    func(context.Context) (input.Feed, error)
	Feed    input.Feed                                                  // of the load
	Kind    input.Feed                                                  // it, or of a set that of a part
	Next    func(ctx context.Context, buf []byte) (*input.Chunk, error) // of feed
	Header  []byte                                                      // with its line break, nil if there is none
	Form    ledger.Form                                                 // how it is read
	Shares  ledger.Shares                                               // what decides a row's lane
	Whole   bool                                                        // everything is stored in one transaction
	Lay     *decode.Layout
}

// Options are how a job is found, and what may be done about one that has changed.
type Options struct {
	Ledger    ledger.Target
	Rewritten bool   // a table that was rewritten has its rows still
	Appended  bool   // what was appended to a file is to be loaded
	Keyed     bool   // rows that are there are not stored twice
	Named     bool   // the job was given a name
	Replacing string // the load that has emptied the table for its inputs, "" for none
	// Shards asks for the files of the shards. They are added to files by add, which is to
	// be called whatever comes between.
	Shards func(ctx context.Context, conn *pgx.Conn, files ledger.Files) (add func() error, err error)
}

// An Opening finds the job of an input in the ledger.
type Opening struct {
	*rereader
	t   *target.Target
	opt Options
}

// A rereader reads an input once more, to see whether it is what it was.
type rereader struct {
	In  *Input
	log *slog.Logger
}

// NewOpening returns the opening of the job of in.
func NewOpening(t *target.Target, in *Input, opt Options) *Opening {
	return &Opening{rereader: &rereader{In: in, log: t.Log}, t: t, opt: opt}
}

// addShards adds to files those of the shards.
func (o *Opening) addShards(ctx context.Context, conn *pgx.Conn, files ledger.Files) error {
	add, err := o.opt.Shards(ctx, conn, files)
	if err != nil {
		return err
	}
	return add()
}

// Sums reports whether the input's sum is wanted, and can be had.
func (j *Job) Sums() bool {
	_, bytes := j.In.Kind.(input.Bytes)
	return bytes && j.Tell()
}

// checkReplaced makes sure that a job which was found is one of the load that has
// emptied the table, and that its input is the same: a new one would be stored beside
// the rows of the old one.
func (o *Opening) checkReplaced(was *ledger.Job, now ledger.Fingerprint) error {
	if o.opt.Replacing == "" || was.Other != nil {
		return nil
	}
	if changed := was.Fingerprint.Changed(now); changed != "" {
		return &failure.JobError{Job: was.Name, Problem: "an earlier run has emptied the table and begun to load it, and since then " + changed, Do: failure.Anew}
	}
	if was.Fingerprint.Replace != o.opt.Replacing {
		return &failure.JobError{Job: was.Name, Problem: "it was begun by another load than the one that has emptied the table", Do: failure.Anew}
	}
	return nil
}
