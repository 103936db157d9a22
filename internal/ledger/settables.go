package ledger

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// The tables, in the target's schema, that have a row for each run and for each part of sets.
const (
	runsTable  = "shardload_runs"
	partsTable = "shardload_parts"
)

var runsShape = shape{
	columns: []column{
		{name: "id", kind: "text", rest: "NOT NULL"}, // of the run's job
		{name: "of", kind: "text", rest: "NOT NULL"}, // the ID of the set's job
		{name: "epoch", kind: "bigint", rest: "NOT NULL"},
		{name: "beat", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "host", kind: "text", rest: "NOT NULL"},
		{name: "pid", kind: "bigint", rest: "NOT NULL"},
		{name: "began", kind: "timestamptz", rest: "NOT NULL DEFAULT pg_catalog.now()"},
		{name: "beaten", kind: "timestamptz", rest: "NOT NULL DEFAULT pg_catalog.now()"},
		{name: "next", kind: "integer", rest: "NOT NULL DEFAULT 0"}, // the number that its next part gets
		{name: "released", kind: "boolean", rest: "NOT NULL DEFAULT false"},
		{name: "failed", kind: "text"},
		{name: "closed", kind: "timestamptz"},
		{name: "ended", kind: "boolean", rest: "NOT NULL DEFAULT false"}, // the set, since then
		// What it has stored: as its owner says with each beat, and at its end as the marks say.
		{name: "rows", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "rejected", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "updated", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "skipped", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "filtered", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "bytes", kind: "bigint", rest: "NOT NULL DEFAULT 0"},
		{name: "reads", kind: "text"}, // how it reads its parts: see Form.Manner
	},
	keys: [][]string{{"id"}},
}

// There may be a million parts. What is not known of one takes no room.
var partsShape = shape{
	columns: []column{
		{name: "of", kind: "text", rest: "NOT NULL"}, // the ID of the set's job
		{name: "name", kind: "text", rest: "NOT NULL"},
		{name: "tag", kind: "text"},
		{name: "run", kind: "text"}, // the ID of the run that has claimed it
		{name: "failed", kind: "text"},
		{name: "size", kind: "bigint"},
		{name: "head", kind: "bigint"},
		{name: "tail", kind: "bigint"},
		{name: "sum", kind: "bigint"},
		{name: "rows", kind: "bigint"},
		{name: "seq", kind: "integer"}, // its number in the run
	},
	keys: [][]string{{"of", "name"}},
}

func (t Target) runs() string  { return server.Shown(t.Table.Schema, runsTable) }
func (t Target) parts() string { return server.Shown(t.Table.Schema, partsTable) }

// A local table is one of those that lie on the coordinator, by its name in the target's schema.
type localTable struct {
	name  string // quoted
	shape shape
}

func (t Target) setTables() []localTable {
	return []localTable{{t.runs(), runsShape}, {t.parts(), partsShape}}
}

// prepareSets does what prepare does, for the tables of sets, too.
func prepareSets(ctx context.Context, tx pgx.Tx, t Target) error {
	if err := prepare(ctx, tx, t); err != nil {
		return err
	}
	for _, of := range t.setTables() {
		there, err := hasTable(ctx, tx, of.name)
		switch {
		case err != nil:
			return err
		case there:
			err = guard(ctx, tx.Conn(), joined(guardSQL(t, writing, of.name, of.shape, anyType)))
		default:
			err = makeTable(ctx, tx, t, "TABLE", of.name, of.shape.create(""))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// haveSets reports whether the target's schema has tables of sets, in a transaction that is then
// guarded for writing to them.
func haveSets(ctx context.Context, tx pgx.Tx, t Target) (bool, error) {
	for _, of := range t.setTables() {
		there, err := hasTable(ctx, tx, of.name)
		if err != nil || !there {
			return false, err
		}
		if err := guard(ctx, tx.Conn(), joined(guardSQL(t, writing, of.name, of.shape, anyType))); err != nil {
			return false, err
		}
	}
	return true, nil
}

// hasTable reports whether something has that name. A session may remember that nothing had it,
// and a lock that is advisory alone does not make it ask anew, as the lock on a catalog does: another
// process may have made the table while that one was waited for.
func hasTable(ctx context.Context, conn querier, name string) (there bool, err error) {
	// IF NOT EXISTS alone would ask for the right to create it.
	err = conn.QueryRow(ctx, `SELECT pg_catalog.to_regclass($1::pg_catalog.text) IS NOT NULL FROM pg_catalog.pg_class LIMIT 1`, name).Scan(&there)
	return there, err
}

// guardSets are the guards of the tables of jobs, runs and parts.
func guardSets(t Target, mode lockMode) []string {
	guards := guardJobs(t, mode)
	return append(guards[:], guardRuns(t, mode)...)
}

// guardRuns is guardSets without the table of jobs.
func guardRuns(t Target, mode lockMode) (all []string) {
	for _, of := range t.setTables() {
		guards := guardSQL(t, mode, of.name, of.shape, anyType)
		all = append(all, guards[:]...)
	}
	return all
}

// guardedSets runs fn in a transaction that may write to the tables of sets, as guarded does.
func guardedSets(ctx context.Context, conn *pgx.Conn, t Target, fn func() error) error {
	return guardedBy(ctx, conn, guardSets(t, writing), "COMMIT", fn)
}

func joined(guards [guardStatements]string) string { return strings.Join(guards[:], "; ") }
