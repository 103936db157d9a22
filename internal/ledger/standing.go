package ledger

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Standing is how far a set is.
type Standing struct {
	Ended bool
	PartCounts
	Runs []RunStanding // in the order in which they were begun
	Rows int64         // that all runs have stored, also those of which nothing else is said
}

// A RunStanding is a run of a set, and what it has.
type RunStanding struct {
	Run
	Parts int // that it has claimed, or loaded if it is closed
	// Locked says that a process has the lock of its job: it works, or is frozen.
	Locked bool
}

// Open returns how many runs are open.
func (s *Standing) Open() (n int) {
	for i := range s.Runs {
		if s.Runs[i].Open() {
			n++
		}
	}
	return n
}

// Stand says how far a set is. It counts all of its parts: it is for people, and for a process that
// has nothing left to claim. OpenRuns is for looking often.
func Stand(ctx context.Context, conn *pgx.Conn, t Target, set string) (*Standing, error) {
	return stand(ctx, conn, t, set, true)
}

// OpenRuns is Stand for the open runs of a set alone, without counts of parts.
func OpenRuns(ctx context.Context, conn *pgx.Conn, t Target, set string) (*Standing, error) {
	return stand(ctx, conn, t, set, false)
}

// rowsOfRuns counts the rows that all runs of a set have stored, as they have said last.
func rowsOfRuns(ctx context.Context, conn *pgx.Conn, t Target, set string) (rows int64, err error) {
	err = conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.sum(rows), 0)::pg_catalog.int8 FROM `+t.runs()+` WHERE of = $1::pg_catalog.text`, set).Scan(&rows)
	return rows, err
}

func stand(ctx context.Context, conn *pgx.Conn, t Target, set string, all bool) (*Standing, error) {
	s := &Standing{}
	err := guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
		where := `r.of = $1::pg_catalog.text AND r.closed IS NULL ORDER BY r.began, r.id`
		if all {
			where = `r.of = $1::pg_catalog.text ORDER BY r.began, r.id`
		}
		runs, err := readRuns(ctx, conn, t, where, set)
		if err != nil {
			return err
		}
		for _, r := range runs {
			s.Runs = append(s.Runs, RunStanding{Run: *r})
		}
		if s.Rows, err = rowsOfRuns(ctx, conn, t, set); err != nil {
			return err
		}
		if err := s.findLocked(ctx, conn, t); err != nil || !all {
			return err
		}
		return s.countParts(ctx, conn, t, set)
	})
	if err != nil {
		return nil, explain(err, t, "see how far the set is")
	}
	return s, nil
}

// findLocked sees which runs' jobs are locked.
func (s *Standing) findLocked(ctx context.Context, conn *pgx.Conn, t Target) error {
	locks, err := advisoryLocks(ctx, conn)
	if err != nil {
		return err
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		r.Locked = locks[jobLock(t.Table.OID, r.Name)]
	}
	return nil
}

// countParts counts the parts, and those of each run.
func (s *Standing) countParts(ctx context.Context, conn *pgx.Conn, t Target, set string) error {
	var name string
	err := conn.QueryRow(ctx, `SELECT name, finished IS NOT NULL FROM `+t.Jobs()+` WHERE id = $1::pg_catalog.text`, set).Scan(&name, &s.Ended)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `SELECT coalesce(run, ''), failed IS NOT NULL, pg_catalog.count(*) FROM `+t.parts()+` WHERE of = $1::pg_catalog.text GROUP BY 1, 2`, set)
	if err != nil {
		return err
	}
	byID := map[string]*RunStanding{}
	for i := range s.Runs {
		byID[s.Runs[i].ID] = &s.Runs[i]
	}
	var run string
	var failed bool
	var n int
	_, err = pgx.ForEachRow(rows, []any{&run, &failed, &n}, func() error {
		switch r := byID[run]; {
		case r == nil && failed:
			s.Failed += n
		case r == nil:
			s.Waiting += n
		default:
			r.Parts += n
			if r.Open() {
				s.Taken += n
			} else {
				s.Loaded += n
			}
		}
		return nil
	})
	return err
}

// WorkingRun returns an open run of a set of the target on which a process works, and the set's name; nil if
// there is none.
func WorkingRun(ctx context.Context, conn *pgx.Conn, t Target) (r *Run, set string, err error) {
	s := &Standing{}
	err = guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
		runs, err := readRuns(ctx, conn, t, `r.closed IS NULL AND j.target_oid = $1::pg_catalog.oid ORDER BY r.began, r.id`, t.Table.OID)
		if err != nil {
			return err
		}
		for _, r := range runs {
			s.Runs = append(s.Runs, RunStanding{Run: *r})
		}
		return s.findLocked(ctx, conn, t)
	})
	if err != nil && undefined(err) {
		return nil, "", nil // there has been no set
	}
	if err != nil {
		return nil, "", explain(err, t, "see who works on the table")
	}
	for i := range s.Runs {
		if it := &s.Runs[i]; it.Locked {
			return &it.Run, strings.TrimSuffix(it.Name, RunName("", it.ID)), nil
		}
	}
	return nil, "", nil
}

// advisoryLocks returns the numbers of the advisory locks of the database that somebody has.
func advisoryLocks(ctx context.Context, conn *pgx.Conn) (map[int64]bool, error) {
	rows, err := conn.Query(ctx, `SELECT (classid::pg_catalog.int8 << 32) | objid::pg_catalog.int8 FROM pg_catalog.pg_locks
		WHERE locktype = 'advisory' AND objsubid = 1 AND granted
		AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`)
	if err != nil {
		return nil, err
	}
	locks, held := map[int64]bool{}, int64(0)
	_, err = pgx.ForEachRow(rows, []any{&held}, func() error {
		locks[held] = true
		return nil
	})
	return locks, err
}
