package store

import (
	"context"

	"shardload/internal/ledger"
)

// rejectsAtOnce is about how many bytes of rejected records one statement has.
const rejectsAtOnce = 256 << 10

// insertRejects stores what of b is rejected as rows beside the marks, in the batch's transaction.
func insertRejects(ctx context.Context, x *tx) error {
	var list []ledger.Reject
	done, size := 0, 0
	flush := func() error {
		if len(list) == 0 {
			return nil
		}
		sql := ledger.InsertRejectsSQL(x.load.Job.Target, x.t.Aside, x.load.Job.Lanes[x.b.Lane], x.b.To, done, list)
		if err := x.change(ctx, sql, int64(len(list))); err != nil {
			return err
		}
		done += len(list)
		list, size = list[:0], 0
		return nil
	}
	err := x.load.Keeper.EachRow(x.b, x.load.Job.Number(x.b.Lane), func(r ledger.Reject) error {
		list = append(list, r)
		if size += len(r.Entry); size < rejectsAtOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}
