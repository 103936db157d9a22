package ledger

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// Whoever may create tables in a schema may have made one with a name of ours, and who
// owns one decides what a statement on it does: a trigger, a rule, a default, a policy
// run as the role that loads. So a table counts as ours only if it is made as we make
// them, and belongs to somebody whom the role trusts anyway: itself, the owner of the
// table that it loads, or a superuser. That is asked with a lock on the table which
// keeps it as it is until the transaction ends.

// An UntrustedError says why a table with a name of ours is not used.
type UntrustedError struct {
	Table  string // quoted
	Reason string // "belongs to …", "has the trigger …"
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("%s is left alone because it %s: it was not made by shardload as this role or as the owner of the table, and could run somebody's code with the rights of this role; "+
		"its owner, or a superuser, drops it, renames it, or gives it to the owner of the table that is loaded with ALTER TABLE %s OWNER TO …", e.Table, e.Reason, e.Table)
}

// mistrust is what the message of an error begins with that guardSQL makes the server
// raise: the text is no integer.
const mistrust = "shardload leaves it alone: "

const invalidText = fault.InvalidText // the server's code of that error

var mistrustMessage = regexp.MustCompile(`(?s)` + mistrust + `(.*?) \| (.*) \|`)

// Untrusted returns the *UntrustedError that err is, of a statement of this package,
// and otherwise nil.
func Untrusted(err error) error {
	if e, ok := errors.AsType[*UntrustedError](err); ok {
		return e
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pgErr.Code != invalidText {
		return nil
	}
	m := mistrustMessage.FindStringSubmatch(pgErr.Message)
	if m == nil {
		return nil
	}
	return &UntrustedError{Table: m[1], Reason: m[2]}
}

// ownerSQL is the condition that c's owner, a row o of pg_roles, is trusted by whoever
// works on the target with that OID. Where the target is gone the schema's owner takes
// the place of its owner.
func ownerSQL(target string) string {
	return `(o.rolsuper OR o.rolname = current_user OR c.relowner = coalesce(
		(SELECT r.relowner FROM pg_catalog.pg_class r WHERE r.oid = ` + target + `),
		(SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace)))`
}

// reasonSQL is the expression of why c is not to be used, NULL if it may be.
func reasonSQL(s shape, target, key string) string {
	return "coalesce(CASE WHEN NOT " + ownerSQL(target) + " THEN 'belongs to ' || o.rolname END, " + s.strangeSQL(key) + ")"
}

const fromOwned = " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner"

// guardSQL returns two statements, to be run in a transaction before others that work on
// the table: they lock it, and fail with an error that Untrusted knows if it is not ours.
func guardSQL(t Target, mode lockMode, table string, s shape, key string) [guardStatements]string {
	local := t.Distribution == nil || t.Distribution.Kind == citus.Local
	return [guardStatements]string{citus.LockTableSQL(table, string(mode), local), fmt.Sprintf(`SELECT CASE WHEN g.why IS NULL THEN 0 ELSE (%s || g.why || ' |')::pg_catalog.int4 END
		FROM (SELECT pg_catalog.left(%s, 300) AS why%s WHERE c.oid = %s::pg_catalog.regclass) AS g`,
		server.Literal(mistrust+table+" | "), reasonSQL(s, fmt.Sprint(t.Table.OID), key), fromOwned, server.Literal(table))}
}

// A lockMode keeps a table such that statements on it run nobody's code.
type lockMode string

const (
	reading lockMode = "ACCESS SHARE"  // what SELECT does stays the same
	writing lockMode = "ROW EXCLUSIVE" // no trigger comes up either
)

// guardStatements is how many statements guardSQL returns.
const guardStatements = 2

// guardJobs is guardSQL of the target's table of jobs.
func guardJobs(t Target, mode lockMode) [guardStatements]string {
	return guardSQL(t, mode, t.Jobs(), jobsShape, anyType)
}

// guardJobsSQL returns the statements of guardJobs for writers in one.
func guardJobsSQL(t Target) string {
	guards := guardJobs(t, writing)
	return strings.Join(guards[:], "; ")
}

// guardProgress is guardSQL of the job's progress table. The type of its keys is the
// target's, whose own code runs when rows are stored. The transaction of a run's owner gets the name
// by which it is ended if the process is frozen in it: whatever it has locked, nobody waits for it.
func guardProgress(t Target, mode lockMode, j *Job) [guardStatements]string {
	guards := guardSQL(t, mode, j.Progress, j.marksShape(), keyOID(t, j.Kind))
	if name := j.Application(); name != "" {
		last := &guards[guardStatements-1]
		*last = "SELECT pg_catalog.set_config('application_name', " + server.Literal(name) + ", true), " + strings.TrimPrefix(*last, "SELECT ")
	}
	return guards
}

// keyOID returns the expression of the type that the keys of a job of that kind have.
func keyOID(t Target, kind citus.Kind) string {
	if kind != citus.Hash {
		return "23::pg_catalog.oid"
	}
	if t.Distribution != nil && t.Distribution.Kind == citus.Hash {
		if c := t.Table.Column(t.Distribution.Column); c != nil {
			return fmt.Sprintf("%d::pg_catalog.oid", c.TypeOID)
		}
	}
	return anyType
}

// guard runs statements of guardSQL, in conn's transaction.
func guard(ctx context.Context, conn *pgx.Conn, sql string) error {
	return distrusted(server.Exec(ctx, conn.PgConn(), sql))
}

// distrusted returns the *UntrustedError that err is, or err.
func distrusted(err error) error {
	if untrusted := Untrusted(err); untrusted != nil {
		return untrusted
	}
	return err
}

// CheckProgress locks the job's progress table, in conn's transaction, and makes sure
// that statements on it run nobody's code.
func CheckProgress(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	guards := guardProgress(t, writing, j)
	if err := guard(ctx, conn, strings.Join(append(guards[:], guardAside(t, writing, j)...), "; ")); err != nil {
		return fmt.Errorf("look at the progress table: %w", err)
	}
	return nil
}

// guarded runs fn in a transaction in which guards has locked tables and found them to
// be ours: in that which is open, or in one of its own, which ends with end.
func guarded(ctx context.Context, conn *pgx.Conn, guards [guardStatements]string, end string, fn func() error) error {
	return guardedBy(ctx, conn, guards[:], end, fn)
}

// guardedBy is guarded, with guards of any number of tables.
func guardedBy(ctx context.Context, conn *pgx.Conn, guards []string, end string, fn func() error) (err error) {
	own := conn.PgConn().TxStatus() == 'I'
	if own {
		err = distrusted(server.Start(ctx, conn.PgConn(), server.Write, guards...))
	} else {
		err = guard(ctx, conn, strings.Join(guards, "; "))
	}
	if err == nil {
		err = fn()
	}
	if !own || conn.IsClosed() {
		return err
	}
	if err != nil {
		end = "ROLLBACK"
	}
	return errors.Join(err, server.Exec(ctx, conn.PgConn(), end))
}

// validID is the form of the ids of jobs that have a progress table. It is part of the
// table's name.
var validID = regexp.MustCompile(`^[a-z2-7]{16}$`)

// What begins the names of progress tables. The id of the job ends them, or that of a set's job
// whose runs share the table: versions that do not know of these do not take them for others.
const (
	progressPrefix = "shardload_progress_"
	sharedPrefix   = "shardload_marks_"
)

// progressName returns the name of the job's progress table: nothing that is kept in a table says
// what it is called.
func (j *Job) progressName() (string, error) {
	prefix, id := progressPrefix, j.ID
	if j.Shared {
		prefix, id = sharedPrefix, j.Of
	}
	for _, id := range []string{j.ID, id} {
		if !validID.MatchString(id) {
			return "", fmt.Errorf("%.40q is not an id that shardload gives a job that has a progress table", id)
		}
	}
	return prefix + id, nil
}

// progressTable returns the job's progress table, by the schema that holds it, quoted.
func (j *Job) progressTable(schema string) (string, error) {
	name, err := j.progressName()
	if err != nil {
		return "", err
	}
	return server.Shown(schema, name), nil
}

// marksShape is that of the job's progress table.
func (j *Job) marksShape() shape {
	if j.Shared {
		return sharedShape
	}
	return progressShape
}

// laneRun is what Lane.Run is of the job's lanes.
func (j *Job) laneRun() string {
	if j.Shared {
		return j.ID
	}
	return ""
}

// ofRunSQL is the condition that a row of the job's progress table is the job's.
func (j *Job) ofRunSQL() string {
	if j.Shared {
		return "run OPERATOR(pg_catalog.=) " + server.Literal(j.ID)
	}
	return "true"
}

// isOurs reports whether a relation's name is that of a progress table, and of which job or set.
func isOurs(name string) (id string, ok bool) {
	for _, prefix := range []string{progressPrefix, sharedPrefix} {
		if id, ok := strings.CutPrefix(name, prefix); ok && validID.MatchString(id) {
			return id, true
		}
	}
	return "", false
}
