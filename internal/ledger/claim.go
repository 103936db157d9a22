package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// A Claimed part is one of a run, with its number there. Numbers grow in the order in which the run
// reads its parts. Some may be missing: of parts that were released.
type Claimed struct {
	Part
	Seq int32
}

// A Limit says how much a claim takes at most, 0 for any number: of bytes a part more than that, so one at
// least.
type Limit struct {
	Parts int
	Bytes int64
}

// claimWindow is how many names are looked at in one transaction for some to claim: as many as may
// be claimed, at least the first, and more where others have those, up to the last.
const (
	firstWindow = 16
	claimWindow = 1000
)

// Claim gives the run the next parts out of seen that no run has, in their order. It returns none when
// it has looked at all: others have them, or have loaded them, or they have failed. Some may be free
// again later; then Seen.Rewind. The error is ErrEpoch if the run is no longer its owner's.
func Claim(ctx context.Context, conn *pgx.Conn, t Target, r *Run, seen *Seen, most Limit) (parts []Claimed, err error) {
	if seen.set != r.Of {
		return nil, errors.New("the parts are of another set than the run")
	}
	for size := max(most.Parts, firstWindow); len(parts) == 0 && seen.at < len(seen.left); size *= 4 {
		window := seen.left[seen.at:min(seen.at+min(size, claimWindow), len(seen.left))]
		looked, next := 0, r.Next
		err := r.asOwnerOf(ctx, conn, t, guardRuns(t, writing), func(there int32) (err error) {
			if next = there; there != r.Next { // the answer to an earlier claim's COMMIT was lost
				parts, err = r.partsFrom(ctx, conn, t, r.Next)
				return err
			}
			if parts, looked, err = r.claim(ctx, conn, t, window, most); err != nil || len(parts) == 0 {
				return err
			}
			next += int32(len(parts))
			_, err = conn.Exec(ctx, `UPDATE `+t.runs()+` SET next = $2::pg_catalog.int4 WHERE id = $1::pg_catalog.text`, r.ID, next)
			return err
		})
		if err != nil {
			return nil, explain(err, t, "claim parts")
		}
		seen.at += looked
		r.Next = next
	}
	return parts, nil
}

// claim gives the run parts out of a window, in a transaction that has its row locked. It says how many
// names it has looked at.
func (r *Run) claim(ctx context.Context, conn *pgx.Conn, t Target, window []string, most Limit) (parts []Claimed, looked int, err error) {
	bytes := "true"
	if most.Bytes > 0 {
		bytes = fmt.Sprintf("c.before < %d", most.Bytes)
	}
	// LATERAL: each name is looked up by the key, whatever the planner knows of a table that is
	// new.
	rows, err := conn.Query(ctx, `WITH free AS MATERIALIZED (
			SELECT p.name, p.size, u.n FROM pg_catalog.unnest($2::pg_catalog.text[]) WITH ORDINALITY AS u (name, n)
			CROSS JOIN LATERAL (SELECT q.name, coalesce(q.size, 0) AS size FROM `+t.parts()+` AS q
				WHERE q.of = $1::pg_catalog.text AND q.name = u.name AND q.run IS NULL AND q.failed IS NULL FOR UPDATE SKIP LOCKED) AS p),
		counted AS (SELECT name, n, pg_catalog.row_number() OVER (ORDER BY n) - 1 AS i, pg_catalog.sum(size) OVER (ORDER BY n) - size AS before FROM free ORDER BY n LIMIT $3::pg_catalog.int4)
		UPDATE `+t.parts()+` AS p SET run = $4::pg_catalog.text, seq = $5::pg_catalog.int4 + c.i::pg_catalog.int4 FROM counted AS c
		WHERE p.of = $1::pg_catalog.text AND p.name = c.name AND `+bytes+` RETURNING c.n, `+claimedColumns, r.Of, window, cmp.Or(most.Parts, len(window)), r.ID, r.Next)
	if err != nil {
		return nil, 0, err
	}
	parts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Claimed, err error) {
		var n int64
		c, err = scanClaimed(row, &n)
		looked = max(looked, int(n))
		return c, err
	})
	if len(parts) == 0 {
		looked = len(window)
	}
	slices.SortFunc(parts, bySeq)
	return parts, looked, err
}

const claimedColumns = `p.name, coalesce(p.size, -1), coalesce(p.tag, ''), coalesce(p.head, 0), coalesce(p.tail, 0), p.seq`

// scanClaimed reads the claimedColumns of shardload_parts, after others.
func scanClaimed(row pgx.CollectableRow, before ...any) (c Claimed, err error) {
	var head, tail int64
	err = row.Scan(append(before, &c.Name, &c.Size, &c.Tag, &head, &tail, &c.Seq)...)
	c.Head, c.Tail = uint64(head), uint64(tail)
	return c, err
}

func bySeq(a, b Claimed) int { return cmp.Compare(a.Seq, b.Seq) }

// partsFrom returns the run's parts from that number on, in the order of their numbers.
func (r *Run) partsFrom(ctx context.Context, conn *pgx.Conn, t Target, seq int32) ([]Claimed, error) {
	rows, err := conn.Query(ctx, `SELECT `+claimedColumns+` FROM `+t.parts()+` AS p WHERE p.of = $1::pg_catalog.text AND p.run = $2::pg_catalog.text AND p.seq >= $3::pg_catalog.int4`, r.Of, r.ID, seq)
	if err != nil {
		return nil, err
	}
	parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Claimed, error) { return scanClaimed(row) })
	slices.SortFunc(parts, bySeq)
	return parts, err
}

// ErrReached says that a lane has stored records of a part, or of one after it, so that the part stays
// with its run.
var ErrReached = errors.New("a lane has reached the part: it stays with its run")

// Release gives back the run's parts from that number on: others may claim them. No batch of them may be
// under way. The error is ErrReached if a mark is in one of them.
func Release(ctx context.Context, conn *pgx.Conn, t Target, r *Run, j *Job, seq int32) error {
	err := r.asOwnerOf(ctx, conn, t, guardSets(t, writing), func(int32) error { return r.free(ctx, conn, t, j, seq, "p.seq >= $3", "NULL") })
	if err != nil {
		return explain(err, t, "release parts")
	}
	return nil
}

// Fail gives up the run's part of that number, of which no record is on its way, for that reason: nobody
// claims it before RetryFailed. The error is ErrReached if a mark is in it or after it: then the whole run
// fails, by Leave.
func Fail(ctx context.Context, conn *pgx.Conn, t Target, r *Run, j *Job, seq int32, reason string) error {
	err := r.asOwnerOf(ctx, conn, t, guardSets(t, writing), func(int32) error { return r.free(ctx, conn, t, j, seq, "p.seq = $3", server.Literal(reason)) })
	if err != nil {
		return explain(err, t, "note that a part has failed")
	}
	return nil
}

// free takes parts from the run, in a transaction that has its row locked, if no mark is after the
// beginning of the part with that number.
func (r *Run) free(ctx context.Context, conn *pgx.Conn, t Target, j *Job, seq int32, where, failed string) error {
	lanes, err := Lanes(ctx, conn, t, j)
	if err != nil {
		return err
	}
	begin := Mark{Chunk: Chunk(seq, 0)}
	for _, l := range lanes {
		if l.Epoch != r.Epoch {
			return ErrEpoch
		}
		if begin.Before(l.Mark) {
			return ErrReached
		}
	}
	_, err = conn.Exec(ctx, `UPDATE `+t.parts()+` AS p SET run = NULL, seq = NULL, failed = `+failed+` WHERE p.of = $1::pg_catalog.text AND p.run = $2::pg_catalog.text AND `+where, r.Of, r.ID, seq)
	return err
}

// Leave ends the owner's work on the run, which stays open: its batches are all stored or rolled back.
// With a reason it has failed, and is taken over only after RetryFailed; with "" whoever comes first
// goes on with it.
func Leave(ctx context.Context, conn *pgx.Conn, t Target, r *Run, reason string) error {
	err := r.asOwnerOf(ctx, conn, t, guardSets(t, writing), func(int32) error {
		_, err := conn.Exec(ctx, `UPDATE `+t.runs()+` SET released = true, failed = nullif($2::pg_catalog.text, '') WHERE id = $1::pg_catalog.text`, r.ID, reason)
		return err
	})
	if err != nil {
		return explain(err, t, "leave the run")
	}
	return nil
}
