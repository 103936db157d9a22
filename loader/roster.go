package loader

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
)

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
	hearing

	mu       sync.Mutex
	failures []*PartError
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
