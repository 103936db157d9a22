package ledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
)

// TablesLockSQL lets one process at a time make or drop tables of ours: two that make
// the same table at once would disturb each other. The number is arbitrary.
const TablesLockSQL = `SELECT pg_catalog.pg_advisory_xact_lock(7310868735421903216)`

// durableSQL makes the transaction's COMMIT wait until it is on disk where the
// session's would not: rows that outlive the job which stored them would be stored
// again, and a job that outlives its rows would lack them.
const durableSQL = `SELECT pg_catalog.set_config('synchronous_commit', 'local', true) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'`

// lock begins a transaction that makes or drops tables of ours.
func lock(ctx context.Context, conn interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}) error {
	for _, sql := range []string{citus.FewConnectionsSQL, durableSQL, TablesLockSQL} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

const jobsDDL = ` (
	id text PRIMARY KEY,
	target text NOT NULL,
	target_oid oid NOT NULL,
	file_node oid NOT NULL,
	kind text NOT NULL,
	name text NOT NULL,
	fingerprint jsonb NOT NULL,
	progress text,
	rejects text,
	begun timestamptz NOT NULL DEFAULT now(),
	finished timestamptz,
	rows bigint NOT NULL DEFAULT 0,
	rejected bigint NOT NULL DEFAULT 0,
	updated bigint NOT NULL DEFAULT 0,
	skipped bigint NOT NULL DEFAULT 0,
	bytes bigint NOT NULL DEFAULT 0,
	UNIQUE (target, name))`

// NewID returns a name for a job that no other job has, fit to be part of a
// table's name.
func NewID() string { return strings.ToLower(rand.Text()[:16]) }

// Create makes the job j of the target: its row, its progress table, and a row for
// each lane, all or nothing. The jobs that it replaces are forgotten; if there is yet
// another one of its name the error IsTaken. samples are values of the distribution
// column, as text, which the input holds. It fills in what of j and lanes is up to it.
func Create(ctx context.Context, conn *pgx.Conn, t Target, j *Job, lanes []Lane, samples []string) error {
	j.Progress = pgx.Identifier{t.Table.Schema, "shardload_progress_" + j.ID}.Sanitize()
	j.TableOID, j.FileNode, j.Kind = t.Table.OID, t.Table.RelFileNode, t.Distribution.Kind
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := prepare(ctx, tx, t); err != nil {
			return err
		}
		if err := forget(ctx, tx, t, "id = ANY ($1::text[])", j.Replaces); err != nil {
			return err
		}
		if err := createProgress(ctx, tx, t, j.Progress); err != nil {
			return err
		}
		if err := giveKeys(ctx, tx, t, lanes, samples); err != nil {
			return err
		}
		if err := insertLanes(ctx, tx, j.Progress, lanes); err != nil {
			return err
		}
		return insertJob(ctx, tx, t, j)
	})
	if err != nil {
		return explain(err, t, "keep progress")
	}
	return nil
}

// Prepare makes the target's table of jobs, if it is missing.
func Prepare(ctx context.Context, conn *pgx.Conn, t Target) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return prepare(ctx, tx, t) })
	if err != nil {
		return explain(err, t, "keep a list of jobs")
	}
	return nil
}

func prepare(ctx context.Context, tx pgx.Tx, t Target) error {
	if err := lock(ctx, tx); err != nil {
		return err
	}
	var there bool
	// IF NOT EXISTS alone would ask for the right to create it.
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1::text) IS NOT NULL`, t.Jobs()).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.Exec(ctx, "CREATE TABLE "+t.Jobs()+jobsDDL+" USING heap")
	return err
}

// createProgress makes the progress table. Where it is distributed its key must be
// of exactly the distribution column's type and collation, and its shards then lie
// where the target's do.
func createProgress(ctx context.Context, tx pgx.Tx, t Target, name string) error {
	key := "integer"
	if t.Distribution.Kind == citus.Hash {
		c := t.Table.Column(t.Distribution.Column)
		key = c.Type
		if c.Collation != "" {
			key += " COLLATE " + c.Collation
		}
	}
	unlogged := ""
	if t.Table.Persistence == 'u' {
		unlogged = "UNLOGGED " // a crash that empties the target empties the marks with it
	}
	_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE %sTABLE %s (
		key %s NOT NULL,
		lane integer NOT NULL,
		min integer NOT NULL,
		max integer NOT NULL,
		chunk bigint NOT NULL DEFAULT 0,
		in_chunk bigint NOT NULL DEFAULT 0,
		place bigint NOT NULL DEFAULT 0,
		line bigint NOT NULL DEFAULT 1,
		records bigint NOT NULL DEFAULT 0,
		rows bigint NOT NULL DEFAULT 0,
		rejected bigint NOT NULL DEFAULT 0,
		updated bigint NOT NULL DEFAULT 0,
		skipped bigint NOT NULL DEFAULT 0,
		advanced timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (key, lane)) USING heap`, unlogged, name, key))
	if err != nil || !t.Sharded() {
		return err
	}
	// In a schema that is distributed as a whole the table is colocated by itself.
	_, err = tx.Exec(ctx, `SELECT create_distributed_table($1::text::regclass, $2::text, colocate_with => $3::text)
		WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_dist_partition WHERE logicalrelid = $1::text::regclass)`,
		name, map[bool]any{true: "key", false: nil}[t.Distribution.Kind == citus.Hash], t.Table.SQL())
	return err
}

// insertLanes stores the lanes' rows, through the coordinator: a row that is found
// on a node afterwards proves that it is the coordinator's.
func insertLanes(ctx context.Context, tx pgx.Tx, progress string, lanes []Lane) error {
	keyType, err := keyType(ctx, tx, progress)
	if err != nil {
		return err
	}
	values := make([]string, len(lanes))
	for i := range lanes {
		l := &lanes[i]
		l.KeyType = keyType
		values[i] = fmt.Sprintf("(%s, %d, %d, %d, %d, %d, %d, %d, %d)", l.key(), l.Number, l.Min, l.Max,
			l.Mark.Chunk, l.Mark.Records, l.Place.Offset, l.Place.Line, l.Place.Records)
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+progress+` (key, lane, min, max, chunk, in_chunk, place, line, records)
		VALUES `+strings.Join(values, ", "))
	return err
}

// giveKeys gives each lane that has none the key of its row.
func giveKeys(ctx context.Context, tx pgx.Tx, t Target, lanes []Lane, samples []string) error {
	if t.Distribution.Kind == citus.Hash {
		return findKeys(ctx, tx, t.Table.Column(t.Distribution.Column), lanes, samples)
	}
	for i := range lanes {
		lanes[i].Key = fmt.Sprint(lanes[i].Number)
	}
	return nil
}

func insertJob(ctx context.Context, tx pgx.Tx, t Target, j *Job) error {
	fingerprint, err := json.Marshal(j.Fingerprint)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+t.Jobs()+` (id, target, target_oid, file_node, kind, name, fingerprint, progress)
		VALUES ($1::text, $2::text, $3::oid, $4::oid, $5::text, $6::text, $7::text::jsonb, $8::text)`,
		j.ID, t.Table.Name, j.TableOID, j.FileNode, string(j.Kind), j.Name, string(fingerprint), j.Progress)
	return err
}
