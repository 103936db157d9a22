package loader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
	"shardload/loader"
)

// otherSchema makes a schema beside conn's. Its name has to be quoted.
func otherSchema(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	schema := `"Other ` + ledger.NewID() + `"`
	exec(t, conn, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { exec(t, conn, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
	return schema
}

// TestMovedToSchema holds that a table which was moved to another schema keeps its jobs:
// those that are complete, and those that go on.
func TestMovedToSchema(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		here, there := query(t, conn, "SELECT current_schema()")[0], otherSchema(t, conn)
		small, smaller := loader.File(numbered(t, 100_000, 300)), loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "small"}
		path, rows := flowFile(t, 3000)
		large := pieces(t, dsn)
		if _, err := run(t, smaller, small, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, large, loader.File(path), 5); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		exec(t, conn, "ALTER TABLE flowing SET SCHEMA "+there)
		table := there + ".flowing"
		smaller.Table, large.Table = table, table
		nothingLeft(t, smaller, small)
		if _, err := run(t, large, loader.File(path), 3); !errors.Is(err, context.Canceled) {
			t.Fatalf("gone on: %v", err)
		}
		exec(t, conn, "ALTER TABLE "+table+" SET SCHEMA "+here) // and back, where a table of jobs is, too
		smaller.Table, large.Table = "flowing", "flowing"
		if _, err := run(t, large, loader.File(path), 0); err != nil {
			t.Fatalf("gone on: %v", err)
		}
		nothingLeft(t, large, loader.File(path))
		nothingLeft(t, smaller, small)
		holds(t, conn, "flowing", 300+rows)
		if got := query(t, conn, "SELECT count(*) FROM "+there+".shardload_jobs")[0]; got != "0" {
			t.Errorf("%s jobs are left behind", got)
		}
		for _, e := range jobsOf(t, conn) {
			if e.Problem != "" || !e.Complete() {
				t.Errorf("status says of %s, %s: %s", e.ID, e.Table, e.Problem)
			}
		}
	})
}

// TestMovedWhileLoading holds that a table which is moved to another schema in the midst of
// a load gets every row once, when the load is run again.
func TestMovedWhileLoading(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		there := otherSchema(t, conn)
		path, rows := flowFile(t, 6000)
		cfg := pieces(t, dsn)
		cfg.RetryFor = time.Second
		moved := make(chan error, 1)
		mover := pgtest.Connect(t, dsn)
		n := 0
		cfg.Streams = 1
		cfg.Observe = func(loader.StoredBatch) {
			if n++; n == 3 {
				go func() {
					_, err := mover.Exec(context.Background(), "ALTER TABLE flowing SET SCHEMA "+there)
					moved <- err
				}()
			}
		}
		l, err := loader.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Load(t.Context(), loader.File(path))
		l.Close()
		if moveErr := <-moved; moveErr != nil {
			t.Fatal(moveErr)
		}
		t.Logf("the load that was under way: %v", err)
		cfg.Observe, cfg.Table = nil, there+".flowing"
		if _, err := run(t, cfg, loader.File(path), 0); err != nil && !isComplete(err) {
			t.Fatalf("once more: %v", err)
		}
		nothingLeft(t, cfg, loader.File(path))
		holds(t, conn, there+".flowing", rows)
	})
}

// TestMovedAndEmptied holds that a table which was moved and then emptied with its jobs is
// loaded anew, file after file.
func TestMovedAndEmptied(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	there := otherSchema(t, conn)
	load := func(table string, name string, from int) error {
		return second(run(t, loader.Config{Conn: parse(t, dsn), Table: table, Job: name}, loader.File(numbered(t, from, 300)), 0))
	}
	if err := errors.Join(load("flowing", "a", 0), load("flowing", "b", 1000)); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "ALTER TABLE flowing SET SCHEMA "+there)
	table := there + ".flowing"
	if err := loader.Truncate(t.Context(), parse(t, dsn), table); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(load(table, "a", 0), load(table, "b", 1000)); err != nil {
		t.Fatal(err)
	}
	holds(t, conn, table, 600)
}

// TestMovedFromOthers holds that a table of jobs in another schema counts only if it is as
// shardload makes it and belongs to whom the role trusts about the table, and that a job
// which cannot be moved refuses the load.
func TestMovedFromOthers(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		there := otherSchema(t, conn)
		mallory := "mallory_" + strings.ToLower(ledger.NewID())
		exec(t, conn, "CREATE ROLE "+mallory)
		t.Cleanup(func() { exec(t, conn, "DROP OWNED BY "+mallory); exec(t, conn, "DROP ROLE "+mallory) })
		in := loader.File(numbered(t, 0, 300))
		cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "in"}
		if err := second(run(t, cfg, in, 0)); err != nil {
			t.Fatal(err)
		}
		for name, sql := range map[string]string{
			"stranger": "ALTER TABLE shardload_jobs OWNER TO " + mallory,
			"trigger":  "CREATE TRIGGER t BEFORE DELETE ON shardload_jobs FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()",
			"shape":    "ALTER TABLE shardload_jobs DROP COLUMN bytes",
		} {
			if name == "trigger" && strings.HasSuffix(t.Name(), "citus") {
				continue // it does not take one
			}
			schema := otherSchema(t, conn)
			exec(t, conn, "CREATE TABLE "+schema+".shardload_jobs (LIKE shardload_jobs INCLUDING ALL)")
			exec(t, conn, "INSERT INTO "+schema+".shardload_jobs SELECT * FROM shardload_jobs")
			exec(t, conn, strings.ReplaceAll(sql, "shardload_jobs", schema+".shardload_jobs"))
		}
		exec(t, conn, "CREATE SCHEMA IF NOT EXISTS "+there)
		exec(t, conn, "DROP TABLE shardload_jobs")
		exec(t, conn, "ALTER TABLE flowing SET SCHEMA "+there)
		cfg.Table = there + ".flowing"
		if err := second(run(t, cfg, in, 0)); err != nil {
			t.Fatalf("beside tables of jobs of others: %v", err)
		}
		holds(t, conn, fmt.Sprintf("(SELECT DISTINCT id FROM %s.flowing) AS d", there), 300)
	})
}

// TestMovedOutOfReach holds that a load is refused whose job lies in a schema from which the
// role cannot move it.
func TestMovedOutOfReach(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	here, there := query(t, conn, "SELECT current_schema()")[0], otherSchema(t, conn)
	role := "loads_" + strings.ToLower(ledger.NewID())
	exec(t, conn, "CREATE ROLE "+role+" LOGIN PASSWORD '"+role+"'")
	t.Cleanup(func() { exec(t, conn, "DROP OWNED BY "+role); exec(t, conn, "DROP ROLE "+role) })
	in := loader.File(numbered(t, 0, 300))
	cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "in"}
	if err := second(run(t, cfg, in, 0)); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "ALTER TABLE flowing SET SCHEMA "+there)
	for _, sql := range []string{
		"GRANT USAGE, CREATE ON SCHEMA %[3]s TO %[1]s", "GRANT USAGE ON SCHEMA %[2]s TO %[1]s",
		"GRANT SELECT, INSERT ON %[3]s.flowing TO %[1]s", "GRANT SELECT ON %[2]s.shardload_jobs TO %[1]s",
	} {
		exec(t, conn, fmt.Sprintf(sql, role, here, there))
	}
	cfg.Table = there + ".flowing"
	cfg.Conn = parse(t, dsn)
	cfg.Conn.User, cfg.Conn.Password = role, role
	_, refused := errors.AsType[*loader.JobError](second(run(t, cfg, in, 0)))
	if !refused {
		t.Error("the job was not seen")
	}
	holds(t, conn, cfg.Table, 300)
}

// TestMovedAndMadeAnew holds that a table which was moved to another schema keeps its jobs
// when a new one takes its place.
func TestMovedAndMadeAnew(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		there := otherSchema(t, conn)
		in := loader.File(numbered(t, 0, 300))
		load := func(table string) error {
			return second(run(t, loader.Config{Conn: parse(t, dsn), Table: table, Job: "in"}, in, 0))
		}
		if err := load("flowing"); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "ALTER TABLE flowing SET SCHEMA "+there)
		exec(t, conn, "CREATE TABLE flowing (LIKE "+there+".flowing)")
		exec(t, conn, "ALTER TABLE flowing REPLICA IDENTITY FULL")
		distribute(t, conn, "flowing", "tenant")
		if err := load("flowing"); err != nil {
			t.Fatalf("into the new table: %v", err)
		}
		for _, table := range []string{there + ".flowing", "flowing"} {
			if err := load(table); !isComplete(err) {
				t.Errorf("into %s: %v, want a CompleteError", table, err)
			}
			holds(t, conn, table, 300)
		}
	})
}
