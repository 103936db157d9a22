package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/server"
)

// TestDroppedMeanwhile holds that tables of ours are found also while one of them is being
// dropped. The server then says neither yes nor no to what the role may do with it. A
// transaction that has its snapshot from before shows that state for as long as one likes.
func TestDroppedMeanwhile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn, other := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
	for _, schema := range []string{"kept", "gone"} {
		pgtest.Exec(t, conn, "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+"."+jobsTable+" (k int)")
	}
	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM pg_class"); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, other, "DROP SCHEMA gone CASCADE")
	all, err := readTables(t.Context(), conn, "true")
	if err != nil {
		t.Fatal(err)
	}
	for _, schema := range []string{"kept", "gone"} {
		i := slices.IndexFunc(all.jobs, func(f *found) bool { return f.schema == schema })
		if i < 0 || !all.jobs[i].readable {
			t.Errorf("%s: not found as one that may be read", schema)
		}
	}
}

// TestStrangerBesideList holds that what others do with tables of our names stops no list of
// jobs: a function of a default that is dropped while the list is made, and a lock for ever.
func TestStrangerBesideList(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn, other := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
	pgtest.Exec(t, conn, "CREATE SCHEMA falls", "CREATE FUNCTION falls.f() RETURNS text LANGUAGE sql AS 'SELECT 1'",
		"CREATE TABLE falls."+jobsTable+" (id text DEFAULT falls.f())", "CREATE SCHEMA locked", "CREATE SCHEMA shaped",
		"CREATE TABLE locked."+jobsTable+" (k int DEFAULT 1)", "CREATE TABLE shaped."+jobsTable+jobsShape.create(""))
	stranger := fmt.Sprintf("stranger_%d", conn.PgConn().PID())
	pgtest.Exec(t, conn, "CREATE ROLE "+stranger, "ALTER TABLE shaped."+jobsTable+" OWNER TO "+stranger)
	t.Cleanup(func() { pgtest.Exec(t, conn, "DROP OWNED BY "+stranger, "DROP ROLE "+stranger) })
	pgtest.Exec(t, other, "BEGIN", "LOCK TABLE locked."+jobsTable+", shaped."+jobsTable)
	list, err := List(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"falls": "has a column id that shardload does not make", "locked": "lacks the column id", "shaped": "cannot be read: another session has it locked"}
	for schema, why := range want {
		if slices.Contains(list.LeftAlone, UntrustedError{Table: server.Shown(schema, jobsTable), Reason: why}) {
			delete(want, schema)
		}
	}
	if len(want) > 0 {
		t.Errorf("left alone are %v, and not %v", list.LeftAlone, want)
	}
	pgtest.Exec(t, other, "ROLLBACK")

	pgtest.Exec(t, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM pg_class")
	pgtest.Exec(t, other, "ALTER TABLE falls."+jobsTable+" ALTER id DROP DEFAULT", "DROP FUNCTION falls.f()")
	if _, err := readTables(t.Context(), conn, "true"); err != nil {
		t.Errorf("a function is dropped: %v", err)
	}
	pgtest.Exec(t, conn, "ROLLBACK")
}

// TestLongStranger holds that what is read out of the tables of an owner whom nobody trusts
// has a bound, however short it is on disk.
func TestLongStranger(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	pgtest.Exec(t, conn, "CREATE TABLE "+jobsTable+jobsShape.create(""),
		"INSERT INTO "+jobsTable+` (id, target, target_oid, file_node, kind, name, fingerprint, rejects)
		SELECT 'id' || i, 't', 1, 1, 'local', 'n' || i, '{}', repeat('x', 60000) FROM generate_series(1, 400) AS i`)
	all, err := findTables(t.Context(), conn)
	if err != nil || len(all.jobs) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	of := *all.jobs[0]
	of.trusted = false
	of.left = new(of.most())
	read := 0
	err = of.copyOut(t.Context(), conn, "rejects", func(fields []string) error {
		read += len(fields[0])
		return nil
	})
	if _, ok := errors.AsType[*UntrustedError](err); !ok || read == 0 || read > maxStrange {
		t.Errorf("read %d bytes, error %v; want %d at most, and an error", read, err, maxStrange)
	}
}
