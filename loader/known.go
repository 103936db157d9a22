package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
)

// Files may be known to the table otherwise than as parts of the set: each as a job of its own, which it is
// where it was named alone, or as parts of another set, whose files have another directory in common.
// What was stored so is not stored once more.

// A knownOtherwise is what has become of the parts that are left of a set, where they were known otherwise.
type knownOtherwise struct {
	of   *roster
	conn *pgx.Conn
	// before are those that were loaded, by how they were read.
	before map[string][]ledger.Before
	open   []string // by their names alone: of what another load has begun
	why    error    // that the first of open is left to it
	gone   []string // from the set: what is wrong with them is among the roster's failures
	rows   int64    // that single jobs say the table has
}

// judgeKnown looks at the parts that are left for what is known of them otherwise. What others have
// loaded counts as loaded. The error says what others have begun: nothing is stored then.
func judgeKnown(ctx context.Context, of *roster, conn *pgx.Conn) error {
	if of.in.set.base == "" || of.l.cfg.Job != "" || of.in.job != "" || len(of.seen.LeftNames()) == 0 {
		return nil
	}
	k := &knownOtherwise{of: of, conn: conn, before: map[string][]ledger.Before{}}
	err := k.judgeSingles(ctx)
	if err == nil {
		err = k.judgeSets(ctx)
	}
	if err == nil {
		err = k.judgeRenamed(ctx)
	}
	if err != nil {
		return err
	}
	count := 0
	for reads, parts := range k.before {
		if err := ledger.CountAsLoaded(ctx, conn, of.target, of.seen, parts, reads); err != nil {
			return err
		}
		count += len(parts)
	}
	if count > 0 {
		of.l.cfg.Log.Info(fmt.Sprintf("%s: %s of it %s loaded before by other commands, and not again", of.in.name, term.Plural(count, "file"), term.Verb(count, "was", "were")))
	}
	if err := leaveToOthers(ctx, of, conn, append(k.open, k.gone...)); err != nil {
		return err
	}
	return k.why
}

// leaveToOthers takes parts out of the set.
func leaveToOthers(ctx context.Context, of *roster, conn *pgx.Conn, names []string) error {
	if _, err := ledger.Unlist(ctx, conn, of.target, of.set.ID, names); err != nil {
		return err
	}
	of.seen.Without(names)
	of.parts = slices.DeleteFunc(slices.Clone(of.parts), func(p ledger.Part) bool { return slices.Contains(names, p.Name) })
	return nil
}

// leave notes that a part is left to the load that has begun with it.
func (k *knownOtherwise) leave(name, problem, do string) {
	if k.open = append(k.open, name); k.why == nil {
		k.why = &failure.JobError{Job: k.of.in.set.base + name, Problem: problem, Do: do}
	}
}

// alone is what to do about a file of which a load of its own was begun.
const alone = "load that file alone first"

// judgeSingles looks for jobs of single files.
func (k *knownOtherwise) judgeSingles(ctx context.Context) error {
	of, base := k.of, k.of.in.set.base
	for page := range slices.Chunk(slices.Clone(of.seen.LeftNames()), knownAtOnce) {
		paths := make([]string, len(page))
		for i, name := range page {
			paths[i] = base + name
		}
		if err := k.judgePaths(ctx, base, paths); err != nil {
			return err
		}
	}
	return nil
}

// knownAtOnce is for how many parts other jobs are looked for at once.
const knownAtOnce = 5000

// judgePaths is judgeSingles for some of them.
func (k *knownOtherwise) judgePaths(ctx context.Context, base string, paths []string) error {
	// Their locks first: what is let go of between is found as a job.
	locked, err := ledger.LockedJobs(ctx, k.conn, k.of.target, paths)
	if err != nil {
		return err
	}
	for _, path := range locked {
		k.leave(strings.TrimPrefix(path, base), "another process is loading it alone", "wait for its end, and run the same command again")
	}
	jobs, err := ledger.Singles(ctx, k.conn, k.of.target, paths)
	if err != nil {
		return err
	}
	for _, was := range jobs {
		name := strings.TrimPrefix(was.Name, base)
		if slices.Contains(k.open, name) {
			continue
		}
		if err := k.judgeSingle(ctx, name, was); err != nil {
			return err
		}
	}
	return nil
}

// judgeSingle looks at the job of a part alone.
func (k *knownOtherwise) judgeSingle(ctx context.Context, name string, was *ledger.Job) error {
	of, l := k.of, k.of.l
	switch {
	case was.TableOID != l.target.Table.OID:
		has, err := l.target.CountRows(ctx, k.conn, 1)
		if err == nil && has > 0 {
			k.leave(name, "it was loaded alone before the table was rebuilt, and its rows may be there", alone)
		}
		return err
	case !was.Complete():
		k.leave(name, "an earlier run has begun to load it alone, and has not stored all of it", alone)
		return nil
	}
	manner, now := was.Fingerprint.Reads.Manner(), mannerOf(readerOf(of, of.input(name)))
	if manner != "" && manner != now {
		k.leave(name, fmt.Sprintf("it was loaded alone, and was read with %s, and is now with %s", manner, now), "leave it out")
		return nil
	}
	if k.rows += was.Added(); was.Added() > 0 {
		if err := holdsRows(ctx, of, k.conn, was, k.rows); err != nil {
			return err
		}
	}
	same, how, err := sameAsJob(ctx, of, of.input(name), was)
	switch {
	case err != nil:
		k.fail(name, err)
	case same:
		p := ledger.Part{Name: name, Size: was.Fingerprint.Size, Tag: was.Fingerprint.PartTag(), Sum: was.Fingerprint.Sum}
		if was.Fingerprint.From != nil {
			p.Sum = 0 // of what was appended alone
		}
		if path := of.input(name).path; path == "" { // in a store, which tells by a tag
			p.Size, p.Tag = partNamed(of, name).Size, partNamed(of, name).Tag
		} else if p.Head, p.Tail, err = input.Ends(path); err != nil {
			k.fail(name, err)
			return nil
		}
		k.before[manner] = append(k.before[manner], ledger.Before{Part: p, Rows: was.Rows})
	default:
		k.fail(name, &failure.ChangedInputError{Job: was.Name, ID: was.ID, When: failure.ChangedComplete, How: how, Rows: was.Rows})
	}
	return nil
}

// fail notes that a part cannot be loaded: others are.
func (k *knownOtherwise) fail(name string, why error) {
	k.gone = append(k.gone, name)
	k.of.note(k.of.input(name).name, why)
}

// sameAsJob reports whether an input is the one that a complete job has loaded.
func sameAsJob(ctx context.Context, of *roster, in Input, was *ledger.Job) (same bool, how string, err error) {
	l := readerOf(of, in)
	feed, err := l.open(ctx, in)
	if err != nil {
		return false, "", err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	first, err := feed.Next(ctx, nil)
	if err != nil {
		return false, "it is empty now", ignoreEOF(err)
	}
	print := *first
	h, _, err := l.head(ctx, in, feed, first)
	if err != nil {
		return false, "", err
	}
	return openingFor(of, in, &h).SameAs(ctx, was, feed, &print)
}

// openingFor returns what compares an input of that heading with what was loaded.
func openingFor(of *roster, in Input, h *Heading) *job.Opening {
	return openingOf(readerOf(of, in), in, h)
}

func openingOf(l *Loader, in Input, h *Heading) *job.Opening {
	it := &job.Input{Name: in.name, Path: in.path, Repeats: in.repeats, Open: func(ctx context.Context) (input.Feed, error) { return l.open(ctx, in) }}
	if h != nil {
		it.Header = h.before
	}
	return job.NewOpening(l.target, it, l.jobOptions())
}

// holdsRows makes sure that the table has so many rows of a job, where it stored them.
func holdsRows(ctx context.Context, of *roster, conn *pgx.Conn, j *ledger.Job, rows int64) (err error) {
	o := openingFor(of, of.in, nil)
	if of.files == nil {
		if of.files, err = o.TableFiles(ctx, conn); err != nil {
			return err
		}
	}
	return o.Holds(ctx, conn, j, rows, of.files)
}

// judgeSets looks for parts of other sets.
func (k *knownOtherwise) judgeSets(ctx context.Context) error {
	sets, err := ledger.Sets(ctx, k.conn, k.of.target)
	if err != nil {
		return err
	}
	for _, set := range sets {
		if set.ID == k.of.set.ID || set.Set.Base == "" {
			continue
		}
		if err := k.judgeSet(ctx, set); err != nil {
			return err
		}
	}
	return nil
}

// judgeSet looks for parts in another set.
func (k *knownOtherwise) judgeSet(ctx context.Context, set *ledger.Job) error {
	of := k.of
	names := map[string]string{} // here, by what they are called there
	var there []string
	for _, name := range of.seen.LeftNames() {
		if rest, ok := strings.CutPrefix(of.in.set.base+name, set.Set.Base); ok {
			names[rest] = name
			there = append(there, rest)
		}
	}
	found, err := ledger.FindParts(ctx, k.conn, of.target, set.ID, there)
	if err != nil || len(found) == 0 {
		return err
	}
	if set.TableOID != of.l.target.Table.OID {
		has, err := of.l.target.CountRows(ctx, k.conn, 1)
		if err == nil && has > 0 {
			err = &failure.JobError{Job: set.Name, Problem: "the table was rebuilt since this set was begun, and its rows may be there", Do: failure.Anew + ", or forget job " + set.ID}
		}
		return err
	}
	if err := holdsRows(ctx, of, k.conn, set, set.Added()); err != nil {
		return err
	}
	for _, p := range found {
		if err := k.judgePart(ctx, set, p, names[p.Name]); err != nil {
			return err
		}
	}
	return nil
}

// judgePart looks at what has become of a part in another set, and which has that name here.
func (k *knownOtherwise) judgePart(ctx context.Context, set *ledger.Job, p ledger.FoundPart, name string) error {
	of := k.of
	again := "run that load again, or wait for its end, and then this one"
	switch {
	case p.State == ledger.PartTaken:
		k.leave(name, "it is one of the files of "+set.Name+", the load of which has begun with it and has not stored all of it", again)
		return nil
	case p.State != ledger.PartLoaded && set.Begun.Before(of.set.Begun):
		taken, err := ledger.Unlist(ctx, k.conn, of.target, set.ID, []string{p.Name})
		if err == nil && taken == 0 {
			k.leave(name, "it is one of the files of "+set.Name+", the load of which has just begun with it", again)
		}
		return err
	case p.State != ledger.PartLoaded:
		k.leave(name, "it is one of the files of "+set.Name+", the load of which was begun later than this one, and has not stored it so far", again)
		return nil
	case p.Reads != "" && p.Reads != mannerOf(readerOf(of, of.input(name))):
		k.leave(name, fmt.Sprintf("it was loaded as one of the files of %s, and was read with %s, and is now with %s", set.Name, p.Reads, mannerOf(readerOf(of, of.input(name)))), "leave it out")
		return nil
	}
	now := partNamed(of, name)
	same, how, err := isPart(ctx, of, name, p.Part, now)
	switch {
	case err != nil:
		k.fail(name, err)
	case same:
		was := p.Part
		was.Name = name
		k.before[p.Reads] = append(k.before[p.Reads], ledger.Before{Part: was, Rows: p.Rows})
	default:
		k.fail(name, &failure.ChangedInputError{Job: of.in.set.base + name, ID: set.ID, When: failure.ChangedComplete, How: how, Rows: max(p.Rows, 0)})
	}
	return nil
}

// judgeRenamed looks for parts that sets have under other names. Those that are loaded there are left
// out, and where one was begun there nothing is stored.
func (k *knownOtherwise) judgeRenamed(ctx context.Context) error {
	of := k.of
	known := map[string]bool{}
	for _, name := range append(slices.Clone(k.open), k.gone...) {
		known[name] = true
	}
	for _, parts := range k.before {
		for _, p := range parts {
			known[p.Name] = true
		}
	}
	left := make([]ledger.Part, 0, len(of.seen.LeftNames()))
	for _, name := range of.seen.LeftNames() {
		if !known[name] {
			left = append(left, partNamed(of, name))
		}
	}
	list, err := ledger.AlikeParts(ctx, k.conn, of.target, left)
	for _, was := range list {
		if known[was.Name] {
			continue
		}
		if why := job.IsRenamed(of.in.set.base+was.Name, was); why != nil {
			known[was.Name] = true
			if was.Loaded {
				k.fail(was.Name, why)
				continue
			}
			k.open, k.why = append(k.open, was.Name), cmp.Or(k.why, why)
		}
	}
	if err != nil {
		return err
	}
	return k.judgeMoved(ctx, known)
}

// partNamed returns a part as it was listed.
func partNamed(of *roster, name string) ledger.Part {
	at, found := slices.BinarySearchFunc(of.parts, name, func(p ledger.Part, name string) int { return strings.Compare(p.Name, name) })
	if !found { // they may have another order
		at = slices.IndexFunc(of.parts, func(p ledger.Part) bool { return p.Name == name })
	}
	if at < 0 {
		return ledger.Part{Name: name, Size: -1}
	}
	return of.parts[at]
}

// isPart reports whether a part is still what it was when it was loaded.
func isPart(ctx context.Context, of *roster, name string, was, now ledger.Part) (same bool, how string, err error) {
	in := of.input(name)
	if was.Size != now.Size || was.Tag == now.Tag || was.Sum == 0 {
		return openingFor(of, in, nil).IsPart(ctx, was, now)
	}
	h, err := headOf(ctx, of, in)
	if err != nil {
		return false, "", err
	}
	return openingFor(of, in, &h).IsPart(ctx, was, now)
}

// ignoreEOF returns err, unless it is the end of an input.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// headOf returns what an input begins with.
func headOf(ctx context.Context, of *roster, in Input) (h Heading, err error) {
	l := readerOf(of, in)
	feed, err := l.open(ctx, in)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	c, err := feed.Next(ctx, nil)
	if err != nil {
		return h, ignoreEOF(err)
	}
	h, _, err = l.head(ctx, in, feed, c)
	return h, err
}
