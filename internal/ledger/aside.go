package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// Rejected records of a set are rows, as any process on any host may end it. Those of a run lie in a
// table of its own beside its marks, and are stored in the transaction that moves the mark: so they are
// those that the marks cover, whoever is killed. CloseRun moves them to shardload_rejects, from which
// TakeRejects gives them to whoever writes the files.

const (
	// rejectsTable is the table, in the target's schema, of the rejected records of closed runs.
	rejectsTable = "shardload_rejects"
	// asidePrefix begins the names of the tables of runs; the run's id ends them.
	asidePrefix = "shardload_rejects_"
)

// Which of a batch's rejected records one is, its mark and lane tell, and a number. Line and place are in
// the part. Of the row with the number -1 the entry is what Aside.Form was.
var (
	ofRecord = []column{
		{name: "lane", kind: "integer", rest: "NOT NULL"},
		{name: "chunk", kind: "bigint", rest: "NOT NULL"},
		{name: "in_chunk", kind: "bigint", rest: "NOT NULL"},
		{name: "n", kind: "integer", rest: "NOT NULL"},
		{name: "seq", kind: "integer", rest: "NOT NULL"}, // the part's number in the run
		{name: "line", kind: "bigint", rest: "NOT NULL"},
		{name: "place", kind: "bigint", rest: "NOT NULL"},
		{name: "entry", kind: "bytea", rest: "NOT NULL"},
	}
	asideShape = shape{
		columns: append([]column{{name: "key", rest: "NOT NULL"}}, ofRecord...),
		keys:    [][]string{{"key", "lane", "chunk", "in_chunk", "n"}},
	}
	rejectsShape = shape{
		columns: append([]column{{name: "of", kind: "text", rest: "NOT NULL"}, {name: "run", kind: "text", rest: "NOT NULL"}}, ofRecord...),
		keys:    [][]string{{"run", "lane", "chunk", "in_chunk", "n"}},
	}
)

// ofRecordNames are the columns that both tables have.
var ofRecordNames = shape{columns: ofRecord}.names()

func (t Target) rejects() string { return pgx.Identifier{t.Table.Schema, rejectsTable}.Sanitize() }

// guardRejects is guardSQL, for writing, of the table of closed runs.
func (t Target) guardRejects() [guardStatements]string {
	return guardSQL(t, writing, t.rejects(), rejectsShape, anyType)
}

// asideTable returns the table of the rejected records of a run: see progressName.
func asideTable(schema, id string) (string, error) {
	if !validID.MatchString(id) {
		return "", fmt.Errorf("%.40q is not an id that shardload gives a run", id)
	}
	return pgx.Identifier{schema, asidePrefix + id}.Sanitize(), nil
}

// An Aside is where the rejected records of a run are.
type Aside struct {
	Table string // quoted
	// Form is what whoever writes the files is to know of the run. It is opaque here.
	Form []byte
}

// A Reject is a rejected record of a run.
type Reject struct {
	Seq         int32 // of its part
	Line, Place int64 // in that
	Entry       []byte
}

// MakeRejects makes the table of the rejected records of a run, of which j is the job, if it is missing,
// and sets j.Aside.
func MakeRejects(ctx context.Context, conn *pgx.Conn, t Target, j *Job, form []byte) error {
	table, err := asideTable(t.Table.Schema, j.ID)
	if err != nil {
		return err
	}
	err = server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := takeLock(ctx, conn, t); err != nil {
			return err
		}
		there, err := hasTable(ctx, tx, t.rejects())
		if err == nil && !there {
			err = makeTable(ctx, tx, t, "TABLE", t.rejects(), rejectsShape.create(""))
		} else if err == nil {
			err = guard(ctx, conn, joined(t.guardRejects()))
		}
		if err != nil {
			return err
		}
		if there, err = hasTable(ctx, tx, table); err != nil || there {
			return err // it is looked at with the progress table
		}
		return createBeside(ctx, tx, t, table, asideShape)
	}, makingSQL()...)
	if err != nil {
		return explain(err, t, "keep rejected records")
	}
	j.Aside = &Aside{Table: table, Form: form}
	return nil
}

// guardAside is guardSQL of the table of a run's rejected records, nil if it has none.
func guardAside(t Target, mode lockMode, j *Job) []string {
	if j.Aside == nil {
		return nil
	}
	guards := guardSQL(t, mode, j.Aside.Table, asideShape, keyOID(t, j.Kind))
	return guards[:]
}

// InsertRejectsSQL returns the statement that stores rejected records of a batch that moves the mark of l
// to at. The first of them has that number in the batch. table is that of the run, or its shard beside the lane's
// row. As with CorrectSQL another may come before it.
func InsertRejectsSQL(t Target, table string, l Lane, at Mark, first int, list []Reject) string {
	var sql strings.Builder
	fmt.Fprintf(&sql, "INSERT INTO %s (key, %s) VALUES ", table, ofRecordNames)
	key := l.key()
	for i, r := range list {
		if i > 0 {
			sql.WriteString(", ")
		}
		fmt.Fprintf(&sql, "(%s, %d, %d, %d, %d, %d, %d, %d, pg_catalog.decode('", key, l.Number, at.Chunk, at.Records, first+i, r.Seq, r.Line, r.Place)
		sql.WriteString(hex.EncodeToString(r.Entry))
		sql.WriteString("', 'hex'))")
	}
	all, _ := t.withKeys(sql.String())
	return all
}

// RunRejects calls fn with the entries of a run's rejected records that its marks cover.
func RunRejects(ctx context.Context, conn *pgx.Conn, t Target, j *Job, fn func(entry []byte) error) error {
	if j.Aside == nil {
		return nil
	}
	err := guardedBy(ctx, conn, guardAside(t, reading, j), "ROLLBACK", func() error {
		rows, err := conn.Query(ctx, "SELECT entry FROM "+j.Aside.Table)
		if err != nil {
			return err
		}
		var entry []byte
		_, err = pgx.ForEachRow(rows, []any{&entry}, func() error { return fn(entry) })
		return err
	})
	if err != nil {
		return explain(err, t, "look for rejected records")
	}
	return nil
}

// moveRejects moves a run's rejected records, of which there must be so many, to where TakeRejects finds
// them, and drops their table, in the transaction that closes the run.
func (r *Run) moveRejects(ctx context.Context, conn *pgx.Conn, t Target, j *Job, want int64) error {
	table, err := asideTable(t.Table.Schema, r.ID)
	if err != nil {
		return err
	}
	there, err := hasTable(ctx, conn, table)
	if err != nil || !there {
		return errors.Join(err, checkRejects(0, want))
	}
	of := Job{Kind: j.Kind, InSet: InSet{Aside: &Aside{Table: table}}}
	if err := guard(ctx, conn, joined(t.guardRejects())+"; "+strings.Join(guardAside(t, writing, &of), "; ")); err != nil {
		return err
	}
	tag, err := conn.Exec(ctx, `INSERT INTO `+t.rejects()+` (of, run, `+ofRecordNames+`) SELECT $1::pg_catalog.text, $2::pg_catalog.text, `+ofRecordNames+` FROM `+table, r.Of, r.ID)
	if err == nil {
		err = checkRejects(tag.RowsAffected(), want)
	}
	if err == nil && want > 0 {
		var form []byte
		if j.Aside != nil {
			form = j.Aside.Form
		}
		_, err = conn.Exec(ctx, `INSERT INTO `+t.rejects()+` (of, run, `+ofRecordNames+`) VALUES ($1::pg_catalog.text, $2::pg_catalog.text, 0, 0, 0, -1, -1, 0, 0, $3::pg_catalog.bytea)`,
			r.Of, r.ID, append([]byte{}, form...))
	}
	if err != nil {
		return err
	}
	return server.Exec(ctx, conn.PgConn(), "DROP TABLE "+table)
}

// checkRejects returns an error unless as many rejected records are there as the marks count.
func checkRejects(has, want int64) error {
	if has != want {
		return fmt.Errorf("the marks of the run count %d rejected records, and %d are kept", want, has)
	}
	return nil
}

// dropAside drops the table of a run's rejected records, if it is there and ours.
func dropAside(ctx context.Context, tx pgx.Tx, t Target, id string) error {
	table, err := asideTable(t.Table.Schema, id)
	if err != nil {
		return err
	}
	table, err = ownTable(ctx, tx, t, table, asideShape)
	if err != nil || table == "" {
		return err
	}
	return server.Exec(ctx, tx.Conn().PgConn(), "DROP TABLE "+table)
}

// TakeRejects gives the rejected records of a set's closed runs to write, which returns the path of the file that
// has them, and deletes them, in one transaction: of any number of processes one gets them, and if it is
// killed, or write fails, they are there still. forms has what Aside.Form was, by run. next calls a
// function with each run and entry, in the order of the parts' names, and of the records in them.
// Without any write is not called.
func TakeRejects(ctx context.Context, conn *pgx.Conn, t Target, set string, write func(forms map[string][]byte, next func(func(run string, entry []byte) error) error) (path string, err error)) error {
	err := guardedSets(ctx, conn, t, func() error {
		there, err := hasTable(ctx, conn, t.rejects())
		if err != nil || !there {
			return err
		}
		if err := guard(ctx, conn, joined(t.guardRejects())); err != nil {
			return err
		}
		if _, err := holdSet(ctx, conn, t, set); err != nil {
			return err
		}
		forms, err := rejectForms(ctx, conn, t, set)
		if err != nil || len(forms) == 0 {
			return err
		}
		path, err := write(forms, func(fn func(string, []byte) error) error { return eachReject(ctx, conn, t, set, fn) })
		if err == nil {
			_, err = conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET rejects = $2::pg_catalog.text WHERE id = $1::pg_catalog.text`, set, path)
		}
		if err == nil {
			_, err = conn.Exec(ctx, `DELETE FROM `+t.rejects()+` WHERE of = $1::pg_catalog.text`, set)
		}
		return err
	})
	if err != nil {
		return explain(err, t, "take rejected records out of the database")
	}
	return nil
}

// rejectForms returns the forms of the runs of a set that have rejected records.
func rejectForms(ctx context.Context, conn *pgx.Conn, t Target, set string) (map[string][]byte, error) {
	rows, err := conn.Query(ctx, `SELECT run, entry FROM `+t.rejects()+` WHERE of = $1::pg_catalog.text AND n < 0`, set)
	if err != nil {
		return nil, err
	}
	forms := map[string][]byte{}
	var run string
	var form []byte
	_, err = pgx.ForEachRow(rows, []any{&run, &form}, func() error {
		forms[run] = append([]byte{}, form...)
		return nil
	})
	return forms, err
}

// eachReject calls fn with each rejected record of a set, as TakeRejects says.
func eachReject(ctx context.Context, conn *pgx.Conn, t Target, set string, fn func(run string, entry []byte) error) error {
	rows, err := conn.Query(ctx, `SELECT r.run, r.entry FROM `+t.rejects()+` AS r LEFT JOIN `+t.parts()+` AS p ON p.of = r.of AND p.run = r.run AND p.seq = r.seq
		WHERE r.of = $1::pg_catalog.text AND r.n >= 0 ORDER BY p.name COLLATE pg_catalog."C", r.line, r.place, r.run, r.lane, r.chunk, r.in_chunk, r.n`, set)
	if err != nil {
		return err
	}
	var run string
	var entry []byte
	_, err = pgx.ForEachRow(rows, []any{&run, &entry}, func() error { return fn(run, entry) })
	return err
}

// SetTotals returns what all runs of a set have stored since the set was ended last: closed ones as their
// marks said, others as their owners have said with their last beats. rejected counts those, too, of
// runs that were closed since then, by the server's clock, though another process has ended the set meanwhile.
func SetTotals(ctx context.Context, conn *pgx.Conn, t Target, set string, since time.Time) (sum Totals, rejected int64, err error) {
	err = guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
		return conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.sum(rows) FILTER (WHERE NOT ended), 0)::pg_catalog.int8, coalesce(pg_catalog.sum(rejected) FILTER (WHERE NOT ended), 0)::pg_catalog.int8,
			coalesce(pg_catalog.sum(filtered) FILTER (WHERE NOT ended), 0)::pg_catalog.int8, coalesce(pg_catalog.sum(rejected) FILTER (WHERE NOT ended OR closed >= $2::pg_catalog.timestamptz), 0)::pg_catalog.int8
			FROM `+t.runs()+` WHERE of = $1::pg_catalog.text`, set, since).Scan(&sum.Rows, &sum.Rejected, &sum.Filtered, &rejected)
	})
	if err != nil {
		return sum, 0, explain(err, t, "count rejected records")
	}
	return sum, rejected, nil
}

// deleteRejects deletes the rejected records of sets, if there is a table of them.
func deleteRejects(ctx context.Context, tx pgx.Tx, t Target, sets []string) error {
	there, err := hasTable(ctx, tx, t.rejects())
	if err != nil || !there {
		return err
	}
	if err := guard(ctx, tx.Conn(), joined(t.guardRejects())); err != nil {
		return err
	}
	return asOwner(ctx, tx, t.rejects(), func() error {
		_, err := tx.Exec(ctx, `DELETE FROM `+t.rejects()+` WHERE of = ANY ($1::pg_catalog.text[])`, sets)
		return err
	})
}

// followRejects moves the rejected records of a set from the schema that the target was in to that in
// which it is.
func followRejects(ctx context.Context, tx pgx.Tx, t, from Target, set string) error {
	there, err := hasTable(ctx, tx, from.rejects())
	if err != nil || !there {
		return err
	}
	if err := guard(ctx, tx.Conn(), joined(from.guardRejects())); err != nil {
		return err
	}
	there, err = hasTable(ctx, tx, t.rejects())
	switch {
	case err != nil:
		return err
	case there:
		err = guard(ctx, tx.Conn(), joined(t.guardRejects()))
	default:
		err = makeTable(ctx, tx, t, "TABLE", t.rejects(), rejectsShape.create(""))
	}
	if err != nil {
		return err
	}
	return move(ctx, tx, from.rejects(), t.rejects(), rejectsShape, set)
}
