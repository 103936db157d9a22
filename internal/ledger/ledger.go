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
//
// The runs of a set share one such table, which is made with the first and dropped with the last
// that is open: a hundred processes do not make a hundred of them, each with all shards.
package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// jobsTable is the table, in the target's schema, that has a row for each job.
const jobsTable = "shardload_jobs"

// A Target is the table that a job loads.
type Target struct {
	Table        *catalog.Table
	Distribution *citus.Distribution // of Kind Local without Citus
	Waiting      server.Waiting      // for other processes that make or drop tables of ours
}

// Jobs returns the name of the target's table of jobs, quoted.
func (t Target) Jobs() string { return server.Shown(t.Table.Schema, jobsTable) }

// Sharded reports whether lanes are shards, and the progress table colocated.
func (t Target) Sharded() bool {
	return t.Distribution.Kind == citus.Hash || t.Distribution.Kind == citus.Single
}

// OnePhase reports whether one server commits what is stored in the target, and its
// answer to COMMIT is the end of it.
func (t Target) OnePhase() bool {
	return t.Distribution == nil || t.Distribution.Kind == citus.Local || t.Distribution.Kind == citus.Managed
}

// A Job is one input being loaded into one table, until it is complete.
type Job struct {
	ID          string // made here: see NewID and IDOf
	Name        string // by which a later run finds it, with the table's name
	Fingerprint Fingerprint
	TableOID    uint32
	// Other is the table of that OID where it is not the target, but one that has gone by the
	// target's name: then the job is none of the target's.
	Other    *Renamed
	FileNode uint32 // of the table that has the job's rows; TRUNCATE changes it
	Files    Files  // that have its rows, as they were before the first one; nil if not known
	Kind     citus.Kind
	Progress string // the progress table, quoted, as its schema and ID give it; "" if the job has none
	Rejects  string // path of its rejected records, "" if there are none so far
	Begun    time.Time
	Finished time.Time // zero if it is unfinished
	Totals             // of a finished job; an unfinished one's are the sums of its lanes'
	InSet
	// Replaces has the IDs of the jobs that go when this one is made. Those that were
	// not seen before stay, and keep it from being made: they may have stored the input.
	Replaces []string
}

// Totals say what a job has stored, and of how much input.
type Totals struct {
	Rows, Rejected, Bytes int64
	Merged
}

// Merged counts what became of records otherwise than that they were added as rows or
// rejected.
type Merged struct {
	// Among the rows that are stored, those that met a row of the same key: which took
	// its place, or were left out.
	Updated, Skipped int64
	// Filtered counts the records that the load's condition left out. They are no rows,
	// and in no other count.
	Filtered int64
}

// Add adds what other counts.
func (m *Merged) Add(other Merged) {
	m.Updated += other.Updated
	m.Skipped += other.Skipped
	m.Filtered += other.Filtered
}

// Added returns how many rows a complete job has added to the table.
func (j *Job) Added() int64 { return j.Rows - j.Updated - j.Skipped }

// Complete reports whether everything of the job is stored.
func (j *Job) Complete() bool { return !j.Finished.IsZero() }

// Storing reports whether all of the job was stored in one transaction of a cluster,
// and nobody has seen since that all nodes have committed it.
func (j *Job) Storing() bool { return !j.Complete() && j.Progress == "" && j.Set == nil }

// A Fingerprint tells an input from another one, and one way to cut it into
// chunks from another.
type Fingerprint struct {
	Size  int64  `json:"size"`  // stored bytes or blocks, -1 if unknown
	Head  string `json:"head"`  // hash of the first bytes
	Tail  string `json:"tail"`  // hash of the last ones, "" if unknown
	Reads Form   `json:"reads"` // how the input is cut and read
	// Unit is what Size is counted in, where marks can be compared with it.
	Unit Unit `json:"unit,omitempty"`
	// Shares says what decides a row's lane.
	Shares Shares `json:"shares"`
	// Sum is a hash of all of the input, 0 if it is not known: that of the Place at its
	// end. An unfinished job has none.
	Sum uint64 `json:"sum,omitempty"`
	// Lines are hashes of a few of its lines, by which an edited input is told from
	// another one. Jobs of earlier versions have none.
	Lines []uint64 `json:"lines,omitempty"`
	// From is where in the input the job begins, nil for its beginning: an earlier job
	// has stored what comes before it.
	From *Place `json:"from,omitempty"`
	// Replace is the load that had emptied the table for this input and others, "" for
	// none. It is the same for all jobs of that load.
	Replace string `json:"replace,omitempty"`
	Hints
}

// Hints are what a file system, or a store, says of a file. They are zero where nothing is known.
type Hints struct {
	// Modified is when the file was changed last, in nanoseconds since 1970. It is zero
	// where a later change might have the same time.
	Modified int64  `json:"modified,omitempty"`
	Device   uint64 `json:"device,omitempty"`
	Inode    uint64 `json:"inode,omitempty"`
	// Tag is what a store calls this content of an object. Inode is then made of its name:
	// a copy has the same Tag.
	Tag string `json:"tag,omitempty"`
}

// Untouched reports whether a file that had these hints is certainly the same, and as
// it was, now that it has those.
func (h Hints) Untouched(now Hints) bool {
	known := h.Modified != 0 || h.Tag != ""
	return known && h.Modified == now.Modified && h.Inode == now.Inode && h.Tag == now.Tag
}

// PartTag returns what tells of a part of a set, a file, that it was not changed: "" where its hints do not.
func (h Hints) PartTag() string {
	if h.Modified == 0 || h.Tag != "" {
		return h.Tag
	}
	return strconv.FormatInt(h.Modified, 36)
}

// String returns what tells the input from others, without what is only a hint.
func (f Fingerprint) String() string {
	return fmt.Sprintf("{%d %s %s %s %s %s}", f.Size, f.Head, f.Tail, f.Reads, f.Unit, f.Shares)
}

// Version is the form in which jobs are kept. Jobs that older versions began have none,
// or a smaller one, and go on; whoever changes what a mark or a fingerprint means counts
// it up.
const Version = 5

// A VersionError says that a later version of the program keeps the job, in a form that
// this one does not know.
type VersionError struct {
	Job     string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("job %s is kept in form %d, which a later version of shardload writes, and this one knows forms up to %d: go on with that version", e.Job, e.Version, Version)
}

// A Unit is what the size of an input is counted in.
type Unit string

// The units.
const (
	Bytes  Unit = "bytes"  // the offsets of Places
	Blocks Unit = "blocks" // each is a chunk
	Chunks Unit = "chunks" // bytes, as if all chunks had the same number: it is not cut by them
)

// ByNumber reports whether marks are compared by the numbers of chunks alone: there are no
// bytes that could be read again for a proof.
func (u Unit) ByNumber() bool { return u == Blocks || u == Chunks }

// Changed says in what way now is not f, "" if it is.
func (f Fingerprint) Changed(now Fingerprint) string {
	if how := f.Reading(now); how != "" {
		return how
	}
	return f.Content(now)
}

// Reading says in what way an input is read otherwise now than it was, "" if it is not.
func (f Fingerprint) Reading(now Fingerprint) string {
	switch {
	case !f.Reads.Same(now.Reads):
		return fmt.Sprintf("it was read with %s, and is now with %s", f.Reads, now.Reads)
	case f.Reads.Changed(now.Reads) != "":
		return f.Reads.Changed(now.Reads)
	case !f.Shares.Same(now.Shares):
		return fmt.Sprintf("its rows were shared out by %s, and are now by %s", f.Shares, now.Shares)
	}
	return ""
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
// the one that was to load a table of the target's name which is gone.
func Find(ctx context.Context, conn *pgx.Conn, t Target, name string) ([]*Job, error) {
	// A table that was renamed is still the same.
	jobs, err := find(ctx, conn, t, "(target_oid = $1::pg_catalog.oid OR target = $2::pg_catalog.text) AND name = $3::pg_catalog.text", name)
	return withoutOthers(jobs), err
}

// FindAlike is Find for several names, and for the content of an input under whatever
// name if it has a size. Jobs of other tables that have gone by the target's name are
// among them. elsewhere are the tables of jobs in other schemas.
func FindAlike(ctx context.Context, conn *pgx.Conn, t Target, names []string, content Fingerprint) (jobs []*Job, elsewhere Elsewhere, err error) {
	first := func(batch *pgx.Batch) { elsewhere.queue(batch, t) }
	jobs, there, err := findAfter(ctx, conn, t, first, `(target_oid = $1::pg_catalog.oid OR target = $2::pg_catalog.text)
		AND (name = ANY ($3::pg_catalog.text[]) OR $4::pg_catalog.int8 > 0 AND fingerprint->>'size' = $4::pg_catalog.int8::pg_catalog.text
			AND fingerprint->>'head' = $5::pg_catalog.text AND fingerprint->>'tail' = $6::pg_catalog.text)`, names, content.Size, content.Head, content.Tail)
	if err == nil && !there { // what was to come first may not have been asked
		elsewhere, err = findElsewhere(ctx, conn, t)
	}
	return jobs, elsewhere, err
}

// OfTable returns all jobs of the target, or of a table of its name which is gone.
func OfTable(ctx context.Context, conn *pgx.Conn, t Target) ([]*Job, error) {
	jobs, err := find(ctx, conn, t, "(target_oid = $1::pg_catalog.oid OR target = $2::pg_catalog.text)")
	return withoutOthers(jobs), err
}

// find returns the jobs that where names.
func find(ctx context.Context, conn *pgx.Conn, t Target, where string, args ...any) ([]*Job, error) {
	jobs, _, err := findAfter(ctx, conn, t, func(*pgx.Batch) {}, where, args...)
	return jobs, err
}

// findAfter is find, and asks first something else. It reports whether the table of jobs is
// there.
func findAfter(ctx context.Context, conn *pgx.Conn, t Target, first func(*pgx.Batch), where string, args ...any) (jobs []*Job, there bool, err error) {
	batch := &pgx.Batch{} // one round trip
	for _, sql := range server.Statements(conn.PgConn(), server.Write) {
		batch.Queue(sql)
	}
	first(batch)
	for _, sql := range guardJobs(t, reading) {
		batch.Queue(sql)
	}
	batch.Queue(`SELECT `+jobColumns+` FROM `+t.Jobs()+` WHERE `+where+`
		ORDER BY target_oid = $1::pg_catalog.oid DESC`, append([]any{t.Table.OID, t.Table.Name}, args...)...).Query(func(rows pgx.Rows) (err error) {
		jobs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Job, error) { return scanJob(row, t.Table.Schema) })
		return err
	})
	batch.Queue("ROLLBACK")
	err = conn.SendBatch(ctx, batch).Close()
	if err != nil && !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' {
		if rollback := server.Exec(ctx, conn.PgConn(), "ROLLBACK"); rollback != nil {
			return nil, false, errors.Join(err, rollback)
		}
	}
	if undefined(err) {
		return nil, false, nil
	}
	if err == nil {
		err = others(ctx, conn, t, jobs)
	}
	if err != nil {
		return nil, false, explain(err, t, "look for an earlier run")
	}
	return jobs, true, nil
}

const jobColumns = `id, name, fingerprint::pg_catalog.text, target_oid, file_node, kind, progress IS NOT NULL, coalesce(rejects, ''),
	begun, finished, rows, rejected, bytes, updated, skipped`

// scanJob reads the jobColumns of a table of jobs in that schema.
func scanJob(row pgx.CollectableRow, schema string) (*Job, error) {
	var j Job
	var kind, fingerprint string
	var hasProgress bool
	var finished *time.Time
	err := row.Scan(&j.ID, &j.Name, &fingerprint, &j.TableOID, &j.FileNode, &kind, &hasProgress, &j.Rejects,
		&j.Begun, &finished, &j.Rows, &j.Rejected, &j.Bytes, &j.Updated, &j.Skipped)
	if err != nil {
		return nil, err
	}
	j.Kind = citus.Kind(kind)
	if finished != nil {
		j.Finished = *finished
	}
	return &j, j.understand(schema, fingerprint, hasProgress)
}

// understand fills in what follows from what is kept.
func (j *Job) understand(schema, fingerprint string, hasProgress bool) error {
	record, err := readRecord(j.ID, fingerprint)
	j.Fingerprint, j.Files, j.Filtered, j.InSet = record.Fingerprint, record.Files, record.Filtered, record.InSet
	if !hasProgress {
		return err
	}
	// Of a later version nothing else is known.
	name, invalid := j.progressTable(schema)
	j.Progress = name
	return cmp.Or(err, invalid)
}

// A DeniedError reports that the role may not keep progress.
type DeniedError struct {
	What    string
	Message string // the server's
	Table   string // shardload_jobs, quoted
}

func (e *DeniedError) Error() string {
	return fmt.Sprintf("%s: %s; progress is kept beside the table: the role needs CREATE on its schema and, where %s is there and belongs to the table's owner, "+
		"SELECT, INSERT, UPDATE and DELETE on it", e.What, e.Message, e.Table)
}

// explain returns err with what was tried.
func explain(err error, t Target, what string) error {
	if untrusted := Untrusted(err); untrusted != nil {
		return fmt.Errorf("%s: %w", what, untrusted)
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == fault.InsufficientPrivilege {
		return &DeniedError{What: what, Message: pgErr.Message, Table: t.Jobs()}
	}
	return fmt.Errorf("%s: %w", what, err)
}
