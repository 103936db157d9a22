package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
)

// Complete ends a job, in the caller's transaction: its progress table goes, and
// its row becomes the summary. check says whether the marks, as the coordinator
// reads them, are those of a complete job; its error is returned as it is. bytes
// is the length of the input.
func Complete(ctx context.Context, conn *pgx.Conn, t Target, j *Job, bytes int64, check func([]Lane) error) error {
	if _, err := conn.Exec(ctx, citus.FewConnectionsSQL); err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	lanes, err := finalLanes(ctx, conn, j, check)
	if err != nil {
		return err
	}
	var rows, rejected int64
	var merged Merged
	for _, l := range lanes {
		rows += l.Rows
		rejected += l.Rejected
		merged.Add(l.Merged)
	}
	if err := lock(ctx, conn); err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	if _, err := conn.Exec(ctx, "DROP TABLE "+j.Progress); err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	// The caller's transaction may be as old as the job. Where the table of jobs is
	// distributed itself, an UPDATE cannot call clock_timestamp.
	var now time.Time
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	_, err = conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET progress = NULL, finished = $5::timestamptz, rows = $2::bigint, rejected = $3::bigint, bytes = $4::bigint, updated = $6::bigint, skipped = $7::bigint
		WHERE id = $1::text`, j.ID, rows, rejected, bytes, now, merged.Updated, merged.Skipped)
	if err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	return nil
}

// finalLanes reads the marks. If they are not those that check wants, a COMMIT whose
// answer was lost may still be under way, or wait on a node for Citus to finish it: it
// reads them once more when no transaction has them locked.
func finalLanes(ctx context.Context, conn *pgx.Conn, j *Job, check func([]Lane) error) ([]Lane, error) {
	lanes, err := Lanes(ctx, conn, j)
	if err != nil || check(lanes) == nil {
		return lanes, err
	}
	if err := Settle(ctx, conn, j); err != nil {
		return nil, err
	}
	if lanes, err = Lanes(ctx, conn, j); err != nil {
		return nil, err
	}
	return lanes, check(lanes)
}

// Settle waits until no transaction has a mark of an unfinished job locked: one whose
// client was killed at its COMMIT may still be moving it.
func Settle(ctx context.Context, conn *pgx.Conn, j *Job) error {
	if _, err := conn.Exec(ctx, "UPDATE "+j.Progress+" SET advanced = advanced"); err != nil {
		return fmt.Errorf("wait for the marks: %w", err)
	}
	return nil
}

// DoneStatements is how many statements DoneSQL returns.
const DoneStatements = 3

// DoneSQL returns the statements that enter j as a complete job, in the
// transaction that stores all of it. The last one inserts one row. They fail with an
// error that IsDone if that was done before, and wait for another transaction that is
// about to: so rows are stored once, whoever tries again after a COMMIT without an
// answer. A job of the name that is unfinished, or that j does not replace, stays, and
// makes them fail with an error that IsTaken.
func DoneSQL(t Target, j *Job, rows, bytes int64) (string, error) {
	fingerprint, err := json.Marshal(j.Fingerprint)
	if err != nil {
		return "", fmt.Errorf("the input's fingerprint: %w", err)
	}
	jobs, name := t.Jobs(), literal(t.Table.Name)
	replaced := []string{"NULL"} // a list must not be empty
	for _, id := range j.Replaces {
		replaced = append(replaced, literal(id))
	}
	return durableSQL + fmt.Sprintf(`; DELETE FROM %s WHERE id IN (%s) AND finished IS NOT NULL;
		INSERT INTO %s (id, target, target_oid, file_node, kind, name, fingerprint, finished, rows, bytes)
		VALUES (%s, %s, %d, %d, %s, %s, %s, now(), %d, %d)`,
		jobs, strings.Join(replaced, ", "),
		jobs, literal(j.ID), name, t.Table.OID, t.Table.RelFileNode, literal(string(t.Distribution.Kind)), literal(j.Name),
		literal(string(fingerprint)), rows, bytes), nil
}

// SettleDone waits until no transaction is about to enter j as DoneSQL does, and
// reports whether one has.
func SettleDone(ctx context.Context, conn *pgx.Conn, t Target, j *Job) (done bool, err error) {
	sql, err := DoneSQL(t, j, 0, 0)
	if err != nil {
		return false, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("look for the job: %w", err)
	}
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	if IsDone(err) {
		done, err = true, nil
	}
	if err = errors.Join(err, tx.Rollback(ctx)); err != nil {
		return false, fmt.Errorf("look for the job: %w", err)
	}
	return done, nil
}

// IsDone reports whether err is that of DoneSQL for a job that is entered already.
func IsDone(err error) bool { return violates(err, "_pkey") }

// IsTaken reports whether err is that of Create or DoneSQL for a name that a job has
// which is not to be replaced. It was made since the jobs were looked at.
func IsTaken(err error) bool { return violates(err, "_target_name_key") }

// violates reports whether err is of the constraint of the table of jobs that the
// server has given a name of that end. A shard's has its number behind it.
func violates(err error, constraint string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "23505" && strings.HasPrefix(pgErr.ConstraintName, jobsTable+constraint)
}

// CorrectDoneSQL returns the statement that corrects what DoneSQL entered. path is
// where the rejected records are, "" if there are none.
func CorrectDoneSQL(t Target, j *Job, rows, rejected int64, m Merged, path string) string {
	return fmt.Sprintf("UPDATE %s SET rows = %d, rejected = %d, updated = %d, skipped = %d, rejects = nullif(%s, '') WHERE id = %s",
		t.Jobs(), rows, rejected, m.Updated, m.Skipped, literal(path), literal(j.ID))
}

// SetRejects notes where the job's rejected records are kept.
func SetRejects(ctx context.Context, conn *pgx.Conn, t Target, j *Job, path string) error {
	tag, err := conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET rejects = $2::text WHERE id = $1::text`, j.ID, path)
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("job %s has been forgotten meanwhile", j.ID)
	}
	if err != nil {
		return fmt.Errorf("note where the rejected records are: %w", err)
	}
	j.Rejects = path
	return nil
}

// SetFileNode notes j.FileNode: the file in which the rows of the job are now.
func SetFileNode(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	if _, err := conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET file_node = $2::oid WHERE id = $1::text`, j.ID, j.FileNode); err != nil {
		return fmt.Errorf("note the table's file: %w", err)
	}
	return nil
}

// ErrWorking reports that a process is working on a job.
var ErrWorking = errors.New("a process is loading it")

// Forget removes a job and its progress. What it stored stays. If a process is
// working on the job the error is ErrWorking, and none begins to meanwhile.
func Forget(ctx context.Context, conn *pgx.Conn, e *Entry) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, key := range e.lockKeys() {
			var locked bool
			if err := tx.QueryRow(ctx, tryLockSQL(key)).Scan(&locked); err != nil {
				return err
			}
			if !locked {
				return ErrWorking
			}
		}
		if err := lock(ctx, tx); err != nil {
			return err
		}
		return forget(ctx, tx, e.Target, "id = $1::text", e.ID)
	})
	if err != nil {
		return fmt.Errorf("forget job %s: %w", e.ID, err)
	}
	return nil
}

// ForgetTable removes all jobs of the target, in a transaction that empties it.
func ForgetTable(ctx context.Context, tx pgx.Tx, t Target) error {
	if err := lock(ctx, tx); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1::text) IS NOT NULL`, t.Jobs()).Scan(&there); err != nil || !there {
		return err
	}
	return forget(ctx, tx, t, "target_oid = $2::oid OR target = $1::text", t.Table.Name, t.Table.OID)
}

// forget removes the jobs that where names.
func forget(ctx context.Context, tx pgx.Tx, t Target, where string, args ...any) error {
	rows, err := tx.Query(ctx, `DELETE FROM `+t.Jobs()+` WHERE `+where+` RETURNING coalesce(progress, '')`, args...)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range tables {
		if name == "" {
			continue
		}
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+name); err != nil {
			return err
		}
	}
	return nil
}
