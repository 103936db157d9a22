package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// AddedByOthers returns how many rows jobs other than that one have added to the target,
// as the table that it is now.
func AddedByOthers(ctx context.Context, conn *pgx.Conn, t Target, id string) (sum int64, err error) {
	var unfinished []*Job
	err = guarded(ctx, conn, guardJobs(t, reading), "ROLLBACK", func() error {
		rows, err := conn.Query(ctx, `SELECT `+jobColumns+` FROM `+t.Jobs()+` WHERE target_oid = $1::pg_catalog.oid AND id <> $2::pg_catalog.text`, t.Table.OID, id)
		if err != nil {
			return err
		}
		jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Job, error) { return scanJob(row, t.Table.Schema) })
		for _, j := range jobs {
			if j.Complete() || j.Set != nil { // of a set: what its closed runs have added
				sum += j.Added()
			} else if j.Progress != "" {
				unfinished = append(unfinished, j)
			}
		}
		return err
	})
	for _, j := range unfinished {
		if err != nil {
			break
		}
		var lanes []Lane
		lanes, err = Lanes(ctx, conn, t, j)
		for _, l := range lanes {
			sum += l.Rows - l.Updated - l.Skipped
		}
	}
	if err != nil {
		return 0, fmt.Errorf("count the rows of other jobs: %w", err)
	}
	return sum, nil
}
