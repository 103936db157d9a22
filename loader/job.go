package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/ledger"
)

// A job is what a load knows of its job in the ledger. A nil *job keeps none.
type job struct {
	*ledger.Job
	target ledger.Target
	// lanes has the rows of the progress table, by lane, as they were when the load
	// began. It is empty if everything is stored in one transaction.
	lanes []ledger.Lane
	// fresh says that it is not in the ledger yet. samples are distribution values of
	// the input, as text.
	fresh   bool
	samples []string
	// repeats says that the load can begin anew from the marks: its input can be
	// opened again.
	repeats bool
}

// whole reports whether the job is stored in one transaction.
func (j *job) whole() bool { return j != nil && j.Progress == "" }

// before returns how many rows earlier runs have stored, and which of them met one
// of the same key.
func (j *job) before() (rows int64, merged ledger.Merged) {
	if j == nil {
		return 0, merged
	}
	for _, l := range j.lanes {
		rows += l.Rows
		merged.Add(l.Merged)
	}
	return rows, merged
}

// records returns how many records are stored or rejected by lanes.
func records(lanes []ledger.Lane) (n int64) {
	for _, l := range lanes {
		n += l.Rows + l.Rejected
	}
	return n
}

// behind returns the lane whose mark is furthest behind.
func (j *job) behind() ledger.Lane {
	return slices.MinFunc(j.lanes, func(a, b ledger.Lane) int {
		return cmp.Or(cmp.Compare(a.Mark.Chunk, b.Mark.Chunk), cmp.Compare(a.Number, b.Number))
	})
}

// markSQL returns the statements that mark b as stored, and how many they are.
// table is the progress table as b's server has it.
func (j *job) markSQL(table string, b *batch) (sql string, statements int, err error) {
	switch {
	case j == nil:
		return "", 0, nil
	case j.whole():
		sql, err = ledger.DoneSQL(j.target, j.Job, b.rows-b.aside.rows, b.place.Offset)
		return "; " + sql, ledger.DoneStatements, err
	}
	step := ledger.Step{From: b.from, To: b.to, Place: b.place, Rows: b.rows - b.aside.rows, Rejected: b.aside.rows}
	return "; " + ledger.UpdateSQL(table, j.lanes[b.lane], step), 1, nil
}

// A CompleteError reports that all of an input was loaded by an earlier run.
type CompleteError struct {
	Job      string
	Rows     int64
	When     string
	Rejected int64
	Rejects  string // the file of rejected records, "" if there are none
	// Rows that met one of the same key, as in Result.
	Updated, Skipped int64
}

func (e *CompleteError) Error() string {
	rows := plural(e.Rows, "row")
	if e.Updated > 0 {
		rows += fmt.Sprintf(", %d of them updated", e.Updated)
	}
	if e.Skipped > 0 {
		rows += fmt.Sprintf(", %d of them skipped", e.Skipped)
	}
	if e.Rejected > 0 {
		rows += fmt.Sprintf(" and %s in %s", plural(e.Rejected, "rejected record"), e.Rejects)
	}
	return fmt.Sprintf("%s was loaded completely on %s, %s; to load it once more name another --job", e.Job, e.When, rows)
}

// A JobError reports why the job cannot go on.
type JobError struct {
	Job     string
	Problem string
	Do      string // what to do next
}

func (e *JobError) Error() string { return fmt.Sprintf("%s: %s; %s", e.Job, e.Problem, e.Do) }

const anew = "empty the table and load it anew with --replace"

// errInPieces says that the input is to be stored in several transactions: an earlier
// run has begun to, or its rows do not fit into the memory at once.
var errInPieces = errors.New("the input is to be stored in several transactions")

// wholeLimit is the length in bytes of a file that is stored in one transaction.
const wholeLimit = 16 << 20

// jobName returns by what name later runs find the job of in.
func (l *Loader) jobName(in Input) (string, error) {
	if name := cmp.Or(l.cfg.Job, in.job); name != "" || in.path == "" {
		return cmp.Or(name, in.name), nil
	}
	return filepath.Abs(in.path)
}

// fitsWhole reports whether the load of a file of that many bytes, or -1, is to be
// one transaction: then no progress has to be kept. Rows of small numbers are ten
// times as long on their way as they are in the file.
func (l *Loader) fitsWhole(size int64) bool {
	return !l.cfg.NoResume && 0 <= size && size <= min(wholeLimit, l.cfg.Memory/16) &&
		(l.cfg.Route == RouteAuto || l.cfg.Route == RouteCoordinator)
}

// refreshFileNode reads which file the table has now. It may have been emptied since
// Open, and stays as it is behind the fence.
func (l *Loader) refreshFileNode(ctx context.Context, conn *pgx.Conn) error {
	err := conn.QueryRow(ctx, "SELECT relfilenode FROM pg_catalog.pg_class WHERE oid = $1::oid", l.table.OID).Scan(&l.table.RelFileNode)
	if errors.Is(err, pgx.ErrNoRows) { // the fence has fallen
		return &ChangedError{Table: l.table.SQL()}
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", l.table.SQL(), err)
	}
	return nil
}

// openJob finds the job of the input, or makes a new one, which enterJob enters. ld
// has its layout.
func (l *Loader) openJob(ctx context.Context, ld *load, name string, first *chunk) (j *job, err error) {
	if l.cfg.NoResume {
		return nil, nil
	}
	j = &job{target: l.target(), repeats: ld.repeats}
	print, err := ld.feed.fingerprint(first)
	if err != nil {
		return nil, err
	}
	print.Form, print.Lanes = ld.form, ld.shares
	err = l.onControl(ctx, func(conn *pgx.Conn) (err error) {
		if err := l.refreshFileNode(ctx, conn); err != nil {
			return err
		}
		found, err := ledger.Find(ctx, conn, j.target, name)
		if err != nil {
			return err
		}
		entry := &ledger.Job{ID: ledger.NewID(), Name: name, Fingerprint: print}
		for _, was := range found {
			if ld.whole && !was.Complete() {
				return errInPieces // it goes on, or its table of progress goes with it
			}
			entry.Replaces = append(entry.Replaces, was.ID)
		}
		if len(found) > 0 {
			j.Job = found[0]
			goOn, err := l.examine(ctx, conn, j, print)
			if err != nil || goOn {
				return err
			}
		}
		if ld.whole {
			entry.ID = l.wholeID(name, print)
		}
		l.newJob(ld, j, entry, first)
		return nil
	})
	if done, ok := errors.AsType[*CompleteError](err); ok && print.Size < 0 {
		return nil, ld.compareLength(ctx, done, j.Job, first)
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

// wholeID returns the name of a job that is stored in one transaction: the same one
// whenever that is tried, and by whatever address the server is reached, so that a
// later attempt knows what an earlier one has left in the file of rejected records.
func (l *Loader) wholeID(name string, print ledger.Fingerprint) string {
	return hashOf(fmt.Appendf(nil, "%q %d %d %q %v", l.cfg.Conn.Database, l.table.OID, l.table.RelFileNode, name, print))[:16]
}

// target returns the table as the ledger wants to know it.
func (l *Loader) target() ledger.Target {
	return ledger.Target{Table: l.table, Distribution: l.distribution}
}

// examine reports whether the job that was found is to go on. It returns an error
// if there is nothing to do, or if going on would lose or double rows.
func (l *Loader) examine(ctx context.Context, conn *pgx.Conn, j *job, now ledger.Fingerprint) (goOn bool, err error) {
	was := j.Job
	changed := was.Fingerprint.Changed(now)
	if was.Complete() && was.Fingerprint.Content(now) != "" {
		return false, nil // another input of the same name
	}
	has, err := l.countRows(ctx, conn, was.Added())
	switch {
	case err != nil:
		return false, err
	case was.TableOID != l.table.OID && has == 0:
		return false, nil // dropped and made anew
	case was.TableOID != l.table.OID:
		return false, &JobError{was.Name, "the table was rebuilt since this input was begun, and its rows may be there", anew + ", or drop the job with shardload forget " + was.ID}
	case was.Complete() && has < was.Added():
		return false, &JobError{was.Name, fmt.Sprintf("it was loaded completely, %s, but the table has %d now", plural(was.Added(), "row"), has), anew + ", or load it once more under another --job"}
	case was.Complete() && was.Fingerprint.Form != now.Form:
		return false, &JobError{was.Name, "it was loaded completely, and " + changed, "if it is to be loaded once more name another --job, or " + anew}
	case was.Complete():
		if err := l.checkFile(ctx, conn, j, was.Added()); err != nil {
			return false, err
		}
		return false, &CompleteError{Job: was.Name, Rows: was.Rows, When: was.Finished.Local().Format("2006-01-02 15:04"), Rejected: was.Rejected, Rejects: was.Rejects,
			Updated: was.Updated, Skipped: was.Skipped}
	case changed != "":
		return false, &JobError{was.Name, "an earlier run began to load it, and since then " + changed, "load what it was, or load this one under another --job, or " + anew}
	case was.Kind != l.distribution.Kind:
		return false, &JobError{was.Name, fmt.Sprintf("the table was %s when this input was begun and is %s now", was.Kind, l.distribution.Kind), anew}
	}
	return l.resumeJob(ctx, conn, j, has)
}

// countLimit is how many rows of a plain table are counted to see whether it still
// has what was stored.
const countLimit = 10_000_000

// countRows returns how many rows the table has, up to want, the number that is
// expected. It returns want if the role may not read the table or if that would
// take long.
func (l *Loader) countRows(ctx context.Context, conn *pgx.Conn, want int64) (n int64, err error) {
	want = max(want, 1)
	sql := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d) AS few", l.table.SQL(), min(want, countLimit))
	if want > 1 && l.server.Citus != "" {
		sql = "SELECT count(*) FROM " + l.table.SQL() // the shards count for themselves
	}
	err = conn.QueryRow(ctx, sql).Scan(&n)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42501" {
		return want, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the rows that an earlier run has stored: %w", err)
	}
	if n == countLimit {
		return want, nil
	}
	return n, nil
}

// resumeJob reads the marks of an unfinished job of a table that has that many rows,
// or at least some. It reports false if the job has lost its marks with all rows.
func (l *Loader) resumeJob(ctx context.Context, conn *pgx.Conn, j *job, has int64) (goOn bool, err error) {
	err = l.readLanes(ctx, conn, j)
	switch {
	case errors.Is(err, ledger.ErrMarksGone) && has == 0:
		return false, nil // a crash has emptied both tables, if they are unlogged
	case errors.Is(err, ledger.ErrMarksGone):
		return false, j.lanesMissing()
	case err != nil:
		return false, err
	}
	slices.SortFunc(j.lanes, func(a, b ledger.Lane) int {
		return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.Number, b.Number))
	})
	if err := j.checkLanes(); err != nil {
		return false, err
	}
	return true, l.checkStored(ctx, conn, j)
}

// readLanes reads the job's lanes. Those whose shard was split are divided.
//
// A batch that an earlier run was committing when it was killed is awaited first: its
// rejected records are in their file, and must not be taken for ones that were not
// stored.
func (l *Loader) readLanes(ctx context.Context, conn *pgx.Conn, j *job) (err error) {
	if err = ledger.Settle(ctx, conn, j.Job); err == nil {
		j.lanes, err = ledger.Lanes(ctx, conn, j.Job)
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == undefinedTable {
		return &JobError{j.Name, "an earlier run began to load it, and the table of its progress is gone", anew}
	}
	if err != nil || j.Kind != citus.Hash {
		return err
	}
	now, err := citus.Distribute(ctx, conn, l.table.OID)
	if err != nil {
		return err
	}
	if changed, err := ledger.Split(ctx, conn, j.target, j.Job, j.lanes, now.Shards); err != nil || !changed {
		return err
	}
	j.lanes, err = ledger.Lanes(ctx, conn, j.Job)
	return err
}

// newJob makes j a new job, with the lanes of ld.
func (l *Loader) newJob(ld *load, j *job, entry *ledger.Job, first *chunk) {
	j.Job, j.fresh = entry, true
	if ld.whole {
		return
	}
	j.lanes = j.lanes[:0]
	for i := range ld.lay.router.lanes {
		lane := ledger.Lane{Number: int32(i), Place: ledger.Place{Line: 1}}
		if l.distribution.Kind == citus.Hash {
			lane.Min, lane.Max = l.distribution.Shards[i].Min, l.distribution.Shards[i].Max
		}
		j.lanes = append(j.lanes, lane)
	}
	if l.distribution.Kind == citus.Hash {
		j.samples = ld.lay.values(first, ld.lay.router.keys[0], maxSamples)
	}
}

// enterJob enters a new job in the ledger. One that is stored in one transaction
// enters itself when it is complete.
func (l *Loader) enterJob(ctx context.Context, ld *load) error {
	j := ld.job
	if j == nil || !j.fresh {
		return nil
	}
	tried := false
	err := l.onControl(ctx, func(conn *pgx.Conn) error {
		if ld.whole {
			return ledger.Prepare(ctx, conn, j.target)
		}
		if tried { // the answer to the COMMIT may be all that was lost
			entered, err := j.entered(ctx, conn)
			if err != nil || entered != nil {
				return err
			}
		}
		tried = true
		return ledger.Create(ctx, conn, j.target, j.Job, j.lanes, j.samples)
	})
	j.fresh = err != nil
	return overtaken(err)
}

// entered returns j as it is in the ledger, nil if it is not there.
func (j *job) entered(ctx context.Context, conn *pgx.Conn) (*ledger.Job, error) {
	found, err := ledger.Find(ctx, conn, j.target, j.Name)
	for _, now := range found {
		if now.ID == j.ID {
			return now, nil
		}
	}
	return nil, err
}

// overtaken returns err, or, if it says that there is a job of the name which was not
// there when the load looked, that the load must begin anew: a run that was killed may
// have stored all of the input after all.
func overtaken(err error) error {
	if ledger.IsTaken(err) {
		return &startOverError{"an earlier run's job has come up meanwhile"}
	}
	return err
}

// settle waits for a transaction of an earlier run that is about to store all of the
// input.
func (ld *load) settle(ctx context.Context) error {
	done := false
	err := ld.l.onControl(ctx, func(conn *pgx.Conn) (err error) {
		done, err = ledger.SettleDone(ctx, conn, ld.job.target, ld.job.Job)
		return err
	})
	if err == nil && done {
		return &startOverError{"an earlier run has just stored all of the input"}
	}
	return overtaken(err)
}

// maxSamples is how many of the input's distribution values may become keys of the
// progress table.
const maxSamples = 1000

// complete ends the job, in conn's transaction, if the marks that the coordinator
// reads are those of the end of the input.
func (ld *load) complete(ctx context.Context, conn *pgx.Conn) error {
	j := ld.job
	if j == nil || ld.whole {
		return nil
	}
	end, want := ld.lanes.at, ld.lanes.place.Records
	return ledger.Complete(ctx, conn, j.target, j.Job, ld.lanes.place.Offset, func(lanes []ledger.Lane) error {
		if len(lanes) != len(j.lanes) {
			return &startOverError{fmt.Sprintf("%s of progress are there, and were %d", plural(len(lanes), "row"), len(j.lanes))}
		}
		for _, l := range lanes {
			if l.Mark != end {
				return &startOverError{fmt.Sprintf("a server has forgotten rows that it said were stored: lane %d is at chunk %d of %d", l.Number, l.Mark.Chunk, end.Chunk)}
			}
		}
		if n := records(lanes); n != want {
			return &JobError{j.Name, fmt.Sprintf("the input has %s, but %d are stored or rejected", plural(want, "record"), n), "shardload verify --deep tells which rows differ; " + anew}
		}
		return nil
	})
}

// isComplete reports whether the ledger has the job as complete.
func (ld *load) isComplete(ctx context.Context) (done bool, err error) {
	j := ld.job
	if j == nil || ld.whole {
		return false, nil
	}
	err = ld.l.onControl(ctx, func(conn *pgx.Conn) error {
		now, err := j.entered(ctx, conn)
		done = now != nil && now.Complete()
		return err
	})
	return done, err
}

// stored asks the coordinator how far the lane of b is stored, now that no
// transaction that could still store b is under way: the server has just answered
// another attempt to move the mark.
func (ld *load) stored(ctx context.Context, b *batch) (yes bool, err error) {
	if ld.whole {
		return true, nil // its entry in the table of jobs is there
	}
	var mark *ledger.Mark
	err = ld.l.onControl(ctx, func(conn *pgx.Conn) error {
		lanes, err := ledger.Lanes(ctx, conn, ld.job.Job)
		for _, l := range lanes {
			if l.Number == ld.job.lanes[b.lane].Number {
				mark = &l.Mark
			}
		}
		return err
	})
	switch {
	case err != nil:
		return false, err
	case mark == nil:
		return false, &startOverError{"the progress of a lane is gone"}
	case *mark == b.to:
		return true, nil
	case *mark == b.from:
		return false, nil // the row was elsewhere, and is now where it is looked for
	}
	return false, &startOverError{fmt.Sprintf("lane %d is at chunk %d, not %d: a server has forgotten what it said was stored, or another process goes on with the job",
		ld.job.lanes[b.lane].Number, mark.Chunk, b.from.Chunk)}
}
