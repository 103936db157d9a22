package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/server"
)

// A PartRows is what is known of a run's part when all of it is stored.
type PartRows struct {
	Seq  int32
	Rows int64 // -1 if it is not known
	// Now is what it was when it was read, nil if that is not known; with Size -1 its Sum alone is.
	Now *Part
}

// ErrUnread says that a run has parts which its owner has not read: it is not closed.
var ErrUnread = errors.New("the run has got parts that were not read")

// CloseRun ends a run, in the caller's transaction, as Complete ends a job: its progress table and its job
// go, its row keeps the totals, which are added to the set's, and from then on its parts count as loaded.
// check says whether the marks, as the coordinator reads them, are those of the end of its last part.
// The error is ErrEpoch if the run is not, or no longer, its owner's, and ErrUnread if it has parts that
// its owner does not know of.
func CloseRun(ctx context.Context, conn *pgx.Conn, t Target, r *Run, j *Job, bytes int64, rows []PartRows, check func([]Lane) error) error {
	if _, err := conn.Exec(ctx, citus.FewConnectionsSQL); err != nil {
		return fmt.Errorf("close the run: %w", err)
	}
	lanes, err := finalLanes(ctx, conn, t, j, func(lanes []Lane) error {
		for _, l := range lanes {
			if l.Epoch != r.Epoch {
				return ErrEpoch
			}
		}
		return check(lanes)
	})
	if err != nil {
		return err
	}
	sum := Totals{Bytes: bytes}
	for _, l := range lanes {
		sum.Rows += l.Rows
		sum.Rejected += l.Rejected
		sum.Merged.Add(l.Merged)
	}
	if err := lock(ctx, conn, t); err != nil {
		return fmt.Errorf("close the run: %w", err)
	}
	err = r.asOwnerOf(ctx, conn, t, guardSets(t, writing), func(next int32) error {
		if next != r.Next {
			return ErrUnread
		}
		return r.close(ctx, conn, t, j, sum, rows)
	})
	if err != nil {
		return explain(err, t, "close the run")
	}
	return nil
}

// close does what CloseRun does, once it is known that the run is the owner's and complete.
func (r *Run) close(ctx context.Context, conn *pgx.Conn, t Target, j *Job, sum Totals, rows []PartRows) error {
	if err := r.removeMarks(ctx, conn, t, j); err != nil {
		return err
	}
	if err := r.moveRejects(ctx, conn, t, j, sum.Rejected); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `DELETE FROM `+t.Jobs()+` WHERE id = $1::pg_catalog.text`, r.ID); err != nil {
		return err
	}
	now, err := clockNow(ctx, conn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `UPDATE `+t.runs()+` SET closed = $8::pg_catalog.timestamptz, released = true, rows = $2::pg_catalog.int8, rejected = $3::pg_catalog.int8, updated = $4::pg_catalog.int8,
		skipped = $5::pg_catalog.int8, filtered = $6::pg_catalog.int8, bytes = $7::pg_catalog.int8 WHERE id = $1::pg_catalog.text`,
		r.ID, sum.Rows, sum.Rejected, sum.Updated, sum.Skipped, sum.Filtered, sum.Bytes, now)
	if err != nil {
		return err
	}
	if err := r.noteRows(ctx, conn, t, rows); err != nil {
		return err
	}
	tag, err := conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET rows = rows + $2::pg_catalog.int8, rejected = rejected + $3::pg_catalog.int8, updated = updated + $4::pg_catalog.int8,
		skipped = skipped + $5::pg_catalog.int8, bytes = bytes + $6::pg_catalog.int8 WHERE id = $1::pg_catalog.text`, r.Of, sum.Rows, sum.Rejected, sum.Updated, sum.Skipped, sum.Bytes)
	if err == nil && tag.RowsAffected() != 1 {
		err = ErrSetGone
	}
	return err
}

// removeMarks deletes the run's marks, or drops their table if no other open run has any there. Under the
// lock of tables of ours none is opened meanwhile.
func (r *Run) removeMarks(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	if err := guard(ctx, conn, joined(guardProgress(t, writing, j))); err != nil {
		return err
	}
	if j.Shared {
		var used bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+t.runs()+` WHERE of = $1::pg_catalog.text AND id <> $2::pg_catalog.text AND closed IS NULL)`, r.Of, r.ID).Scan(&used)
		if err != nil {
			return err
		}
		if used {
			return server.Exec(ctx, conn.PgConn(), "DELETE FROM "+j.Progress+" WHERE "+j.ofRunSQL())
		}
	}
	return server.Exec(ctx, conn.PgConn(), "DROP TABLE "+j.Progress)
}

// noteRows notes how many rows of its parts are stored, and what the parts were.
func (r *Run) noteRows(ctx context.Context, conn *pgx.Conn, t Target, rows []PartRows) error {
	if len(rows) == 0 {
		return nil
	}
	var seqs []int32
	var counts, sizes, heads, tails, sums []int64
	var tags []string
	for _, p := range rows {
		now := cmp.Or(p.Now, &Part{Size: -1})
		seqs, counts, sizes, tags = append(seqs, p.Seq), append(counts, p.Rows), append(sizes, now.Size), append(tags, now.Tag)
		heads, tails, sums = append(heads, int64(now.Head)), append(tails, int64(now.Tail)), append(sums, int64(now.Sum))
	}
	_, err := conn.Exec(ctx, `UPDATE `+t.parts()+` AS p SET rows = nullif(u.rows, -1), size = CASE WHEN u.size < 0 THEN p.size ELSE u.size END, tag = CASE WHEN u.size < 0 THEN p.tag ELSE nullif(u.tag, '') END,
			head = nullif(u.head, 0), tail = nullif(u.tail, 0), sum = nullif(u.sum, 0)
		FROM unnest($3::pg_catalog.int4[], $4::pg_catalog.int8[], $5::pg_catalog.int8[], $6::pg_catalog.text[], $7::pg_catalog.int8[], $8::pg_catalog.int8[], $9::pg_catalog.int8[])
			AS u (seq, rows, size, tag, head, tail, sum)
		WHERE p.of = $1::pg_catalog.text AND p.run = $2::pg_catalog.text AND p.seq = u.seq`, r.Of, r.ID, seqs, counts, sizes, tags, heads, tails, sums)
	return err
}
