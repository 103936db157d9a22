package job

import (
	"context"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/target"
)

// CheckEmpty makes sure that no earlier run has begun to load what an input was that has
// not a single byte now: a part of a set that has no rows, or a file that nobody has
// written to.
func CheckEmpty(ctx context.Context, t *target.Target, of ledger.Target, name string) error {
	return t.OnControl(ctx, func(conn *pgx.Conn) error {
		found, err := ledger.Find(ctx, conn, of, name)
		for _, was := range found {
			if !was.Complete() {
				return &failure.JobError{Job: was.Name, Problem: "an earlier run began to load it, and it is empty now", Do: "load what it was, or " + failure.Anew}
			}
		}
		return err
	})
}
