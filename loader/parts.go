package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
	"shardload/loader/internal/store"
)

type counts = store.Counts

// A partSet is what an Input is that has parts.
type partSet struct {
	// list returns them, in the order in which they are loaded. Each name is another one.
	list func(ctx context.Context, how input.Access) ([]ledger.Part, error)
	// open returns the input that a part is, by its name.
	open func(name string) Input
	// was, if not nil, returns the input that a part is, as it was when it was listed: another
	// content is an error.
	was func(p ledger.Part) Input
	// format returns how a part is written, nil for Config.Format.
	format func(name string) Format
	// named is what the set was named by.
	named []string
	// base, with a part's name after it, is what the part is called as an input of its own; "" if
	// parts have no other names.
	base string
}

// part returns the input that a part is, as it is written.
func (set *partSet) part(name string) Input { return set.formatted(set.open(name)) }

// formatted returns a part with the format in which it is written.
func (set *partSet) formatted(in Input) Input {
	if set.format != nil {
		in.format = set.format(in.name)
	}
	return in
}

// PartCounts say what a Load of a set found, and did, of its parts.
type PartCounts struct {
	All    int // that the set has now
	Before int // that were loaded before this Load began
	Loaded int // by this process
	Others int // by other processes, meanwhile
	Failed int // that are not loaded
	// Last says that this process has ended the set.
	Last bool
}

// A SetError says that parts of a set are not loaded. All others are.
type SetError struct {
	Set    string
	Failed []*PartError // some of them
	More   int          // how many others there are
	// Begun is how many of the others are stored in part, and go on when those that failed can.
	Begun int
}

func (e *SetError) Error() string {
	text := fmt.Sprintf("%s: %s not loaded: %v", e.Set, term.Plural(len(e.Failed)+e.More, "file"), e.Failed[0])
	if n := len(e.Failed) + e.More - 1; n > 0 {
		text += "; and " + term.Plural(n, "other")
	}
	if e.Begun > 0 {
		text += fmt.Sprintf("; %d of them %s stored in part, together with what failed, and %s on when it can be read and stored to its end",
			e.Begun, term.Verb(e.Begun, "is", "are"), term.Verb(e.Begun, "goes", "go"))
	}
	return text
}

// Unwrap returns what is wrong with the parts.
func (e *SetError) Unwrap() []error {
	var list []error
	for _, f := range e.Failed {
		list = append(list, f)
	}
	return list
}

// A roster is a set, as this process works on it.
type roster struct {
	l      *Loader
	in     Input
	by     ledger.Owner
	target ledger.Target
	set    *ledger.Job
	parts  []ledger.Part
	seen   *ledger.Seen
	watch  ledger.Watch
	since  time.Time // when this process began with it, by the server's clock
	clock  times
	files  ledger.Files // that have the table's rows; nil until it is asked

	mu       sync.Mutex
	failures []*PartError
}

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

// open finds the set's job, or enters it, with the parts that are new, in conn.
func (of *roster) open(ctx context.Context, conn *pgx.Conn) error {
	if err := server.Value(ctx, conn, &of.since, "SELECT pg_catalog.now()"); err != nil {
		return err
	}
	j := newSetJob(of.l, of.in)
	found, err := job.SetsNamed(ctx, openingFor(of, of.in, nil), conn, j.Name)
	if err != nil {
		return err
	}
	for _, was := range found {
		goOn, err := of.examine(ctx, conn, was)
		if err != nil {
			return err
		}
		if !goOn {
			j.Replaces = append(j.Replaces, was.ID)
		} else if err := noteFiles(ctx, of, conn, was); err != nil {
			return err
		}
	}
	if len(found) == len(j.Replaces) {
		if of.files, err = openingFor(of, of.in, nil).TableFiles(ctx, conn); err != nil {
			return err
		}
		j.Files = of.files
	}
	if of.set, err = enterSet(ctx, of, conn, j); err != nil {
		return err
	}
	if err := checkEmptiedFor(ctx, of, conn); err != nil {
		return err
	}
	if err := ledger.RetryFailed(ctx, conn, of.target, of.set.ID); err != nil {
		return err
	}
	of.seen, err = ledger.AddParts(ctx, conn, of.target, of.set.ID, of.parts)
	if err != nil {
		return err
	}
	if of.seen.New > 0 {
		of.set.Finished = time.Time{} // it goes on
	}
	if err := checkReads(of); err != nil {
		return err
	}
	if err := judgeKnown(ctx, of, conn); err != nil {
		return err
	}
	return of.judgeChanged(ctx, conn)
}

// noteFiles notes the table's files in a set that was entered when they were emptied, and has stored
// nothing since.
func noteFiles(ctx context.Context, of *roster, conn *pgx.Conn, was *ledger.Job) (err error) {
	if was.Files != nil || was.Rows > 0 {
		return nil
	}
	if was.Files, err = openingFor(of, of.in, nil).TableFiles(ctx, conn); err != nil {
		return err
	}
	was.FileNode = of.l.target.Table.RelFileNode
	return ledger.SetFiles(ctx, conn, of.target, was)
}

// newSetJob returns a job for a set.
func newSetJob(l *Loader, in Input) *ledger.Job {
	return &ledger.Job{
		ID: ledger.NewID(), Name: cmp.Or(l.cfg.Job, in.job, in.name),
		Fingerprint: ledger.Fingerprint{Size: -1, Replace: l.replacing}, InSet: ledger.InSet{Set: &ledger.Set{Named: in.set.named, Base: in.set.base}},
	}
}

// enterSet enters the set's job, or returns that which another process has entered meanwhile.
func enterSet(ctx context.Context, of *roster, conn *pgx.Conn, j *ledger.Job) (*ledger.Job, error) {
	was, err := ledger.EnterSet(ctx, conn, of.target, j, nil)
	if err != nil {
		return nil, err
	}
	if was == nil {
		found, err := ledger.Find(ctx, conn, of.target, j.Name)
		if err == nil && len(found) > 0 {
			j.Begun = found[0].Begun // by the server's clock
		}
		return j, err
	}
	goOn, err := of.examine(ctx, conn, was)
	if err == nil && !goOn {
		err = &failure.JobError{Job: was.Name, Problem: "another process has begun it at the same moment", Do: "run the same command again"}
	}
	return was, err
}

// checkReads makes sure that what is loaded of the set was read as it is read now: else other rows would
// be expected of it.
func checkReads(of *roster) error {
	if len(of.seen.Reads) == 0 {
		return nil
	}
	now := map[string]bool{}
	for format := range formatsOf(of) {
		l, err := loaderAs(of.l, format)
		if err != nil {
			return err
		}
		now[mannerOf(l)] = true
	}
	for was, n := range of.seen.Reads {
		if !now[was] {
			return &failure.JobError{Job: of.in.name, Problem: fmt.Sprintf("what is loaded of it, %s, was read with %s, and is now with %s", term.Plural(n, "file"), was, strings.Join(slices.Sorted(maps.Keys(now)), " or ")), Do: failure.Beside + ", or " + failure.Anew}
		}
	}
	return nil
}

// formatsOf returns those that parts have, "" for that of the Loader.
func formatsOf(of *roster) map[Format]bool {
	all := map[Format]bool{}
	for _, p := range of.parts {
		all[of.input(p.Name).format] = true
	}
	return all
}

// readerOf returns the Loader that reads a part.
func readerOf(of *roster, in Input) *Loader {
	l, err := loaderAs(of.l, in.format)
	if err != nil { // it is said when the part is loaded
		return of.l
	}
	return l
}

// examine reports whether the job of the set's name is to be gone on with; else it is replaced. An
// error says why neither may be.
func (of *roster) examine(ctx context.Context, conn *pgx.Conn, was *ledger.Job) (goOn bool, err error) {
	t := of.l.target
	has, err := t.CountRows(ctx, conn, 1)
	switch {
	case err != nil:
		return false, err
	case was.TableOID != t.Table.OID && has == 0:
		return false, nil // dropped and made anew
	case was.TableOID != t.Table.OID:
		return false, &failure.JobError{Job: was.Name, Problem: "the table was rebuilt since this set was begun, and its rows may be there", Do: failure.Anew + ", or, if a deep verification shows none of them there, forget job " + was.ID + " and load it"}
	case was.Set == nil && of.in.alone != nil:
		return false, errAlone
	case was.Set == nil:
		return false, &failure.JobError{Job: was.Name, Problem: "an earlier run has loaded one input alone under this name", Do: failure.Anew + ", or leave that file out and name another job"}
	case of.l.replacing != "" && was.Fingerprint.Replace != of.l.replacing:
		return false, &failure.JobError{Job: was.Name, Problem: "it was begun by another load than the one that has emptied the table", Do: failure.Anew}
	case was.Set.Base != of.in.set.base: // by other names its files would be new ones
		return false, &failure.JobError{Job: was.Name, Problem: fmt.Sprintf("it is of files in %s, and these are in %s", was.Set.Base, of.in.set.base), Do: "name the files by the directory that they were in, or name another job"}
	}
	return true, holdsRows(ctx, of, conn, was, was.Added())
}

// judgeChanged looks at parts that are not what they were when they were loaded, or begun. One with
// the same first and last bytes has another time alone.
func (of *roster) judgeChanged(ctx context.Context, conn *pgx.Conn) error {
	var same []ledger.Part
	for _, p := range of.seen.Changed {
		if !p.Loaded {
			continue // what comes before its marks is compared when it is gone on with
		}
		now := of.in.set.open(p.Name)
		is, how, err := isPart(ctx, of, p.Name, p.Was, p.Part)
		switch {
		case err != nil:
			of.failures = append(of.failures, &PartError{now.name, err})
		case is:
			was := p.Was
			was.Tag = p.Tag
			same = append(same, was)
		default:
			of.failures = append(of.failures, &PartError{now.name, &failure.ChangedInputError{Job: now.name, ID: of.set.ID, When: failure.ChangedComplete, How: how}})
		}
	}
	if len(same) == 0 {
		return nil
	}
	return ledger.Retag(ctx, conn, of.target, of.set.ID, same)
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

// input returns the input that a part is.
func (of *roster) input(name string) Input { return of.in.set.part(name) }

// claimed returns the input that a part is which a run has.
func (of *roster) claimed(p ledger.Part) Input {
	if of.in.set.was == nil {
		return of.input(p.Name)
	}
	return of.in.set.formatted(of.in.set.was(p))
}

// waiting returns the names of some parts that nobody has.
func (of *roster) waiting(ctx context.Context, most int) (names []string, err error) {
	err = of.l.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		names, err = ledger.Waiting(ctx, conn, of.target, of.seen, most)
		return err
	})
	return names, err
}

// work loads parts as long as there are some that nobody has, goes on with what others leave, and
// waits for those who go on.
func (of *roster) work(ctx context.Context, res *Result) error {
	for poll := fault.FirstRunPoll; ; {
		r, open, err := of.next(ctx)
		if err != nil {
			return err
		}
		if r == nil && open == 0 {
			return nil
		}
		if r != nil {
			if err := of.run(ctx, r, res); err != nil {
				return err
			}
			poll = fault.FirstRunPoll
			continue
		}
		if poll == fault.FirstRunPoll {
			of.l.cfg.Log.Info(fmt.Sprintf("%s: nothing is left to begin; waiting for %s that other processes have begun", of.in.name, term.Plural(open, "run")))
		}
		of.clock.begin(partCopying) // which others do
		select {
		case <-time.After(poll):
			poll = min(2*poll, fault.LockGone)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// next returns what this process does next: a run that has lost its owner, or a new one for parts that
// nobody has. If it is nil, so many runs of others are open.
func (of *roster) next(ctx context.Context) (r *running, open int, err error) {
	err = of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		runs, err := ledger.OpenRuns(ctx, conn, of.target, of.set.ID)
		if err != nil {
			return err
		}
		open = 0
		failed := false
		for i := range runs {
			if runs[i].Failed != "" {
				failed = true
				continue
			}
			open++
			if !of.watch.Lost(&runs[i].Run, runs[i].Locked, isGone(runs[i].Owner), time.Now()) {
				continue
			}
			if err := of.l.deferral.begin(ctx, nil); err != nil {
				return err
			}
			if r, err = of.takeOver(ctx, conn, &runs[i].Run); err != nil || r != nil {
				return err
			}
		}
		if open > 0 && of.l.cfg.OnConflict == ConflictUpdate {
			return nil // one at a time
		}
		of.seen.Rewind()
		names, err := ledger.Waiting(ctx, conn, of.target, of.seen, 1)
		if err == nil && len(names) == 0 && open == 0 && !failed {
			open, err = ofOthers(ctx, of, conn)
		}
		if err != nil || len(names) == 0 {
			return err
		}
		if err := of.l.deferral.begin(ctx, nil); err != nil {
			return err
		}
		r = of.newRunning(nil, nil)
		return nil
	})
	return r, open, err
}

// ofOthers returns 1 if another process has begun, or released, a part between two looks of this one, else 0.
func ofOthers(ctx context.Context, of *roster, conn *pgx.Conn) (open int, err error) {
	now, err := ledger.CountParts(ctx, conn, of.target, of.set.ID, of.parts)
	if err == nil && now.Taken+now.Waiting > 0 {
		open = 1
	}
	return open, err
}

// takeOver takes a run over that has lost its owner. It returns nil if another process was first.
func (of *roster) takeOver(ctx context.Context, conn *pgx.Conn, seen *ledger.Run) (*running, error) {
	found, err := ledger.Find(ctx, conn, of.target, seen.Name)
	if err != nil {
		return nil, err
	}
	j := slices.IndexFunc(found, func(j *ledger.Job) bool { return j.ID == seen.ID })
	if j < 0 {
		return nil, nil // it was closed just now
	}
	is, parts, err := ledger.TakeOver(ctx, conn, of.target, seen, found[j], of.by)
	if errors.Is(err, ledger.ErrNotLost) || errors.Is(err, ledger.ErrEpoch) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	of.l.cfg.Log.Info(fmt.Sprintf("%s: going on with what process %d on %s has left: %s", of.in.name, seen.PID, seen.Host, term.Plural(len(parts), "file")))
	r := of.newRunning(is, parts)
	r.job = found[j]
	return r, nil
}

// run loads a run. What is wrong with its parts alone is no error.
func (of *roster) run(ctx context.Context, r *running, res *Result) error {
	c := &counts{}
	begun := time.Now()
	err := of.persist(ctx, r, c)
	done := resultOf(c, time.Since(begun))
	of.l.current.Store(nil)
	of.l.past.add(done)
	res.join(done)
	if err == nil {
		res.Parts.Loaded += r.loaded()
	}
	if _, busy := errors.AsType[*ledger.BusyError](err); busy {
		return nil // it is waited for
	}
	switch {
	case errors.Is(err, ledger.ErrSetGone) && r.Is == nil:
		return nil // others have loaded the last parts, and ended the set, or it is found to be forgotten
	case errors.Is(err, ledger.ErrEpoch):
		of.l.cfg.Log.Warn(of.in.name + ": another process has taken over what this one was loading; going on with the rest")
		return nil
	case err == nil || r.Is == nil:
		return err
	}
	if _, ok := errors.AsType[*PartError](err); ok {
		return of.leave(ctx, r, err)
	}
	if row := ofRecord(err); row != nil {
		return of.leave(ctx, r, &PartError{row.File, err})
	}
	return errors.Join(err, of.release(ctx, r))
}

// persist loads a run, from its marks as often as what the load remembers turns out to be wrong.
func (of *roster) persist(ctx context.Context, r *running, c *counts) error {
	for stuck := 0; ; {
		rows, batch := c.Rows.Load(), c.Batch.Load()
		err := r.once(ctx, of.in, c)
		if stuck++; c.Rows.Load() > rows || c.Batch.Load() != batch {
			stuck = 0
		}
		left, leaveErr := of.leaveOut(ctx, r, err)
		if leaveErr != nil {
			return errors.Join(err, leaveErr)
		}
		if !left && !again(c, err) || r.Is == nil {
			return err
		}
		if stuck == fault.StartOvers {
			return fmt.Errorf("began anew %d times, with nothing stored between; the last time because %w", fault.StartOvers, err)
		}
		of.l.cfg.Log.Info("going on from the marks in the database", "because", err)
		err = of.l.target.OnControl(ctx, func(conn *pgx.Conn) (err error) {
			r.given, err = ledger.RunParts(ctx, conn, of.target, r.Is)
			return err
		})
		if err != nil {
			return err
		}
	}
}

// once is an attempt, which ends when another process has the run.
func (r *running) once(ctx context.Context, in Input, c *counts) error {
	ctx, r.lost = context.WithCancelCause(ctx)
	defer r.lost(nil)
	err := r.attempt(ctx, in, c)
	if lost := context.Cause(ctx); err != nil && errors.Is(lost, ledger.ErrEpoch) {
		return lost // what is cut off for it says only that it is cut off
	}
	return err
}

// leaveOut leaves out of the run the part that err is about, if nothing of it is stored, and reports
// whether the run can go on without it.
func (of *roster) leaveOut(ctx context.Context, r *running, err error) (left bool, failed error) {
	row := ofRecord(err)
	if row == nil || r.Is == nil || ctx.Err() != nil {
		return false, nil
	}
	failed = of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		parts, err := ledger.RunParts(ctx, conn, of.target, r.Is)
		at := slices.IndexFunc(parts, func(p ledger.Claimed) bool { return of.input(p.Name).name == row.File })
		if err != nil || at < 0 {
			return err
		}
		err = ledger.Fail(ctx, conn, of.target, r.Is, r.job, parts[at].Seq, row.Error())
		if errors.Is(err, ledger.ErrReached) {
			return nil
		}
		left = err == nil
		return err
	})
	if left {
		of.note(row.File, row)
	}
	return left, failed
}

// note notes that a part is not loaded.
func (of *roster) note(name string, why error) {
	of.l.cfg.Log.Error("not loaded", "error", &PartError{name, why})
	of.mu.Lock()
	defer of.mu.Unlock()
	if !slices.ContainsFunc(of.failures, func(f *PartError) bool { return f.Part == name }) { // another process may have it tried again
		of.failures = append(of.failures, &PartError{name, why})
	}
}

// leave leaves a run that cannot go on for one of its parts: what it has not reached others may load.
func (of *roster) leave(ctx context.Context, r *running, why error) error {
	err := of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		lanes, err := ledger.Lanes(ctx, conn, of.target, r.job)
		if err != nil {
			return err
		}
		reached := int32(-1)
		for _, l := range lanes {
			reached = max(reached, reachedBy(l.Mark))
		}
		if err := ledger.Release(ctx, conn, of.target, r.Is, r.job, reached+1); err != nil {
			return err
		}
		return ledger.Leave(ctx, conn, of.target, r.Is, why.Error())
	})
	if errors.Is(err, ledger.ErrEpoch) {
		return nil
	}
	of.note(partName(why), why)
	return err
}

// partName returns the part of a *PartError.
func partName(err error) string {
	if p, ok := errors.AsType[*PartError](err); ok {
		return p.Part
	}
	return ""
}

// release leaves a run to whoever comes first: this process ends.
func (of *roster) release(ctx context.Context, r *running) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fault.CommitGrace)
	defer cancel()
	err := of.l.target.OnControl(ctx, func(conn *pgx.Conn) error { return ledger.Leave(ctx, conn, of.target, r.Is, "") })
	if errors.Is(err, ledger.ErrEpoch) || errors.Is(err, context.DeadlineExceeded) {
		return nil // it is found out by others
	}
	return err
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
