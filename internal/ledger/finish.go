package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// Complete ends a job, in the caller's transaction: its progress table goes, and
// its row becomes the summary. check says whether the marks, as the coordinator
// reads them, are those of a complete job; its error is returned as it is. bytes
// is the length of the input.
func Complete(ctx context.Context, conn *pgx.Conn, t Target, j *Job, bytes int64, check func([]Lane) error) error {
	if _, err := conn.Exec(ctx, citus.FewConnectionsSQL); err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	lanes, err := finalLanes(ctx, conn, t, j, check)
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
	j.Filtered = merged.Filtered
	if err := lock(ctx, conn, t); err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	if err := guard(ctx, conn, guardJobsSQL(t)+"; DROP TABLE "+j.Progress); err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	now, err := clockNow(ctx, conn)
	if err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	record, err := j.record()
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET progress = NULL, finished = $5::pg_catalog.timestamptz, rows = $2::pg_catalog.int8, rejected = $3::pg_catalog.int8,
		bytes = $4::pg_catalog.int8, updated = $6::pg_catalog.int8, skipped = $7::pg_catalog.int8, fingerprint = $8::pg_catalog.text::pg_catalog.jsonb WHERE id = $1::pg_catalog.text`,
		j.ID, rows, rejected, bytes, now, merged.Updated, merged.Skipped, record)
	if err != nil {
		return fmt.Errorf("end the job: %w", err)
	}
	return nil
}

// clockNow returns what the server's clock says: the transaction may be as old as the job. Where our tables
// are distributed themselves an UPDATE cannot call clock_timestamp.
func clockNow(ctx context.Context, conn *pgx.Conn) (now time.Time, err error) {
	err = conn.QueryRow(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&now)
	return now, err
}

// finalLanes reads the marks. If they are not those that check wants, a COMMIT whose
// answer was lost may still be under way, or wait on a node for Citus to finish it: it
// reads them once more when no transaction has them locked.
func finalLanes(ctx context.Context, conn *pgx.Conn, t Target, j *Job, check func([]Lane) error) ([]Lane, error) {
	lanes, err := Lanes(ctx, conn, t, j)
	if err != nil || check(lanes) == nil {
		return lanes, err
	}
	if err := Settle(ctx, conn, t, j); err != nil {
		return nil, err
	}
	if lanes, err = Lanes(ctx, conn, t, j); err != nil {
		return nil, err
	}
	return lanes, check(lanes)
}

// ErrLocked says that a transaction has had marks locked for long.
var ErrLocked = errors.New("another transaction has marks of the load locked")

// Settle waits until no transaction has a mark of an unfinished job locked: one whose
// client was killed at its COMMIT may still be moving it. After a while its error is
// ErrLocked: the transaction may be prepared, and nobody there to finish it.
func Settle(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	err := guarded(ctx, conn, guardProgress(t, writing, j), "ROLLBACK", func() error {
		return server.Exec(ctx, conn.PgConn(), fmt.Sprintf("SET LOCAL statement_timeout = %d; UPDATE %s SET advanced = advanced WHERE %s; SET LOCAL statement_timeout = 0",
			fault.MarksLimit.Milliseconds(), j.Progress, j.ofRunSQL()))
	})
	if fault.Is(err, fault.Canceled) {
		err = fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err != nil {
		return fmt.Errorf("wait for the marks: %w", err)
	}
	return nil
}

// DoneStatements is how many statements DoneSQL returns.
const DoneStatements = 3 + guardStatements

// DoneSQL returns the statements that enter j, in the transaction that stores all of
// it: as a complete job, or, where nodes of a cluster commit it one after the other, as
// one that is Storing, which FinishSQL makes complete. The last one inserts one row. They fail with an
// error that IsDone if that was done before, and wait for another transaction that is
// about to: so rows are stored once, whoever tries again after a COMMIT without an
// answer. A job of the name that is unfinished, or that j does not replace, stays, and
// makes them fail with an error that IsTaken.
func DoneSQL(t Target, j *Job, rows, bytes int64) (string, error) {
	record, err := j.record()
	if err != nil {
		return "", err
	}
	finished := "NULL"
	if t.OnePhase() {
		finished = "pg_catalog.now()"
	}
	jobs, name := t.Jobs(), server.Literal(t.Table.Name)
	replaced := []string{"NULL"} // a list must not be empty
	for _, id := range j.Replaces {
		replaced = append(replaced, server.Literal(id))
	}
	return guardJobsSQL(t) + "; " + durableSQL + fmt.Sprintf(`; DELETE FROM %s WHERE id IN (%s) AND finished IS NOT NULL;
		INSERT INTO %s (id, target, target_oid, file_node, kind, name, fingerprint, finished, rows, bytes)
		VALUES (%s, %s, %d, %d, %s, %s, %s, %s, %d, %d)`,
		jobs, strings.Join(replaced, ", "),
		jobs, server.Literal(j.ID), name, t.Table.OID, t.Table.RelFileNode, server.Literal(string(t.Distribution.Kind)), server.Literal(j.Name),
		server.Literal(record), finished, rows, bytes), nil
}

// FinishSQL returns the statement that makes a job complete which is Storing: it changes
// one row. If a crash of the server forgets it, the job is looked at once more; so its
// COMMIT need not wait for the disk. Where the table of jobs is one of Citus an UPDATE may
// call now(), but not within a CASE or coalesce: a job that is complete already gets a later
// time.
func FinishSQL(t Target, j *Job) string {
	return guardJobsSQL(t) + fmt.Sprintf("; SET LOCAL synchronous_commit = off; UPDATE %s SET finished = pg_catalog.now() WHERE id = %s", t.Jobs(), server.Literal(j.ID))
}

// SettleDone waits until no transaction is about to enter j as DoneSQL does, and
// reports whether one has.
func SettleDone(ctx context.Context, conn *pgx.Conn, t Target, j *Job) (done bool, err error) {
	sql, err := DoneSQL(t, j, 0, 0)
	if err != nil {
		return false, err
	}
	tried := errors.New("only tried") // and undone
	err = server.Tx(ctx, conn, server.Write, func() error {
		if err := server.Exec(ctx, conn.PgConn(), sql); err != nil {
			return err
		}
		return tried
	})
	if IsDone(err) {
		return true, nil
	}
	if !errors.Is(err, tried) {
		return false, fmt.Errorf("look for the job: %w", err)
	}
	return false, nil
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
	return ok && pgErr.Code == fault.UniqueViolation && strings.HasPrefix(pgErr.ConstraintName, jobsTable+constraint)
}

// CorrectDoneSQL returns the statement that corrects what DoneSQL entered. path is
// where the rejected records are, "" if there are none.
func CorrectDoneSQL(t Target, j *Job, rows, rejected int64, m Merged, path string) string {
	filtered := ""
	if m.Filtered > 0 { // see jobRecord
		filtered = fmt.Sprintf(`, fingerprint = fingerprint OPERATOR(pg_catalog.||) '{"filtered": %d}'::pg_catalog.jsonb`, m.Filtered)
	}
	return fmt.Sprintf("UPDATE %s SET rows = %d, rejected = %d, updated = %d, skipped = %d, rejects = nullif(%s, '')%s WHERE id = %s",
		t.Jobs(), rows, rejected, m.Updated, m.Skipped, server.Literal(path), filtered, server.Literal(j.ID))
}

// SetRejects notes where the job's rejected records are kept.
func SetRejects(ctx context.Context, conn *pgx.Conn, t Target, j *Job, path string) error {
	err := guarded(ctx, conn, guardJobs(t, writing), "COMMIT", func() error {
		tag, err := conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET rejects = $2::pg_catalog.text WHERE id = $1::pg_catalog.text`, j.ID, path)
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("job %s has been forgotten meanwhile", j.ID)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("note where the rejected records are: %w", err)
	}
	j.Rejects = path
	return nil
}

// SetFingerprint notes j.Fingerprint: what the input of the job is now.
func SetFingerprint(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	record, err := j.record()
	if err != nil {
		return err
	}
	err = guarded(ctx, conn, guardJobs(t, writing), "COMMIT", func() error {
		_, err := conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET fingerprint = $2::pg_catalog.text::pg_catalog.jsonb WHERE id = $1::pg_catalog.text`, j.ID, record)
		return err
	})
	if err != nil {
		return fmt.Errorf("note what the input is: %w", err)
	}
	return nil
}

// Rename gives a job another name.
func Rename(ctx context.Context, conn *pgx.Conn, t Target, j *Job, name string) error {
	err := guarded(ctx, conn, guardJobs(t, writing), "COMMIT", func() error {
		_, err := conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET name = $2::pg_catalog.text WHERE id = $1::pg_catalog.text`, j.ID, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("note the input's name: %w", err)
	}
	j.Name = name
	return nil
}
