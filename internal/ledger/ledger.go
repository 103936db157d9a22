// Package ledger keeps, in the database and beside the data, how far each load has
// come: so that a load that was stopped in any way goes on exactly where it
// stopped.
//
// A job is one input being loaded into one table. While it is unfinished it has a
// progress table in the target's schema, with a row for each lane: its mark. A
// batch moves its lane's mark in its own transaction, first of all and by
// comparison, so that rows and mark are stored together or not at all, whoever
// tries and how often. On Citus the progress table is distributed and colocated
// with the target; a lane's row lies on the node that holds the lane's shard, and
// moves with it. When the job is complete the table is dropped, and a row of the
// small table shardload_jobs keeps the summary.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
)

// jobsTable is the table, in the target's schema, that has a row for each job.
const jobsTable = "shardload_jobs"

// A Target is the table that a job loads.
type Target struct {
	Table        *catalog.Table
	Distribution *citus.Distribution // of Kind Local without Citus
}

// Jobs returns the name of the target's table of jobs, quoted.
func (t Target) Jobs() string { return pgx.Identifier{t.Table.Schema, jobsTable}.Sanitize() }

// Sharded reports whether lanes are shards, and the progress table colocated.
func (t Target) Sharded() bool {
	return t.Distribution.Kind == citus.Hash || t.Distribution.Kind == citus.Single
}

// A Job is one input being loaded into one table, until it is complete.
type Job struct {
	ID          string // random
	Name        string // by which a later run finds it, with the table's name
	Fingerprint Fingerprint
	TableOID    uint32
	FileNode    uint32 // of the table that has the job's rows; TRUNCATE changes it
	Kind        citus.Kind
	Progress    string // the progress table, quoted; "" if the job has none
	Rejects     string // path of its rejected records, "" if there are none so far
	Begun       time.Time
	Finished    time.Time // zero if it is unfinished
	// Of a finished job. An unfinished one's are the sums of its lanes'.
	Rows, Rejected, Bytes int64
	Merged
	// Replaces has the IDs of the jobs that go when this one is made. Those that were
	// not seen before stay, and keep it from being made: they may have stored the input.
	Replaces []string
}

// Merged counts, among the rows that are stored, those that met a row of the same
// key: which took its place, or were left out.
type Merged struct{ Updated, Skipped int64 }

// Add adds what other counts.
func (m *Merged) Add(other Merged) {
	m.Updated += other.Updated
	m.Skipped += other.Skipped
}

// Added returns how many rows a complete job has added to the table.
func (j *Job) Added() int64 { return j.Rows - j.Updated - j.Skipped }

// Complete reports whether everything of the job is stored.
func (j *Job) Complete() bool { return !j.Finished.IsZero() }

// A Fingerprint tells an input from another one, and one way to cut it into
// chunks from another.
type Fingerprint struct {
	Size int64  `json:"size"` // stored bytes or blocks, -1 if unknown
	Head string `json:"head"` // hash of the first bytes
	Tail string `json:"tail"` // hash of the last ones, "" if unknown
	Form string `json:"form"` // the options that say how the input is cut and read
	// Unit is what Size is counted in, where marks can be compared with it.
	Unit Unit `json:"unit,omitempty"`
	// Lanes says what decides a row's lane, "" if its shard does.
	Lanes string `json:"lanes"`
}

// A Unit is what the size of an input is counted in.
type Unit string

// The units.
const (
	Bytes  Unit = "bytes"  // the offsets of Places
	Blocks Unit = "blocks" // each is a chunk
)

// Changed says in what way now is not f, "" if it is.
func (f Fingerprint) Changed(now Fingerprint) string {
	switch {
	case f.Form != now.Form:
		return fmt.Sprintf("it was read with %s, and is now with %s", f.Form, now.Form)
	case f.Lanes != now.Lanes:
		return fmt.Sprintf("its rows were shared out by %s, and are now by %s", f.Lanes, now.Lanes)
	}
	return f.Content(now)
}

// Content says in what way now is another input than f, "" if it is the same as far
// as can be told.
func (f Fingerprint) Content(now Fingerprint) string {
	switch {
	case f.Size != now.Size:
		return fmt.Sprintf("it had %d bytes, and has %d now", f.Size, now.Size)
	case f.Head != now.Head:
		return "its beginning is another"
	case f.Tail != now.Tail:
		return "its end is another"
	}
	return ""
}

// Find returns the jobs of that name: the one that loads the target first, and then
// the one that was to load another table of the target's name.
func Find(ctx context.Context, conn *pgx.Conn, t Target, name string) ([]*Job, error) {
	// A table that was renamed is still the same.
	rows, err := conn.Query(ctx, `SELECT `+jobColumns+` FROM `+t.Jobs()+` WHERE name = $1::text AND (target_oid = $2::oid OR target = $3::text)
		ORDER BY target_oid = $2::oid DESC`, name, t.Table.OID, t.Table.Name)
	var jobs []*Job
	if err == nil {
		jobs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Job, error) { return scanJob(row) })
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42P01" {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err, t, "look for an earlier run")
	}
	return jobs, nil
}

const jobColumns = `id, name, fingerprint::text, target_oid, file_node, kind, coalesce(progress, ''), coalesce(rejects, ''),
	begun, finished, rows, rejected, bytes, updated, skipped`

// scanJob reads the jobColumns, and more columns behind them.
func scanJob(row pgx.CollectableRow, more ...any) (*Job, error) {
	var j Job
	var kind, fingerprint string
	var finished *time.Time
	err := row.Scan(append([]any{&j.ID, &j.Name, &fingerprint, &j.TableOID, &j.FileNode, &kind, &j.Progress, &j.Rejects,
		&j.Begun, &finished, &j.Rows, &j.Rejected, &j.Bytes, &j.Updated, &j.Skipped}, more...)...)
	if err != nil {
		return nil, err
	}
	j.Kind = citus.Kind(kind)
	if finished != nil {
		j.Finished = *finished
	}
	if err := json.Unmarshal([]byte(fingerprint), &j.Fingerprint); err != nil {
		return nil, fmt.Errorf("the input's fingerprint: %w", err)
	}
	return &j, nil
}

// A DeniedError reports that the role may not keep progress.
type DeniedError struct {
	What    string
	Message string // the server's
	Table   string // shardload_jobs, quoted
}

func (e *DeniedError) Error() string {
	return fmt.Sprintf("%s: %s; progress is kept beside the table: the role needs CREATE on its schema, and all rights on %s where another role has made it. "+
		"--no-resume does without: a load that stops must then begin anew", e.What, e.Message, e.Table)
}

// explain returns err with what was tried.
func explain(err error, t Target, what string) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42501" {
		return &DeniedError{What: what, Message: pgErr.Message, Table: t.Jobs()}
	}
	return fmt.Errorf("%s: %w", what, err)
}
