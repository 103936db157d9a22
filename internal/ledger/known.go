package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// A part of a set may be known to the target otherwise: as an input that was loaded alone, or as a part
// of another set, the files of which have another directory in common. Who loads either makes himself
// known first, a single load by the lock of its job, a set by its parts, and looks at the other
// one afterwards: so of two that begin at once one sees the other, or both do.

// Singles returns the jobs of single inputs of these names, of the target, or of a table of its name
// which is gone.
func Singles(ctx context.Context, conn *pgx.Conn, t Target, names []string) ([]*Job, error) {
	jobs, err := find(ctx, conn, t, "(target_oid = $1::pg_catalog.oid OR target = $2::pg_catalog.text) AND name = ANY ($3::pg_catalog.text[])", names)
	return slices.DeleteFunc(withoutOthers(jobs), func(j *Job) bool { return !j.Single() }), err
}

// Sets returns the sets of the target, or of a table of its name which is gone.
func Sets(ctx context.Context, conn *pgx.Conn, t Target) ([]*Job, error) {
	jobs, err := find(ctx, conn, t, "(target_oid = $1::pg_catalog.oid OR target = $2::pg_catalog.text) AND fingerprint->'set' IS NOT NULL")
	return withoutOthers(jobs), err
}

// LockedJobs returns those of the names of whose jobs some process has the lock.
func LockedJobs(ctx context.Context, conn *pgx.Conn, t Target, names []string) (locked []string, err error) {
	err = guardedBy(ctx, conn, nil, "ROLLBACK", func() error {
		locks, err := advisoryLocks(ctx, conn)
		for _, name := range names {
			if err == nil && locks[jobLock(t.Table.OID, name)] {
				locked = append(locked, name)
			}
		}
		return err
	})
	if err != nil {
		return nil, explain(err, t, "see what is being loaded")
	}
	return locked, nil
}

// A FoundPart is a part of a set, and what has become of it.
type FoundPart struct {
	Part
	State  PartState
	Rows   int64     // that it has, -1 if that is not known
	Loaded time.Time // zero if it is not
	Reads  string    // how it was read, by Form.Manner, "" if that is not known
}

// A PartState is what has become of a part.
type PartState int16

// The states of a part.
const (
	PartWaits  = PartState(partWaits)
	PartFailed = PartState(partFailed)
	PartTaken  = PartState(partTaken)
	PartLoaded = PartState(partLoaded)
)

// FindParts returns those parts of a set that have these names.
func FindParts(ctx context.Context, conn *pgx.Conn, t Target, set string, names []string) (list []FoundPart, err error) {
	for page := range slices.Chunk(names, addAtOnce) {
		err := guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
			found, err := findParts(ctx, conn, t, set, page)
			list = append(list, found...)
			return err
		})
		if undefined(err) {
			return nil, nil // no set has had a part here
		}
		if err != nil {
			return nil, explain(err, t, "look for parts")
		}
	}
	slices.SortFunc(list, func(a, b FoundPart) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func findParts(ctx context.Context, conn *pgx.Conn, t Target, set string, names []string) ([]FoundPart, error) {
	rows, err := conn.Query(ctx, `SELECT p.name, coalesce(p.size, -1), coalesce(p.tag, ''), coalesce(p.head, 0), coalesce(p.tail, 0), coalesce(p.sum, 0), coalesce(p.rows, -1), r.closed, coalesce(r.reads, ''),
			p.run IS NOT NULL, p.failed IS NOT NULL FROM `+t.parts()+` AS p LEFT JOIN `+t.runs()+` AS r ON r.id = p.run
		WHERE p.of = $1::pg_catalog.text AND p.name = ANY ($2::pg_catalog.text[])`, set, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f FoundPart, err error) {
		var head, tail, sum int64
		var closed *time.Time
		var taken, failed bool
		err = row.Scan(&f.Name, &f.Size, &f.Tag, &head, &tail, &sum, &f.Rows, &closed, &f.Reads, &taken, &failed)
		f.Head, f.Tail, f.Sum = uint64(head), uint64(tail), uint64(sum)
		switch {
		case closed != nil:
			f.State, f.Loaded = PartLoaded, *closed
		case taken:
			f.State = PartTaken
		case failed:
			f.State = PartFailed
		}
		return f, err
	})
}

// A Before is a part that was loaded before it was one of the set: as a job of its own, or of another set.
type Before struct {
	Part
	Rows int64 // -1 if it is not known
}

// CountAsLoaded makes parts of the set that no run has ones that are loaded, as of a run that has stored
// nothing and is closed: their rows are those of other jobs. reads is how they were read.
func CountAsLoaded(ctx context.Context, conn *pgx.Conn, t Target, seen *Seen, parts []Before, reads string) error {
	if len(parts) == 0 {
		return nil
	}
	r := &Run{ID: NewID(), Of: seen.set}
	var names []string
	var ends []PartRows
	for i, p := range parts {
		names = append(names, p.Name)
		ends = append(ends, PartRows{Seq: int32(i), Rows: p.Rows, Now: &p.Part})
	}
	err := guardedSets(ctx, conn, t, func() error {
		if _, err := holdSet(ctx, conn, t, seen.set); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, `INSERT INTO `+t.runs()+` (id, of, epoch, host, pid, closed, released, reads) VALUES ($1::pg_catalog.text, $2::pg_catalog.text, 0, '', 0, pg_catalog.now(), true, nullif($3::pg_catalog.text, ''))`, r.ID, r.Of, reads)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, `UPDATE `+t.parts()+` AS p SET run = $2::pg_catalog.text, seq = u.n - 1, failed = NULL FROM unnest($3::pg_catalog.text[]) WITH ORDINALITY AS u (name, n)
			WHERE p.of = $1::pg_catalog.text AND p.name = u.name AND p.run IS NULL`, r.Of, r.ID, names)
		if err != nil {
			return err
		}
		return r.noteRows(ctx, conn, t, ends)
	})
	if err != nil {
		return explain(err, t, "note what was loaded before")
	}
	seen.without(names)
	seen.Loaded += len(names)
	return nil
}

// Unlist removes parts of the set that no run has, and returns how many: nobody can claim them then. They
// are loaded otherwise.
func Unlist(ctx context.Context, conn *pgx.Conn, t Target, set string, names []string) (removed int, err error) {
	if len(names) == 0 {
		return 0, nil
	}
	err = guardedSets(ctx, conn, t, func() error {
		tag, err := conn.Exec(ctx, `DELETE FROM `+t.parts()+` WHERE of = $1::pg_catalog.text AND name = ANY ($2::pg_catalog.text[]) AND run IS NULL`, set, names)
		removed = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, explain(err, t, "take parts out of the set")
	}
	return removed, nil
}

// Without makes Claim leave these parts alone.
func (s *Seen) Without(names []string) { s.without(names) }

// LeftNames returns the names of the parts that were not loaded when they were added, in their order.
func (s *Seen) LeftNames() []string { return s.left }

// without forgets parts that are not to be claimed.
func (s *Seen) without(names []string) {
	gone := make(map[string]bool, len(names))
	for _, name := range names {
		gone[name] = true
	}
	s.left = slices.DeleteFunc(s.left, func(name string) bool { return gone[name] })
	s.at = 0
}
