package loader

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/internal/job"
	"shardload/loader/internal/route"
)

// A Replacement is what is known of a load that emptied a table and was to fill it
// with some inputs.
type Replacement struct {
	// ID is that which Replacing was told, "" if nothing was loaded since the table was
	// emptied.
	ID string
	// Complete says that all of the inputs are stored. Unfinished is the ID of the job of one
	// that is begun and is not, "" for none.
	Complete   bool
	Unfinished string
}

// Replacing says that the table was emptied for the inputs that Load is given from now
// on: by a load of that ID, which their jobs then have. Jobs of another one, and
// inputs that have changed, are errors.
func (l *Loader) Replacing(id string) { l.replacing = id }

// Replaced says whether the table was emptied for these inputs, and still has nothing
// but what was loaded from them since: then a load that was to empty it goes on. ok is
// false if it must be emptied once more: others have stored or removed rows, or begun to
// load other inputs; the role may not look. Another process that is loading one of the inputs
// is an error.
func (l *Loader) Replaced(ctx context.Context, inputs ...Input) (r Replacement, ok bool, err error) {
	names := map[string]Input{}
	for _, in := range inputs {
		name, err := l.jobName(in)
		if err != nil || l.cfg.NoResume {
			return r, false, err
		}
		names[name] = in
	}
	err = l.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		r, ok, err = l.replaced(ctx, conn, names)
		return err
	})
	if _, refused := errors.AsType[*pgconn.PgError](err); refused {
		return Replacement{}, false, nil // what cannot be read cannot be gone on with
	}
	if err != nil {
		return r, false, fmt.Errorf("look for a load that has emptied %s: %w", l.target.Table, err)
	}
	return r, ok, nil
}

// replaced is Replaced, on conn. The marks are read before the rows are counted: what
// is stored between makes the numbers differ.
func (l *Loader) replaced(ctx context.Context, conn *pgx.Conn, names map[string]Input) (r Replacement, ok bool, err error) {
	jobs, err := ledger.OfTable(ctx, conn, l.ledgerTarget())
	if err != nil {
		return r, false, err
	}
	complete, added := 0, int64(0)
	sets := map[string]bool{}
	for _, was := range jobs {
		if in, ok := names[was.Name]; ok && was.Set != nil && in.set != nil {
			sets[was.ID] = true
		}
	}
	for _, was := range jobs {
		id := was.Fingerprint.Replace
		in, named := names[was.Name]
		if !(named && was.Of == "" && (was.Set != nil) == (in.set != nil) || sets[was.Of]) || was.TableOID != l.target.Table.OID || id == "" || r.ID != "" && r.ID != id {
			return r, false, nil
		}
		r.ID = id
		if was.Set != nil {
			if same, err := sameParts(ctx, l, conn, was, in); err != nil || !same {
				return r, false, err
			}
			added += was.Added() // that of its closed runs; its open ones are jobs, too
		}
		if was.Complete() {
			complete++
		}
		if was.Set != nil {
			continue
		}
		j := &job.Job{Job: was}
		if was.Complete() {
			added += was.Added()
			continue
		}
		r.Unfinished = was.ID
		if err := checkFree(ctx, conn, l, was.Name); err != nil {
			return r, false, err
		}
		if j.Lanes, err = ledger.Lanes(ctx, conn, l.ledgerTarget(), was); errors.Is(err, ledger.ErrMarksGone) {
			return r, false, nil
		}
		if err != nil {
			return r, false, err
		}
		rows, merged := j.Before()
		added += rows - merged.Updated - merged.Skipped
	}
	r.Complete = complete == len(names)
	var has int64
	if err := server.Value(ctx, conn, &has, "SELECT pg_catalog.count(*) FROM "+l.target.Table.SQL()); err != nil {
		return r, false, err
	}
	return r, has == added, nil
}

// checkFree makes sure that no other process works on the job of that name. One that was killed
// is waited for a moment.
func checkFree(ctx context.Context, conn *pgx.Conn, l *Loader, name string) error {
	err := server.Tx(ctx, conn, server.Write, func() error { return ledger.LockJob(ctx, conn, l.ledgerTarget(), name, nil) })
	if locked, ok := errors.AsType[*server.LockedError](err); ok {
		return route.Busy(l.target, locked)
	}
	return err
}
