package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/server"
)

// durableSQL makes the transaction's COMMIT wait until it is on disk where the
// session's would not: rows that outlive the job which stored them would be stored
// again, and a job that outlives its rows would lack them.
const durableSQL = `SELECT pg_catalog.set_config('synchronous_commit', 'local', true) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'`

// settingsSQL undoes what a role or a database may have set that would make our tables
// other ones, or leave parts of them on the nodes when they are dropped. Only settings
// that the server has are touched.
const settingsSQL = `SELECT pg_catalog.set_config(s.name, s.value, true) FROM (VALUES
	('citus.enable_ddl_propagation', 'on'), ('citus.enable_metadata_sync', 'on'), ('citus.shard_replication_factor', '1'),
	('citus.use_citus_managed_tables', 'off'), ('citus.enable_schema_based_sharding', 'off'),
	('default_tablespace', ''), ('default_toast_compression', 'pglz'), ('default_table_access_method', 'heap')) AS s (name, value)
	WHERE pg_catalog.current_setting(s.name, true) <> s.value`

// makingSQL returns the statements that a transaction which makes or drops tables of ours
// begins with.
func makingSQL() []string { return []string{citus.FewConnectionsSQL, durableSQL, settingsSQL} }

// lock begins a transaction that makes or drops tables of ours.
func lock(ctx context.Context, conn *pgx.Conn, t Target) error {
	if err := server.Exec(ctx, conn.PgConn(), strings.Join(makingSQL(), "; ")); err != nil {
		return err
	}
	return takeLock(ctx, conn, t)
}

// takeLock lets one process at a time make or drop tables of ours in a schema: two that make
// the same table at once would disturb each other.
func takeLock(ctx context.Context, conn *pgx.Conn, t Target) error {
	return server.TakeLock(ctx, conn, server.TablesLock(t.Table.Schema), "make or drop tables of progress", t.Waiting)
}

// NewID returns a name for a job that no other job has, fit to be part of a
// table's name.
func NewID() string { return strings.ToLower(rand.Text()[:idLength]) }

// IDOf returns an id for the job that b tells of, always the same.
func IDOf(b []byte) string {
	sum := sha256.Sum256(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:idLength])
}

const idLength = 16

// Create makes the job j of the target: its row, its progress table, and a row for
// each lane, all or nothing. The jobs that it replaces are forgotten; if there is yet
// another one of its name the error IsTaken. samples are values of the distribution
// column, as text, which the input holds. It fills in what of j and lanes is up to it.
func Create(ctx context.Context, conn *pgx.Conn, t Target, j *Job, lanes []Lane, samples []string) error {
	return create(ctx, conn, t, j, lanes, samples, func(pgx.Tx) error { return nil })
}

// create is Create, and calls first in the same transaction, when the table of jobs is there.
func create(ctx context.Context, conn *pgx.Conn, t Target, j *Job, lanes []Lane, samples []string, first func(pgx.Tx) error) error {
	progress, err := j.progressTable(t.Table.Schema)
	if err != nil {
		return err
	}
	j.Progress = progress
	j.TableOID, j.FileNode, j.Kind = t.Table.OID, t.Table.RelFileNode, t.Distribution.Kind
	err = server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := prepare(ctx, tx, t); err != nil {
			return err
		}
		if err := first(tx); err != nil {
			return err
		}
		if err := forget(ctx, tx, t, j.Replaces); err != nil {
			return err
		}
		if err := makeProgress(ctx, tx, t, j); err != nil {
			return err
		}
		if err := giveKeys(ctx, tx, t, lanes, samples); err != nil {
			return err
		}
		if err := insertLanes(ctx, tx, t, j, lanes); err != nil {
			return err
		}
		return insertJob(ctx, tx, t, j)
	}, makingSQL()...)
	if err != nil {
		return explain(err, t, "keep progress")
	}
	return nil
}

// Prepare makes the target's table of jobs, if it is missing.
func Prepare(ctx context.Context, conn *pgx.Conn, t Target) error {
	err := server.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return prepare(ctx, tx, t) }, makingSQL()...)
	if err != nil {
		return explain(err, t, "keep a list of jobs")
	}
	return nil
}

// prepare makes sure that there is a table of jobs which is ours, in a transaction that
// began with makingSQL.
func prepare(ctx context.Context, tx pgx.Tx, t Target) error {
	if err := takeLock(ctx, tx.Conn(), t); err != nil {
		return err
	}
	there, err := isThere(ctx, tx, t)
	if err != nil {
		return err
	}
	if there {
		return guard(ctx, tx.Conn(), guardJobsSQL(t))
	}
	return makeTable(ctx, tx, t, "TABLE", t.Jobs(), jobsShape.create(""))
}

// isThere reports whether something has the name of the target's table of jobs.
func isThere(ctx context.Context, tx pgx.Tx, t Target) (there bool, err error) {
	return hasTable(ctx, tx, t.Jobs())
}

// makeProgress makes the job's progress table, unless it is one that is shared, and there.
func makeProgress(ctx context.Context, tx pgx.Tx, t Target, j *Job) error {
	if j.Shared {
		there, err := hasTable(ctx, tx, j.Progress)
		if err != nil {
			return err
		}
		if there {
			return guard(ctx, tx.Conn(), joined(guardProgress(t, writing, j)))
		}
	}
	return createBeside(ctx, tx, t, j.Progress, j.marksShape())
}

// createBeside makes a progress table, or another one of that shape. Where it is distributed its key
// must be of exactly the distribution column's type and collation, and its shards then lie
// where the target's do.
func createBeside(ctx context.Context, tx pgx.Tx, t Target, name string, s shape) error {
	key := "pg_catalog.int4"
	if t.Distribution.Kind == citus.Hash {
		c := t.Table.Column(t.Distribution.Column)
		key = c.Type
		if c.Collation != "" {
			key += " COLLATE " + c.Collation
		}
	}
	kind := "TABLE"
	if t.Table.Persistence == 'u' {
		kind = "UNLOGGED TABLE" // a crash that empties the target empties the marks with it
	}
	err := makeTable(ctx, tx, t, kind, name, s.create(key))
	if err != nil || !t.Sharded() {
		return err
	}
	// In a schema that is distributed as a whole the table is colocated by itself.
	_, err = tx.Exec(ctx, `SELECT pg_catalog.create_distributed_table($1::pg_catalog.text::pg_catalog.regclass, $2::pg_catalog.text, colocate_with => $3::pg_catalog.text)
		WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_dist_partition WHERE logicalrelid = $1::pg_catalog.text::pg_catalog.regclass)`,
		name, map[bool]any{true: "key", false: nil}[t.Distribution.Kind == citus.Hash], t.Table.SQL())
	return err
}

// insertLanes stores the lanes' rows, through the coordinator: a row that is found
// on a node afterwards proves that it is the coordinator's.
func insertLanes(ctx context.Context, tx pgx.Tx, t Target, j *Job, lanes []Lane) error {
	keyType, equal, err := keyType(ctx, tx, j.Progress)
	if err != nil {
		return err
	}
	var column, run string
	if j.Shared {
		column, run = "run, ", server.Literal(j.ID)+", "
	}
	values := make([]string, len(lanes))
	for i := range lanes {
		l := &lanes[i]
		l.Run, l.KeyType, l.KeyEqual = j.laneRun(), keyType, equal
		values[i] = fmt.Sprintf("(%s%s, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d)", run, l.key(), l.Number, l.Min, l.Max, l.Epoch,
			l.Mark.Chunk, l.Mark.Records, l.Place.Offset, l.Place.Line, l.Place.Records, int64(l.Place.Sum), int64(l.Within), l.Rows)
	}
	return t.asRole(ctx, tx, func() error {
		_, err := tx.Exec(ctx, `INSERT INTO `+j.Progress+` (`+column+`key, lane, min, max, epoch, chunk, in_chunk, place, line, records, sum, in_sum, rows)
			VALUES `+strings.Join(values, ", "))
		return err
	})
}

// giveKeys gives each lane that has none the key of its row.
func giveKeys(ctx context.Context, tx pgx.Tx, t Target, lanes []Lane, samples []string) error {
	if t.Distribution.Kind == citus.Hash {
		return t.asRole(ctx, tx, func() error { return findKeys(ctx, tx, t.Table.Column(t.Distribution.Column), lanes, samples) })
	}
	for i := range lanes {
		lanes[i].Key = fmt.Sprint(lanes[i].Number)
	}
	return nil
}

func insertJob(ctx context.Context, tx pgx.Tx, t Target, j *Job) error {
	record, err := j.record()
	if err != nil {
		return err
	}
	var progress *string
	if j.Progress != "" {
		progress = &j.Progress
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+t.Jobs()+` (id, target, target_oid, file_node, kind, name, fingerprint, progress)
		VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.oid, $4::pg_catalog.oid, $5::pg_catalog.text, $6::pg_catalog.text, $7::pg_catalog.text::pg_catalog.jsonb, $8::pg_catalog.text)`,
		j.ID, t.Table.Name, j.TableOID, j.FileNode, string(j.Kind), j.Name, record, progress)
	return err
}

// makeTable makes a table of ours and gives it to the target's owner, if the role acts for it
// and may: then all who act for it share the table. A superuser, who acts for everybody,
// keeps it.
func makeTable(ctx context.Context, tx pgx.Tx, t Target, kind, name, columns string) error {
	if err := server.Exec(ctx, tx.Conn().PgConn(), "CREATE "+kind+" "+name+columns); err != nil {
		return err
	}
	var owner string
	err := tx.QueryRow(ctx, `SELECT o.rolname::pg_catalog.text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
		JOIN pg_catalog.pg_roles me ON me.rolname = current_user
		WHERE c.oid = $1::pg_catalog.oid AND o.oid <> me.oid AND NOT me.rolsuper AND pg_catalog.pg_has_role(o.oid, 'USAGE')
		AND pg_catalog.pg_has_role(o.oid, CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END)
		AND pg_catalog.has_schema_privilege(o.oid, c.relnamespace, 'CREATE')`, t.Table.OID).Scan(&owner)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return server.Exec(ctx, tx.Conn().PgConn(), "ALTER TABLE "+name+" OWNER TO "+pgx.Identifier{owner}.Sanitize())
}
