package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader/failure"
)

// loadSet is Load of a set. It returns when all of its parts are stored, by this process or others,
// or cannot be.
func loadSet(ctx context.Context, l *Loader, in Input) (res Result, err error) {
	started := time.Now()
	of := &roster{l: l, in: in, by: thisProcess(), target: l.ledgerTarget(), clock: times{since: started}}
	defer func() {
		l.current.Store(nil)
		l.whole.Store(nil)
		res.Elapsed = time.Since(started)
		of.clock.begin(partEnding)
		if res.Times == (Times{}) {
			res.Times = of.clock.times()
		}
	}()
	if of.parts, err = in.set.list(ctx, l.cfg.reading().Access); err != nil {
		return res, err
	}
	err = l.target.OnControl(ctx, func(conn *pgx.Conn) error { return of.open(ctx, conn) })
	if errors.Is(err, errAlone) {
		return l.Load(ctx, in.alone.WithJob(in.job))
	}
	if err != nil {
		return res, err
	}
	res.Parts = &PartCounts{All: len(of.parts), Before: of.seen.Loaded}
	if of.seen.Loaded == len(of.parts) && len(of.parts) > 0 && of.set.Complete() {
		return res, of.complete()
	}
	if res.Parts.Before > 0 {
		l.cfg.Log.Info(fmt.Sprintf("%s: %s: %d loaded before, %d new", in.name, term.Plural(len(of.parts), "file"), res.Parts.Before, len(of.parts)-res.Parts.Before))
	}
	l.whole.Store(of.size())
	if err := of.work(ctx, &res); err != nil {
		res.Resumable = true
		return res, err
	}
	return res, of.end(ctx, &res)
}

// errAlone says that an earlier version has begun to load a set as one input.
var errAlone = errors.New("the set is known as one input")

// loadOneByOne loads a set of which no progress is kept: one part after the other, or as one input.
func loadOneByOne(ctx context.Context, l *Loader, in Input) (res Result, err error) {
	if in.alone != nil {
		return l.Load(ctx, *in.alone)
	}
	started := time.Now()
	parts, err := in.set.list(ctx, l.cfg.reading().Access)
	for _, p := range parts {
		part := in.set.part(p.Name)
		as, err := loaderAs(l, part.format)
		if err != nil {
			return res, err
		}
		done, err := as.Load(ctx, part)
		res.join(done)
		if err != nil {
			return res, err
		}
	}
	res.Elapsed = time.Since(started)
	return res, err
}

// complete returns the error of a set of which nothing is to be loaded.
func (of *roster) complete() error {
	if len(of.failures) > 0 {
		return of.failed(nil, ledger.PartCounts{})
	}
	was := of.set
	return &failure.CompleteError{
		Job: was.Name, Rows: was.Rows, When: was.Finished.Local().Format("2006-01-02 15:04"), Rejected: was.Rejected, Rejects: was.Rejects, Lately: was.Lately,
		Updated: was.Updated, Skipped: was.Skipped, Filtered: was.Filtered, Parts: len(of.parts),
	}
}

// end ends the set, if all of it is stored, and says what of it is not.
func (of *roster) end(ctx context.Context, res *Result) error {
	var failed []ledger.FailedPart
	var unloaded ledger.PartCounts
	var tooMany *failure.TooManyError
	err := of.l.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		if tooMany, err = endRejects(ctx, of, conn, res); err != nil {
			return err
		}
		if tooMany == nil {
			res.Parts.Last, err = ledger.EndSet(ctx, conn, of.target, of.set.ID)
		}
		if err != nil {
			return err
		}
		now, err := ledger.CountParts(ctx, conn, of.target, of.set.ID, of.parts)
		if err != nil {
			return err
		}
		unloaded = now.PartCounts
		res.Parts.Failed = len(of.parts) - now.Loaded
		if res.Parts.Failed > 0 {
			failed, err = ledger.FailedParts(ctx, conn, of.target, of.set.ID, 20)
		}
		return err
	})
	res.Parts.Others = res.Parts.All - res.Parts.Before - res.Parts.Loaded - res.Parts.Failed
	switch {
	case err != nil:
		return err
	case res.Parts.Failed > 0 || len(of.failures) > 0:
		return of.failed(failed, unloaded)
	case tooMany != nil:
		res.Resumable = true
		return tooMany
	}
	if !res.Parts.Last {
		return noteLost(ctx, of)
	}
	return nil
}

// noteLost tells of parts that earlier commands have named, that wait to be loaded, and that this one
// has not found: so the set does not end.
func noteLost(ctx context.Context, of *roster) error {
	var lost []ledger.UnstoredPart
	err := of.l.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		lost, err = ledger.UnstoredParts(ctx, conn, of.target, of.set.ID, lostShown)
		return err
	})
	lost = slices.DeleteFunc(lost, func(p ledger.UnstoredPart) bool { return p.Taken })
	if err != nil || len(lost) == 0 {
		return err
	}
	names := make([]string, len(lost))
	for i, p := range lost {
		names[i] = of.input(p.Name).name
	}
	if len(lost) == lostShown {
		names[lostShown-1] = "…"
	}
	of.l.cfg.Log.Warn(fmt.Sprintf("%s: all that is there now is loaded; not loaded, and not there, is what earlier commands have found: %s", of.in.name, strings.Join(names, ", ")))
	return nil
}

// lostShown is how many parts noteLost names, and one.
const lostShown = 4

// failed returns the error that parts are not loaded: those that this process has found, and others.
func (of *roster) failed(others []ledger.FailedPart, now ledger.PartCounts) error {
	e := &SetError{Set: of.in.name, Failed: of.failures}
	for _, p := range others {
		name := ""
		if p.Name != "" {
			name = of.input(p.Name).name
		}
		if !slices.ContainsFunc(e.Failed, func(f *PartError) bool { return f.Part == name || f.Error() == p.Why }) {
			e.Failed = append(e.Failed, &PartError{name, errors.New(p.Why)})
		}
	}
	if len(e.Failed) == 0 {
		return fmt.Errorf("%s: not all of it is loaded, and it is not known why; run the same command again", of.in.name)
	}
	known := map[string]bool{} // else it failed, and is not there any more
	for _, p := range of.parts {
		known[of.input(p.Name).name] = true
	}
	e.More = now.Failed + now.Taken + now.Waiting
	for _, f := range e.Failed {
		if f.Part == "" || known[f.Part] {
			e.More--
		}
	}
	e.More = max(e.More, 0)
	e.Begun = min(e.More, now.Taken)
	return e
}
