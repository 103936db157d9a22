package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// NamesOf returns the names by which the job of a file may be known: its path with all
// links resolved, by which new jobs are, and the path as it was given, by which earlier
// versions knew theirs. What has no other path, such as a pipe that is open under /dev/fd,
// is known by the one that was given.
func NamesOf(path string) (names []string, err error) {
	given, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	resolved, err := filepath.EvalSymlinks(given)
	if err != nil {
		if _, there := os.Stat(given); there != nil {
			return nil, err
		}
		return []string{given}, nil
	}
	return slices.Compact([]string{resolved, given}), nil
}

// jobsOf returns the jobs of the input of that name. If there is none it looks for one
// under the path as it was given, and for one of the same content.
func (o *Opening) jobsOf(ctx context.Context, conn *pgx.Conn, t ledger.Target, name string, now ledger.Fingerprint) ([]*ledger.Job, error) {
	names := []string{name}
	if o.In.Path != "" {
		var err error
		if names, err = NamesOf(o.In.Path); err != nil {
			return nil, err
		}
	}
	found, elsewhere, err := ledger.FindAlike(ctx, conn, t, names, now)
	if err != nil {
		return nil, err
	}
	if _, err := followAll(ctx, o, conn, elsewhere, func(e *ledger.Entry) bool { return e.Set != nil }); err != nil {
		return nil, err
	}
	if moved, err := o.follow(ctx, conn, elsewhere, names, found, now); err != nil {
		return nil, err
	} else if moved {
		if found, _, err = ledger.FindAlike(ctx, conn, t, names, now); err != nil {
			return nil, err
		}
	}
	own := slices.DeleteFunc(slices.Clone(found), func(j *ledger.Job) bool { return j.Name != name })
	found = slices.DeleteFunc(found, func(j *ledger.Job) bool { return j.Other != nil })
	if len(own) > 0 || now.Size <= 0 {
		return own, nil
	}
	for _, was := range found {
		switch same := was.Fingerprint.Content(now) == ""; {
		case slices.Contains(names, was.Name) && (same || !was.Complete()), same && was.Fingerprint.Untouched(now.Hints) && was.Fingerprint.Device == now.Device:
			if o.opt.Named {
				break // another name was asked for
			}
			// The same file: the job goes on under the name that it has from now on.
			if err := ledger.Rename(ctx, conn, t, was, name); err != nil {
				return nil, err
			}
			return []*ledger.Job{was}, nil
		}
	}
	return nil, o.judgeAlike(found, name, now)
}

// judgeAlike says what is to be said of jobs of other names that load the same content
// into the table: an unfinished one is to be gone on with.
func (o *Opening) judgeAlike(found []*ledger.Job, name string, now ledger.Fingerprint) error {
	for _, was := range found {
		switch {
		case was.Fingerprint.Content(now) != "" || was.TableOID != o.t.Table.OID:
		case was.Rows == 0 && was.Progress == "":
		case was.Progress == "": // complete, or about to be
			o.log.Warn(fmt.Sprintf("%s has the content of %s, which was loaded completely, %s; it is loaded once more", name, was.Name, term.Plural(was.Rows, "row")))
			return nil
		case !o.opt.Named:
			return &failure.ChangedInputError{Job: name, ID: was.ID, When: failure.ChangedName, Other: was.Name}
		}
	}
	return nil
}

// kinship is what an input is to the one that a complete job has loaded.
type kinship int

const (
	sameInput kinship = iota
	otherInput
	grownInput  // it begins with all that was loaded
	editedInput // much of it is what that was
	// anewInput is another one, where only what was appended is asked for.
	anewInput
)

// compareEnds says what a file is to one that was loaded completely and is another, as
// far as their sizes, heads and tails tell.
func (p *rereader) compareEnds(was, now ledger.Fingerprint) (kinship, error) {
	if was.Size == now.Size {
		return editedInput, nil
	}
	feed, ok := p.In.Feed.(input.Bytes)
	if !ok {
		return otherInput, nil // its lines tell
	}
	head, tail, err := feed.Ends(min(was.Size, now.Size))
	switch {
	case err != nil:
		return otherInput, err
	case head == was.Head && was.Size < now.Size && tail == was.Tail:
		return grownInput, nil
	case head == was.Head || now.Tail == was.Tail:
		return editedInput, nil
	}
	return otherInput, nil
}

// onlyAppended returns what kin is to the complete job was, where only what was appended is to be
// loaded. That a file does not look like the old one proves nothing then: one that was written
// anew, such as an array on one line, has the old records in it all the same.
func (o *Opening) onlyAppended(kin kinship, was *ledger.Job) kinship {
	stored := was.Rows+was.Rejected+was.Filtered > 0
	if kin == otherInput && o.opt.Appended && !o.opt.Keyed && stored && was.Other == nil {
		return anewInput
	}
	return kin
}

// appended makes j a job of what was appended to the input that j has loaded. The new
// job has its rows, too.
func (o *Opening) appended(ctx context.Context, j *Job, entry *ledger.Job, refused *failure.ChangedInputError) error {
	switch {
	case !o.opt.Appended:
		if !input.IsPlain(o.In.Feed) { // of which nobody finds what was appended
			refused.When = failure.ChangedComplete
		}
		return refused
	case o.In.Whole:
		return lane.ErrInPieces
	case !input.IsPlain(o.In.Feed):
		return &failure.JobError{Job: j.Name, Problem: "what was appended to it can be found in a file that is not compressed alone", Do: "decompress it"}
	case j.Fingerprint.Sum == 0:
		return &failure.JobError{Job: j.Name, Problem: "it was loaded by an earlier version, which has not kept what proves that it begins as it did", Do: "load what was appended from a file of its own"}
	}
	o.note("it has grown since it was loaded")
	from, err := o.behindLoaded(ctx, j)
	if errors.Is(err, input.ErrGoesOn) || errors.Is(err, errEdited) {
		refused.When, refused.How = failure.ChangedComplete, err.Error()
		return refused
	}
	if err != nil {
		return err
	}
	entry.Fingerprint.From = &from
	return nil
}

// errEdited says that an input which is longer than it was has nothing that was appended.
var errEdited = errors.New("it was changed in what was loaded")

// behindLoaded returns the place behind what j has loaded, if the input begins with it.
func (p *rereader) behindLoaded(ctx context.Context, j *Job) (from ledger.Place, err error) {
	end, err := p.endOf(ctx, j.Fingerprint.From, j.Bytes)
	if _, ofRecord := errors.AsType[*failure.RowError](err); ofRecord {
		return from, errEdited
	}
	if err != nil {
		return from, err
	}
	if end.Sum != j.Fingerprint.Sum || end.Offset != j.Bytes {
		return from, errEdited
	}
	if from, err = p.In.Feed.(input.Bytes).BehindBreak(end); err != nil {
		return from, err
	}
	all, err := p.end(ctx, nil, from.Offset)
	from.Sum, from.Records = all.Sum, j.Rows
	return from, err
}

// endOf is end for a job that began at from: what comes before that must be what it was,
// else the place has no sum.
func (p *rereader) endOf(ctx context.Context, from *ledger.Place, limit int64) (end ledger.Place, err error) {
	if from != nil {
		if end, err = p.end(ctx, nil, from.Offset); err != nil || end.Sum != from.Sum {
			return ledger.Place{}, err
		}
		limit = max(limit-from.Offset, min(limit, -1))
	}
	return p.end(ctx, from, limit)
}

// compare says what the input is to the one that was loaded completely, and in what way
// it is another.
func (x *examination) compare(ctx context.Context, now ledger.Fingerprint) (kin kinship, how string, err error) {
	was := x.j.Fingerprint
	how = was.Content(now)
	switch {
	case !was.Reads.Same(now.Reads):
		return sameInput, how, nil // which is to be said first
	case how == "":
		kin, err = x.compareContent(ctx, now)
		return kin, how, err
	case was.Unit == ledger.Blocks || now.Unit == ledger.Blocks || was.Unit != now.Unit && now.Unit == ledger.Chunks || x.j.Rows+x.j.Rejected+x.j.Filtered == 0:
		return otherInput, how, nil
	case x.opt.Keyed:
		return otherInput, how, nil // rows that are there are not stored twice
	}
	if was.Size > 0 && now.Size > 0 {
		if kin, err = x.compareEnds(was, now); err != nil || kin != otherInput {
			return kin, how, err
		}
	}
	if alike, err := x.hasLines(ctx, was, now); err != nil || alike {
		return editedInput, how, err
	}
	return otherInput, how, nil
}

// compareContent compares the whole content with that of a complete job, where only a
// change in the middle is left.
func (x *examination) compareContent(ctx context.Context, now ledger.Fingerprint) (kinship, error) {
	was := x.j.Fingerprint
	if was.Sum == 0 || !x.In.Repeats || was.Unit.ByNumber() || was.Untouched(now.Hints) {
		return sameInput, nil
	}
	end, err := x.endOf(ctx, was.From, -1)
	switch {
	case err != nil:
		return sameInput, err
	case end.Sum != was.Sum:
		return editedInput, nil
	}
	x.j.Fingerprint.Hints = now.Hints
	return sameInput, ledger.SetFingerprint(ctx, x.conn, x.j.Target, x.j.Job)
}

// prove makes sure that the input is the one of which the marks of an unfinished job
// are, as far as they are. What follows them may be another by now.
func (x *examination) prove(ctx context.Context, now ledger.Fingerprint) error {
	was := x.j.Fingerprint
	how := was.Content(now)
	refused := &failure.ChangedInputError{Job: x.j.Name, ID: x.j.ID, When: failure.ChangedBegun, How: how}
	for _, lane := range x.j.Lanes {
		refused.Stored = max(refused.Stored, lane.Place.Offset)
	}
	switch {
	case how == "" && (was.Size < 0 || was.Unit.ByNumber() || was.Untouched(now.Hints)):
		return nil
	case !x.In.Repeats || now.Size < 0 || was.Size < 0 || was.Unit.ByNumber() || now.Unit.ByNumber():
		return refused
	}
	proofs := lane.ProofsOf(x.j.Lanes)
	if how != "" && slices.ContainsFunc(proofs, func(l ledger.Lane) bool { return l.Place.Sum == 0 }) {
		return refused // nobody knows
	}
	if len(proofs) > 0 && how != "" {
		x.note("since an earlier run began to load it, " + how)
	}
	if was.From != nil {
		if end, err := x.end(ctx, nil, was.From.Offset); err != nil || end.Sum != was.From.Sum {
			return errors.Join(refused, err)
		}
	}
	wrong, err := x.proveMarks(ctx, was.From, proofs)
	if err != nil {
		return err
	}
	if wrong != nil {
		return refused
	}
	from := was.From
	x.j.Fingerprint = now
	x.j.Fingerprint.From = from
	return ledger.SetFingerprint(ctx, x.conn, x.j.Target, x.j.Job)
}
