package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/server"
)

// Split divides the lanes whose shard was split since, so that each lane is one
// shard again: the part that holds a lane's key keeps the lane's row, narrowed, and
// each other one gets a row of its own with the lane's mark. shards are the
// target's now. Lanes that are part of a shard, or no shards at all, stay as they
// are. It reports whether it changed anything; Lanes then reads the new ones.
func Split(ctx context.Context, conn *pgx.Conn, t Target, j *Job, lanes []Lane, shards []citus.Shard) (changed bool, err error) {
	next := int32(0)
	for _, l := range lanes {
		next = max(next, l.Number+1)
	}
	err = server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := CheckProgress(ctx, conn, t, j); err != nil {
			return err
		}
		for _, l := range lanes {
			parts := partsOf(l, shards)
			if len(parts) < 2 {
				continue
			}
			for i := range parts[1:] {
				parts[1+i].Number = next
				next++
			}
			if err := split(ctx, tx, t, j, l, parts); err != nil {
				return err
			}
			changed = true
		}
		return nil
	})
	if err != nil {
		return false, explain(err, t, "divide the progress of a shard that was split")
	}
	return changed, nil
}

// partsOf returns the lanes that become of l, the one that keeps its row first;
// only one if l is not made up of several of the shards.
func partsOf(l Lane, shards []citus.Shard) []Lane {
	parts := []Lane{l}
	next := int64(l.Min)
	for _, s := range shards {
		if s.Max < l.Min || s.Min > l.Max {
			continue
		}
		if int64(s.Min) != next || s.Max > l.Max {
			return parts[:1]
		}
		next = int64(s.Max) + 1
		if keeps := s.Min <= l.KeyHash && l.KeyHash <= s.Max; keeps {
			parts[0].Min, parts[0].Max = s.Min, s.Max
		} else {
			parts = append(parts, Lane{Run: l.Run, Min: s.Min, Max: s.Max, Epoch: l.Epoch, Mark: l.Mark, Place: l.Place, Within: l.Within})
		}
	}
	if next != int64(l.Max)+1 || parts[0].Min == l.Min && parts[0].Max == l.Max {
		return []Lane{l} // one shard, or a key that was borrowed
	}
	return parts
}

// split stores what became of the lane was. The rows of the new parts come first: in
// between there would be hashes without a mark.
func split(ctx context.Context, tx pgx.Tx, t Target, j *Job, was Lane, parts []Lane) error {
	if err := giveKeys(ctx, tx, t, parts, nil); err != nil {
		return err
	}
	if err := insertLanes(ctx, tx, t, j, parts[1:]); err != nil {
		return err
	}
	kept := parts[0]
	return t.asRole(ctx, tx, func() error {
		tag, err := tx.Exec(ctx, fmt.Sprintf("UPDATE %s SET min = %d, max = %d WHERE ", j.Progress, kept.Min, kept.Max)+was.at(t, was.Mark))
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("the mark of lane %d is not where it was", kept.Number)
		}
		return err
	})
}
