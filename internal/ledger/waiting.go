package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Waiting returns the names of the first parts out of seen that no run has and that have not failed,
// at most that many, in their order.
func Waiting(ctx context.Context, conn *pgx.Conn, t Target, seen *Seen, most int) (names []string, err error) {
	for at := 0; len(names) < most && at < len(seen.left); at += claimWindow {
		window := seen.left[at:min(at+claimWindow, len(seen.left))]
		err := guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
			// OFFSET 0: each name is looked up by the key, whatever the planner knows of a table
			// that is new.
			rows, err := conn.Query(ctx, `SELECT u.name FROM pg_catalog.unnest($2::pg_catalog.text[]) WITH ORDINALITY AS u (name, n)
				CROSS JOIN LATERAL (SELECT FROM `+t.parts()+` AS q WHERE q.of = $1::pg_catalog.text AND q.name = u.name AND q.run IS NULL AND q.failed IS NULL OFFSET 0) AS p
				ORDER BY u.n LIMIT $3::pg_catalog.int4`, seen.set, window, most-len(names))
			if err != nil {
				return err
			}
			found, err := pgx.CollectRows(rows, pgx.RowTo[string])
			names = append(names, found...)
			return err
		})
		if err != nil {
			return nil, explain(err, t, "look for parts")
		}
	}
	return names, nil
}

// PutBack releases the run's part of that number alone, of which no record is on its way: it needs
// another pipeline. The error is ErrReached if a mark is in it or after it.
func PutBack(ctx context.Context, conn *pgx.Conn, t Target, r *Run, j *Job, seq int32) error {
	err := r.asOwnerOf(ctx, conn, t, guardSets(t, writing), func(int32) error { return r.free(ctx, conn, t, j, seq, "p.seq = $3", "NULL") })
	if err != nil {
		return explain(err, t, "release a part")
	}
	return nil
}

// RunParts returns the parts of a run that is still its owner's, in the order of their numbers. The owner
// knows of all of them then: see ErrUnread.
func RunParts(ctx context.Context, conn *pgx.Conn, t Target, r *Run) (parts []Claimed, err error) {
	next := r.Next
	err = r.asOwnerOf(ctx, conn, t, guardSets(t, writing), func(there int32) error {
		next = there
		parts, err = r.partsFrom(ctx, conn, t, 0)
		return err
	})
	if err != nil {
		return nil, explain(err, t, "look for the parts of a run")
	}
	r.Next = next
	return parts, nil
}

// A FailedPart is a part that could not be loaded, and why. It has no name if a run has failed for
// it: Why names it.
type FailedPart struct{ Name, Why string }

// FailedParts returns parts of a set that have failed, and for which runs have, at most that many.
func FailedParts(ctx context.Context, conn *pgx.Conn, t Target, set string, most int) (list []FailedPart, err error) {
	err = guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
		rows, err := conn.Query(ctx, `SELECT '', failed FROM `+t.runs()+` WHERE of = $1::pg_catalog.text AND closed IS NULL AND failed IS NOT NULL
			UNION ALL SELECT name, failed FROM `+t.parts()+` WHERE of = $1::pg_catalog.text AND failed IS NOT NULL ORDER BY 1 LIMIT $2::pg_catalog.int4`, set, most)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[FailedPart])
		return err
	})
	if err != nil {
		return nil, explain(err, t, "look for parts that have failed")
	}
	return list, nil
}

// An UnstoredPart is a part that is not loaded.
type UnstoredPart struct {
	Name  string
	Taken bool // a run has it, and may have stored some of it
}

// UnstoredParts returns the first parts of a set that are not loaded, in the order of their names, at
// most that many.
func UnstoredParts(ctx context.Context, conn *pgx.Conn, t Target, set string, most int) (list []UnstoredPart, err error) {
	err = guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
		rows, err := conn.Query(ctx, `SELECT p.name, p.run IS NOT NULL FROM `+t.parts()+` AS p LEFT JOIN `+t.runs()+` AS r ON r.id = p.run
			WHERE p.of = $1::pg_catalog.text AND r.closed IS NULL ORDER BY 1 LIMIT $2::pg_catalog.int4`, set, most)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[UnstoredPart])
		return err
	})
	if err != nil {
		return nil, explain(err, t, "look for parts that are not loaded")
	}
	return list, nil
}
