package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// Several processes may load one set, and one of them must not empty the table into which others have
// stored. Where the job has a name the table is emptied for it once, by whoever enters the job;
// who comes later goes on, or finds it complete. Without one a process is refused while others load.

// errEmptied says that another process has emptied the tables for the job.
var errEmptied = errors.New("the tables were emptied for this job by another process")

// sameParts reports whether all that was loaded, or begun, of a set is among the parts that in has, and
// as it was.
func (l *Loader) sameParts(ctx context.Context, conn *pgx.Conn, was *ledger.Job, in Input) (bool, error) {
	parts, err := in.set.list(ctx, l.cfg.reading().Access)
	if err != nil {
		return false, err
	}
	now, err := ledger.CountParts(ctx, conn, l.ledgerTarget(), was.ID, parts)
	if err != nil {
		return false, err
	}
	all, err := ledger.Stand(ctx, conn, l.ledgerTarget(), was.ID)
	if err != nil {
		return false, err
	}
	return len(now.Changed) == 0 && now.Loaded == all.Loaded && now.Taken == all.Taken, nil
}

// Shared reports whether tables are loaded from several inputs each, for a job that has a name: then any number of
// processes may load them, also with SetOptions.Replace, which empties the tables once for the name.
func (s *Set) Shared() bool {
	return slices.ContainsFunc(s.tables, func(t *SetTable) bool { return t.loader.cfg.Job != "" && t.ofParts() != nil })
}

// ofParts returns the set that the table is loaded from, nil if it is none.
func (t *SetTable) ofParts() *Input {
	if len(t.Inputs) == 1 && t.Inputs[0].set != nil {
		return &t.Inputs[0]
	}
	return nil
}

// nobodyLoads makes sure that no process works on runs of sets of the tables, unless for the same job, that
// has a name.
func (s *Set) nobodyLoads(ctx context.Context) error {
	if s.Shared() {
		return nil // it is looked at where they are to be emptied
	}
	for _, t := range s.tables {
		target := t.loader.ledgerTarget()
		for until := time.Now().Add(fault.BusyLimit); ; {
			var busy error
			err := t.loader.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
				busy, err = working(ctx, conn, target)
				return err
			})
			if err != nil {
				return err
			}
			if busy == nil {
				break
			}
			if time.Now().After(until) { // else that of a process that was killed may go
				return busy
			}
			select {
			case <-time.After(fault.LockGone / 10):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// working returns an error about a process that works on a run of a set of the table, nil if there is none.
func working(ctx context.Context, conn *pgx.Conn, t ledger.Target) (busy, err error) {
	r, set, err := ledger.WorkingRun(ctx, conn, t)
	if err != nil || r == nil {
		return nil, err
	}
	return &failure.PreflightError{
		Problem: fmt.Sprintf("process %d on %s is loading files of %s into %s, and what it has stored would be gone", r.PID, r.Host, set, t.Table.SQL()),
		Do:      "wait for it, or end it; processes that are to load together are all given the same job name",
	}, nil
}

// refuseWorking is working, in the transaction that empties the table.
func refuseWorking(ctx context.Context, tx pgx.Tx, t ledger.Target) error {
	there, err := ledger.HasSets(ctx, tx, t)
	if err != nil || !there {
		return err
	}
	busy, err := working(ctx, tx.Conn(), t)
	return errors.Join(busy, err)
}

// loadShared loads the tables for a job that has a name: they are emptied once for it.
func (s *Set) loadShared(ctx context.Context, opt SetOptions) ([]SetResult, error) {
	done := opt.emptying()
	id, err := s.emptiedFor(ctx)
	if err == nil && id == "" {
		id, err = s.emptyOnce(ctx)
	} else if err == nil {
		opt.replacing(true, nil)
	}
	if done(); err != nil {
		return nil, err
	}
	opt.emptied()
	s.replace(id)
	return s.load(ctx, opt)
}

// emptiedFor returns the ID of the load that has emptied the tables for the job of the name, "" for none.
func (s *Set) emptiedFor(ctx context.Context) (id string, err error) {
	for _, t := range s.tables {
		err := t.loader.target.OnControl(ctx, func(conn *pgx.Conn) error {
			jobs, err := ledger.Find(ctx, conn, t.loader.ledgerTarget(), t.loader.cfg.Job)
			if err != nil {
				return err
			}
			id, err = replaceIDOf(t.loader, jobs, id)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return id, nil
}

// replaceIDOf returns the ID of the load for which jobs of l's table were begun, which is no other than
// id, if there is one already.
func replaceIDOf(l *Loader, jobs []*ledger.Job, id string) (string, error) {
	for _, j := range jobs {
		was := j.Fingerprint.Replace
		switch {
		case j.TableOID != l.target.Table.OID || was == "":
		case id != "" && was != id:
			return "", &failure.JobError{Job: j.Name, Problem: "the tables were emptied for it one by one", Do: "give the load another job name"}
		default:
			id = was
		}
	}
	return id, nil
}

// emptyOnce empties the tables and enters the jobs of their sets, in one transaction, unless another
// process does it first. It returns the ID of whoever did.
func (s *Set) emptyOnce(ctx context.Context) (id string, err error) {
	mine := newReplaceID()
	of := func(t ledger.Target) *SetTable {
		return s.tables[slices.IndexFunc(s.tables, func(s *SetTable) bool { return s.loader.target.Table.OID == t.Table.OID })]
	}
	with := emptied{
		before: func(ctx context.Context, tx pgx.Tx, t ledger.Target) error {
			jobs, err := ledger.JobsNamed(ctx, tx, of(t).loader.ledgerTarget(), of(t).loader.cfg.Job)
			if err != nil {
				return err
			}
			if other, err := replaceIDOf(of(t).loader, jobs, ""); err != nil || other != "" {
				return errors.Join(err, errEmptied)
			}
			return refuseWorking(ctx, tx, of(t).loader.ledgerTarget())
		},
		after: func(ctx context.Context, tx pgx.Tx, t ledger.Target) error {
			if of(t).ofParts() == nil {
				return nil
			}
			l, in := of(t).loader, of(t).ofParts()
			j := newSetJob(l, *in)
			j.Fingerprint.Replace = mine
			return ledger.EnterSetIn(ctx, tx, l.ledgerTarget(), j)
		},
	}
	err = s.empty(ctx, with)
	if errors.Is(err, errEmptied) {
		return s.emptiedFor(ctx)
	}
	return mine, err
}

// checkEmptiedFor makes sure, where the table was emptied for a set which is complete, that it was for the parts
// that the set has now: else what is new would be stored beside the rows of others.
func (of *roster) checkEmptiedFor(ctx context.Context, conn *pgx.Conn) error {
	if of.l.replacing == "" || !of.set.Complete() {
		return nil
	}
	now, err := ledger.CountParts(ctx, conn, of.target, of.set.ID, of.parts)
	if err != nil {
		return err
	}
	all, err := ledger.Stand(ctx, conn, of.target, of.set.ID)
	if err != nil {
		return err
	}
	if now.Loaded < len(of.parts) || all.Loaded > now.Loaded || len(now.Changed) > 0 {
		return &failure.JobError{Job: of.set.Name, Problem: "the table was emptied for it, it is complete, and its files were not all of these, or others, or have another content now", Do: "give the load another job name"}
	}
	return nil
}
