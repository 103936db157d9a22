package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// checkSets makes sure that the input, which has no job of that name, is no part of a set that the
// table has, by whatever directory that set is called. The lock of its own job is held: a set that comes up
// later sees that, and one that has the input waiting loses it.
func checkSets(ctx context.Context, o *Opening, conn *pgx.Conn, name string, now ledger.Fingerprint) error {
	if o.In.Named {
		return nil
	}
	sets, err := ledger.Sets(ctx, conn, o.opt.Ledger)
	if err != nil {
		return err
	}
	for _, set := range sets {
		part, ok := strings.CutPrefix(name, set.Set.Base)
		if set.Set.Base == "" || !ok {
			continue
		}
		if err := checkSet(ctx, o, conn, name, set, part, now); err != nil {
			return err
		}
	}
	return nil
}

// checkSet is checkSets for one set, of which the input may be that part.
func checkSet(ctx context.Context, o *Opening, conn *pgx.Conn, name string, set *ledger.Job, part string, now ledger.Fingerprint) error {
	found, err := ledger.FindParts(ctx, conn, o.opt.Ledger, set.ID, []string{part})
	if err != nil || len(found) == 0 {
		return err
	}
	if set.TableOID != o.t.Table.OID {
		has, err := o.t.CountRows(ctx, conn, 1)
		if err != nil || has == 0 {
			return err // dropped and made anew
		}
		return &failure.JobError{Job: name, Problem: "it is one of the files of " + set.Name + ", and the table was rebuilt since that was begun, so that its rows may be there", Do: failure.Anew + ", or forget job " + set.ID}
	}
	switch p := found[0]; p.State {
	case ledger.PartLoaded:
		return loadedInSet(ctx, o, name, set, p, now)
	case ledger.PartTaken:
		return &failure.JobError{Job: name, Problem: "it is one of the files of " + set.Name + ", the load of which has begun with it and has not stored all of it", Do: "run that load again, or wait for its end"}
	default:
		return takeFromSet(ctx, o, conn, name, set, p)
	}
}

// takeFromSet takes the input out of a set that has not begun with it, unless processes work on that.
func takeFromSet(ctx context.Context, o *Opening, conn *pgx.Conn, name string, set *ledger.Job, p ledger.FoundPart) error {
	now, err := ledger.OpenRuns(ctx, conn, o.opt.Ledger, set.ID)
	if err != nil {
		return err
	}
	for _, r := range now.Runs {
		if r.Locked {
			return &failure.JobError{Job: name, Problem: "it is one of the files of " + set.Name + ", which is being loaded now", Do: "wait for the end of that load"}
		}
	}
	taken, err := ledger.Unlist(ctx, conn, o.opt.Ledger, set.ID, []string{p.Name})
	if err == nil && taken == 0 {
		return &StartOverError{"another process has begun with the file, as one of " + set.Name}
	}
	return err
}

// loadedInSet returns the error of an input that is loaded, as p of a set.
func loadedInSet(ctx context.Context, o *Opening, name string, set *ledger.Job, p ledger.FoundPart, now ledger.Fingerprint) error {
	if p.Reads != "" && o.In.Manner != "" && p.Reads != o.In.Manner {
		return &failure.JobError{
			Job: name, Problem: fmt.Sprintf("it was loaded completely, as one of the files of %s, and it was read with %s, and is now with %s", set.Name, p.Reads, o.In.Manner),
			Do: failure.Beside + ", or " + failure.Anew,
		}
	}
	same, how, err := o.IsPart(ctx, p.Part, ledger.Part{Size: now.Size, Tag: now.PartTag()})
	if err != nil {
		return err
	}
	if !same {
		return &failure.ChangedInputError{Job: name, ID: set.ID, When: failure.ChangedComplete, How: how, Rows: max(p.Rows, 0)}
	}
	return &failure.CompleteError{Job: name, Rows: max(p.Rows, 0), When: p.Loaded.Local().Format("2006-01-02 15:04"), Of: set.Name}
}

// IsPart reports whether a part of a set that was loaded is the same now, of which the size and the tag
// are known, and else how it is another. Where the tag does not tell, its content does.
func (p *rereader) IsPart(ctx context.Context, was, now ledger.Part) (same bool, how string, err error) {
	switch {
	case was.Size != now.Size && was.Size >= 0:
		return false, fmt.Sprintf("it had %d bytes, and has %d now", was.Size, now.Size), nil
	case was.Tag == now.Tag && now.Tag != "":
		return true, "", nil
	case was.Head == 0 && was.Sum == 0 || p.In.Path == "":
		return false, "it may have another content now", nil
	}
	head, tail, err := input.Ends(p.In.Path)
	switch {
	case err != nil:
		return false, "", err
	case head != was.Head || tail != was.Tail:
		return false, "it has another content now", nil
	case was.Sum == 0 || now.Size == 0:
		return true, "", nil
	}
	p.note("it seems to have been changed since it was loaded")
	end, err := p.end(ctx, nil, -1)
	if _, ofRecord := errors.AsType[*failure.RowError](err); ofRecord {
		return false, "", nil
	}
	return end.Sum == was.Sum, "", err
}

// Proves reports whether the input is the one of which these are marks, which are not all that may have been
// stored of it where the sum of one is not known.
func (p *rereader) Proves(ctx context.Context, lanes []ledger.Lane) (bool, error) {
	proofs := lane.ProofsOf(lanes)
	if slices.ContainsFunc(proofs, func(l ledger.Lane) bool { return l.Place.Sum == 0 }) {
		return false, nil
	}
	p.note("it was changed since an earlier run began to load it")
	wrong, err := p.proveMarks(ctx, nil, proofs)
	if _, ofRecord := errors.AsType[*failure.RowError](err); ofRecord {
		return false, nil
	}
	return err == nil && wrong == nil, err
}

// SameAs reports whether the input is the one that a complete job of its own has loaded. feed is open, and
// first is its first chunk.
func (p *rereader) SameAs(ctx context.Context, was *ledger.Job, feed input.Feed, first *input.Chunk) (same bool, how string, err error) {
	now, err := feed.Fingerprint(first)
	if err != nil {
		return false, "", err
	}
	before := was.Fingerprint
	switch how = before.Content(now); {
	case how != "":
		return false, how, nil
	case before.Sum == 0 || before.Unit.ByNumber() || before.Untouched(now.Hints):
		return true, "", nil
	}
	p.note("it seems to have been changed since it was loaded")
	end, err := p.endOf(ctx, before.From, -1)
	if _, ofRecord := errors.AsType[*failure.RowError](err); ofRecord {
		return false, "", nil
	}
	return end.Sum == before.Sum, "", err
}

// Holds makes sure that the table has the rows that a job, or a set, has added to it, so many, in the
// files into which it stored them. found are those that are there.
func (o *Opening) Holds(ctx context.Context, conn *pgx.Conn, j *ledger.Job, rows int64, found ledger.Files) error {
	if rows == 0 {
		return nil
	}
	has, err := o.t.CountRows(ctx, conn, rows)
	if err != nil {
		return err
	}
	if has < rows {
		return &failure.JobError{Job: j.Name, Problem: fmt.Sprintf("%s of it %s stored, but the table has %d now", term.Plural(rows, "row"), term.Verb(rows, "was", "were"), has), Do: failure.Anew + ", or " + failure.Beside}
	}
	return (&examination{o, conn, &Job{Opening: o, Job: j, Target: o.opt.Ledger, Found: found}}).checkFile(ctx, rows)
}

// TableFiles returns the files that have the table's rows now.
func (o *Opening) TableFiles(ctx context.Context, conn *pgx.Conn) (ledger.Files, error) {
	found, err := o.t.Look(ctx, conn)
	if err != nil {
		return nil, err
	}
	return found, o.addShards(ctx, conn, found)
}

// SetsNamed returns the jobs of the target that have the name of a set, after those of the target that lie
// elsewhere have followed it: it may have been moved to another schema. Jobs of other tables that are
// in the way have other names then.
func SetsNamed(ctx context.Context, o *Opening, conn *pgx.Conn, name string) (own []*ledger.Job, err error) {
	found, elsewhere, err := ledger.FindAlike(ctx, conn, o.opt.Ledger, []string{name}, ledger.Fingerprint{})
	if err != nil {
		return nil, err
	}
	moved, err := followAll(ctx, o, conn, elsewhere, func(*ledger.Entry) bool { return true })
	if err == nil && moved {
		found, _, err = ledger.FindAlike(ctx, conn, o.opt.Ledger, []string{name}, ledger.Fingerprint{})
	}
	if err == nil {
		err = clearName(ctx, conn, o.opt.Ledger, found)
	}
	for _, j := range found {
		if j.Other == nil {
			own = append(own, j)
		}
	}
	return own, err
}

// followAll moves those jobs of the target from elsewhere that are wanted, and are no runs.
func followAll(ctx context.Context, o *Opening, conn *pgx.Conn, elsewhere ledger.Elsewhere, wanted func(*ledger.Entry) bool) (moved bool, err error) {
	if len(elsewhere) == 0 {
		return false, nil
	}
	if has, err := o.t.CountRows(ctx, conn, 1); err != nil || has == 0 {
		return false, err
	}
	list, err := elsewhere.Jobs(ctx, conn, o.opt.Ledger)
	if err != nil {
		return false, err
	}
	for _, e := range list {
		if e.Of != "" || !wanted(e) {
			continue
		}
		if e.Problem != "" {
			return moved, errors.New(e.Problem) // a later version's
		}
		found, err := ledger.Find(ctx, conn, o.opt.Ledger, e.Name)
		if err != nil {
			return moved, err
		}
		if len(found) > 0 && found[0].TableOID == o.t.Table.OID {
			continue
		}
		if err := o.followOne(ctx, conn, e, found); err != nil {
			return moved, err
		}
		moved = true
	}
	return moved, nil
}
