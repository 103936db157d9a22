package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// A job belongs to the table of its OID, however that is called by now. Its target's name
// counts only where no table has the OID: one that was dropped and made anew, or restored
// in another database, has another one. So a table that took the name of another one does
// not take its jobs.

// A Renamed is a table that has the OID of a job, and not the name under which it was begun.
type Renamed struct{ Schema, Name string }

// String returns the table's name, quoted.
func (r *Renamed) String() string { return server.Shown(r.Schema, r.Name) }

// findRenamed fills in Other of the jobs that are other tables'. conn is in a transaction.
func findRenamed(ctx context.Context, conn *pgx.Conn, t Target, jobs []*Job) error {
	var oids []uint32
	for _, j := range jobs {
		if j.TableOID != t.Table.OID {
			oids = append(oids, j.TableOID)
		}
	}
	if len(oids) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, `SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND c.relkind IN ('r', 'p')`, oids)
	if err != nil {
		return err
	}
	there := map[uint32]*Renamed{}
	var oid uint32
	var r Renamed
	_, err = pgx.ForEachRow(rows, []any{&oid, &r.Schema, &r.Name}, func() error {
		there[oid] = &Renamed{r.Schema, r.Name}
		return nil
	})
	for _, j := range jobs {
		if j.TableOID != t.Table.OID {
			j.Other = there[j.TableOID]
		}
	}
	return err
}

// withoutOthers returns the jobs that are not other tables'.
func withoutOthers(jobs []*Job) []*Job {
	return slices.DeleteFunc(jobs, func(j *Job) bool { return j.Other != nil })
}

// Retarget notes by which name the table of a job goes now: the name under which it was begun
// is free for a job of the target.
func Retarget(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	err := guarded(ctx, conn, guardJobs(t, writing), "COMMIT", func() error {
		name := j.Other.Name
		var taken bool
		err := conn.QueryRow(ctx, `SELECT pg_catalog.count(*) > 0 FROM `+t.Jobs()+` WHERE target = $1::pg_catalog.text AND name = $2::pg_catalog.text`, name, j.Name).Scan(&taken)
		if err != nil {
			return err
		}
		if taken || name == t.Table.Name { // in another schema
			name = fmt.Sprintf("%s (%d)", name, j.TableOID)
		}
		_, err = conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET target = $2::pg_catalog.text WHERE id = $1::pg_catalog.text`, j.ID, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("note that job %s is one of %s: %w", j.ID, j.Other, err)
	}
	return nil
}

// jobsToForget returns the ids of all jobs of the target, as find finds them, in a transaction
// that has found the table of jobs to be ours.
func jobsToForget(ctx context.Context, tx pgx.Tx, t Target) (ids []string, err error) {
	rows, err := tx.Query(ctx, `SELECT id, target_oid FROM `+t.Jobs()+` WHERE target_oid = $1::pg_catalog.oid OR target = $2::pg_catalog.text`, t.Table.OID, t.Table.Name)
	if err != nil {
		return nil, err
	}
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Job, error) {
		j := &Job{}
		return j, row.Scan(&j.ID, &j.TableOID)
	})
	if err == nil {
		err = findRenamed(ctx, tx.Conn(), t, jobs)
	}
	for _, j := range withoutOthers(jobs) {
		ids = append(ids, j.ID)
	}
	return ids, err
}

// others fills in Other of the jobs, in a transaction of its own.
func others(ctx context.Context, conn *pgx.Conn, t Target, jobs []*Job) error {
	if !slices.ContainsFunc(jobs, func(j *Job) bool { return j.TableOID != t.Table.OID }) {
		return nil
	}
	return server.Tx(ctx, conn, server.Read, func() error { return findRenamed(ctx, conn, t, jobs) })
}
