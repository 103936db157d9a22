package loader

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/reject"
)

// Rejected records of a set are rows, until nothing of the set is left to load: see ledger.MakeRejects
// and ledger.TakeRejects.

// What a run of a set has for its rejected records.
type keptOfRun struct {
	// What other runs of the set have rejected and read, as far as they have said with their beats.
	rejected, read atomic.Int64

	mu   sync.Mutex
	seqs map[string]int32 // numbers of parts, by how errors call them
}

// number notes the number of a part.
func (a *keptOfRun) number(name string, seq int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seqs == nil {
		a.seqs = map[string]int32{}
	}
	a.seqs[name] = seq
}

// part returns the number of a part.
func (a *keptOfRun) part(name string) int32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seqs[name]
}

// keepAside makes room for rejected records beside the marks of the run, and hears how many others have.
func keepAside(ctx context.Context, r *running, ld *load) error {
	form := reject.Form{Extension: ld.l.cfg.rejectsExtension(), OneLine: ld.l.cfg.Format == FormatJSON, Header: ld.Header, EOL: ld.EOL}
	if c := ld.l.charset; c != nil {
		form.Header = c.Encode(nil, form.Header)
	}
	text, err := form.Bytes()
	if err != nil {
		return err
	}
	var stored ledger.Totals
	for _, l := range ld.Job.Lanes {
		stored.Rows += l.Rows
		stored.Rejected += l.Rejected
	}
	t := ld.l.target
	return t.OnControl(ctx, func(conn *pgx.Conn) error {
		err := t.Settled(ctx, conn, r.of.set.Name, func() error { return ledger.MakeRejects(ctx, conn, r.of.target, r.job, text) })
		if err != nil {
			return err
		}
		return beatAs(ctx, r, conn, stored)
	})
}

// beatAs says that the run goes on, and what it has stored, and hears what others have.
func beatAs(ctx context.Context, r *running, conn *pgx.Conn, so ledger.Totals) error {
	pulse, err := ledger.Beat(ctx, conn, r.of.target, r.Is, so)
	if err != nil {
		return err
	}
	r.of.hear(r.of.l, pulse.All, so.Rows)
	rejected := pulse.Rejected - so.Rejected
	r.kept.rejected.Store(rejected)
	r.kept.read.Store(pulse.Rows - so.Rows + rejected)
	return nil
}

// rejectRows returns what the keeper of the run's rejected records is to know.
func rejectRows(ctx context.Context, r *running, ld *load) *reject.Rows {
	return &reject.Rows{
		Part:   r.kept.part,
		Others: func() (rejected, read int64) { return r.kept.rejected.Load(), r.kept.read.Load() },
		Earlier: func(fn func(entry []byte) error) error {
			return ld.l.target.OnControl(ctx, func(conn *pgx.Conn) error { return ledger.RunRejects(ctx, conn, r.of.target, r.job, fn) })
		},
	}
}

// ofRecord returns what is wrong with a record, nil if err is something else: that more records are
// bad than may be is not the fault of one part.
func ofRecord(err error) *failure.RowError {
	if _, many := errors.AsType[*failure.TooManyError](err); many {
		return nil
	}
	row, _ := errors.AsType[*failure.RowError](err)
	return row
}

// endRejects writes the files of the set's rejected records, now that no run of it is open that could
// go on, and judges whether they are too many.
func endRejects(ctx context.Context, of *roster, conn *pgx.Conn, res *Result) (tooMany *failure.TooManyError, err error) {
	cfg := &of.l.cfg
	err = ledger.TakeRejects(ctx, conn, of.target, of.set.ID, func(forms map[string][]byte, next func(func(string, []byte) error) error) (path string, err error) {
		files := reject.SetFiles{Dir: cfg.RejectsDir, Table: of.l.target.Table.Name, Set: of.set.ID, Forms: maps.Clone(forms)}
		path, res.Reasons, err = files.Write(next)
		res.Rejects = path
		return path, err
	})
	if err != nil {
		return nil, err
	}
	all, rejected, err := ledger.SetTotals(ctx, conn, of.target, of.set.ID, of.since)
	if err != nil || rejected == 0 {
		return nil, err
	}
	res.Rejected = rejected
	if read := all.Rows + all.Rejected + all.Filtered; cfg.MaxErrors.Exceeded(all.Rejected, read, true) {
		tooMany = &failure.TooManyError{Limit: cfg.MaxErrors, Rejected: all.Rejected, Read: read, File: res.Rejects}
	}
	return tooMany, nil
}
