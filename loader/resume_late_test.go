package loader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
	"shardload/loader"
)

// numbered returns a file for the table flowing, with that many rows from an id on.
func numbered(t *testing.T, from, rows int) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("id,tenant,name,n,at\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,%d,name of %d,1,2020-01-01\n", from+i, i%50, i)
	}
	return writeInput(t, b.Bytes())
}

// awaitRow waits until the query has a row.
func awaitRow(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); len(query(t, conn, sql)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no row yet: %s", sql)
		}
	}
}

// TestLateWhole holds that a file is stored once which a run that was killed at its
// COMMIT stores whole after all, when the next run has looked for its job already.
func TestLateWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, server string
		replace      bool // the first run empties the table, as load --replace does
		second       func(*loader.Config)
	}{
		{name: "same", second: func(*loader.Config) {}},
		{name: "in pieces", second: func(c *loader.Config) { c.Memory, c.MaxRecord = 8<<20, 1<<20 }},
		{name: "other route", server: "citus", second: func(c *loader.Config) { c.Route = loader.RouteShard }},
		{name: "replace", replace: true, second: func(*loader.Config) {}},
		{name: "other address", second: func(c *loader.Config) { c.Conn.Host = "localhost" }},
		{name: "other null", second: func(c *loader.Config) { c.Null = "NULL" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := pgtest.Plain
			if c.server == "citus" {
				start = pgtest.Citus
			}
			wholeLate(t, start(t), c.replace, c.second)
		})
	}
}

// wholeLate kills a load at its only COMMIT, which takes effect after a second load
// has looked for the job, and before it makes its own.
func wholeLate(t *testing.T, dsn string, replace bool, second func(*loader.Config)) {
	conn := makeFlowing(t, dsn)
	path := numbered(t, 0, 20000)
	cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "late"}
	ctx, cancel := context.WithCancel(context.Background())
	late := &faultyNet{holds: 2 * time.Second, held: cancel}
	late.broken.Store(true)
	killed := cfg
	killed.Conn = parse(t, dsn)
	killed.Conn.DialFunc = late.dial
	l := open(t, killed)
	if replace {
		exec(t, conn, "INSERT INTO flowing (id, tenant) VALUES (-1, 1)")
		if err := loader.Truncate(context.Background(), parse(t, dsn), "flowing"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Load(ctx, loader.File(path)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}

	other := pgtest.Connect(t, dsn) // makes its progress table just now
	exec(t, other, "BEGIN; "+ledger.TablesLockSQL(query(t, conn, "SELECT current_schema()")[0]))
	second(&cfg)
	l = open(t, cfg)
	done := make(chan error, 1)
	go func() {
		_, err := l.Load(context.Background(), loader.File(path))
		done <- err
	}()
	awaitRow(t, conn, "SELECT 1 FROM shardload_jobs")
	exec(t, other, "COMMIT")
	err := <-done
	_, complete := errors.AsType[*loader.CompleteError](err)
	_, refused := errors.AsType[*loader.JobError](err) // it is read otherwise now
	if err != nil && !complete && !refused {
		t.Error(err)
	}
	if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; got != "20000|20000" {
		t.Errorf("rows|different: %s, want 20000|20000", got)
	}
	if got := query(t, conn, "SELECT count(*), sum(rows) FROM shardload_jobs WHERE finished IS NOT NULL AND file_node = (SELECT relfilenode FROM pg_class WHERE oid = 'flowing'::regclass)")[0]; got != "1|20000" {
		t.Errorf("complete jobs of the table's file|rows: %s, want 1|20000", got)
	}
}

// TestRenamedAndEmptied holds that --replace forgets the jobs of a table under the name
// that it had.
func TestRenamedAndEmptied(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	a, b := numbered(t, 0, 300), numbered(t, 1000, 200)
	cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing"}
	if _, err := run(t, cfg, loader.File(b), 0); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "ALTER TABLE flowing RENAME TO flown")
	cfg.Table = "flown"
	if err := loader.Truncate(context.Background(), parse(t, dsn), "flown"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{a, b} {
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Error(err)
		}
	}
	if got := query(t, conn, "SELECT count(*) FROM flown")[0]; got != "500" {
		t.Errorf("%s rows, want 500", got)
	}
}

// TestJobNotMadeAtOnce holds that a load whose job is not made at the first try
// makes it at the next, and does not take the complete job that it replaces for
// another process's.
func TestJobNotMadeAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	cfg := pieces(t, dsn)
	cfg.Job = "daily"
	if _, err := run(t, cfg, loader.File(numbered(t, 0, 300)), 0); err != nil {
		t.Fatal(err)
	}
	other := pgtest.Connect(t, dsn)
	exec(t, other, "BEGIN; LOCK TABLE shardload_jobs IN EXCLUSIVE MODE")
	done := make(chan error, 1)
	path := numbered(t, 1000, 20000) // too long for one transaction
	go func() {
		_, err := run(t, cfg, loader.File(path), 0)
		done <- err
	}()
	const waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%shardload_jobs%'"
	awaitRow(t, conn, "SELECT 1 "+waiting)
	exec(t, conn, "SELECT pg_terminate_backend(pid) "+waiting)
	exec(t, other, "COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := query(t, conn, "SELECT count(*) FROM flowing")[0]; got != "20300" {
		t.Errorf("%s rows, want 20300", got)
	}
}
