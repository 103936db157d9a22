package loader

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/indexes"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/route"
)

// An IndexPlan says what becomes of the indexes of a table that is loaded.
type IndexPlan struct {
	// Waiting counts the indexes that an earlier load has dropped, and that wait to be built;
	// the parts of partitioned ones count, too.
	Waiting int `json:"waiting,omitempty"`
	// Deferred are those that Config.DeferIndexes drops, by their names as SQL has them. Those of
	// partitions go with them.
	Deferred []string `json:"deferred,omitempty"`
	// Kept are those that it does not, although no constraint and no key is kept by them.
	Kept []KeptIndex `json:"kept,omitempty"`
}

// A KeptIndex is an index that stays, and why.
type KeptIndex struct {
	Name string `json:"name"`
	Why  string `json:"why"` // "is not valid", "belongs to another role"
}

// surveyIndexes finds out which indexes there are, and which wait.
func (pl *planner) surveyIndexes(ctx context.Context) error {
	waiting, err := ledger.WaitingOf(ctx, pl.target.Conn, pl.ledgerTarget())
	if ledger.Untrusted(err) != nil && !pl.cfg.DeferIndexes {
		return nil // it is no concern of this load
	}
	if err != nil {
		return err
	}
	if waiting != nil {
		pl.plan.Indexes.Waiting = len(waiting.Indexes)
	}
	if !pl.cfg.DeferIndexes {
		return nil
	}
	if !pl.target.Rights.Owner && !pl.target.Rights.Superuser {
		return &failure.PreflightError{
			Problem: fmt.Sprintf("role %s does not own %s, and only its owner may drop and build its indexes", pl.target.Rights.Role, pl.target.Table),
			Do:      "connect as its owner, or load without Config.DeferIndexes",
		}
	}
	found, err := indexes.Look(ctx, pl.target.Conn, pl.ledgerTarget())
	if err != nil {
		return err
	}
	pl.plan.Indexes.take(found)
	return nil
}

// take takes over what was found.
func (p *IndexPlan) take(found indexes.Survey) {
	p.Deferred, p.Kept = found.May, nil
	for _, k := range found.Kept {
		p.Kept = append(p.Kept, KeptIndex(k))
	}
}

// A deferral is what a Loader does about indexes that wait.
type deferral struct {
	*Loader
	share   *pgx.Conn // keeps others from building the table's indexes, nil for none
	dropped bool      // since share was opened what may wait was dropped
	waiting bool      // indexes of the table wait
}

// begin drops the indexes that may wait, before the first row is on its way. As long as nobody
// builds them that is done once: the fence, which is nil if there is none, lets go for it, and who
// sees a run without one takes it over.
func (d *deferral) begin(ctx context.Context, fence *route.Fence) error {
	if !d.cfg.DeferIndexes || d.shares() && d.dropped {
		return nil
	}
	drop := func() error {
		return d.target.Persist(ctx, func() error {
			if err := d.take(ctx); err != nil {
				return err
			}
			return d.drop(ctx)
		})
	}
	if fence == nil {
		return drop()
	}
	return route.Apart(ctx, fence, drop)
}

// shares reports whether nobody can build the table's indexes now.
func (d *deferral) shares() bool {
	return d.share != nil && !d.share.IsClosed() && d.share.PgConn().TxStatus() == 'T'
}

// take sees to it that nobody builds the table's indexes while it is loaded.
func (d *deferral) take(ctx context.Context) (err error) {
	if d.shares() {
		return nil
	}
	d.leave()
	if d.share, err = d.target.Connect(ctx); err != nil {
		return err
	}
	return indexes.Share(ctx, d.share, d.ledgerTarget(), d.cfg.Log)
}

// leave lets others build them.
func (d *deferral) leave() {
	d.dropped = false
	if d.share != nil {
		server.CloseSoon(d.share.PgConn())
		d.share = nil
	}
}

// drop drops what may wait, on a connection of its own: the fence has opened for it.
func (d *deferral) drop(ctx context.Context) error {
	conn, err := d.target.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { server.CloseSoon(conn.PgConn()) }()
	return d.target.Settled(ctx, conn, d.target.Table.String(), func() error {
		dropped, err := indexes.Drop(ctx, conn, d.ledgerTarget())
		if err != nil {
			return err
		}
		for _, k := range dropped.Kept {
			if !slices.Contains(d.plan.Indexes.Kept, KeptIndex(k)) { // else it was said
				d.cfg.Log.Warn(fmt.Sprintf("index %s of %s stays while rows are stored: it %s", k.Name, d.cfg.Table, k.Why))
			}
		}
		d.dropped, d.waiting = true, d.waiting || len(dropped.May) > 0
		return nil
	})
}

// build builds what waits, and tells how many are built, of how many.
func (d *deferral) build(ctx context.Context, tell func(n, of int)) error {
	d.leave()
	var waiting *ledger.WaitingIndexes
	err := d.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		waiting, err = ledger.WaitingOf(ctx, conn, d.ledgerTarget())
		return err
	})
	if err != nil || waiting == nil {
		return err
	}
	d.waiting = true
	b := &indexes.Builder{
		Target: d.ledgerTarget(), Connect: d.target.Connect, Persist: d.target.Persist, Log: d.cfg.Log,
		AtOnce: d.plan.Streams * d.plan.Nodes, Tell: tell,
	}
	if _, err = b.Build(ctx); err == nil {
		d.waiting = false
	}
	return err
}

// BuildIndexes builds the indexes of the table that wait: those that loads with
// Config.DeferIndexes have dropped, this one or an earlier one that was stopped. If another such
// load is under way it waits for that one. An index that cannot be built waits on; the error has
// an *IndexError for each of them.
func (l *Loader) BuildIndexes(ctx context.Context) error {
	return l.deferral.build(ctx, func(int, int) {})
}
