package loader_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// asBefore makes tables of jobs and progress what the first version made: without the
// columns and the number that came later, and with a hexadecimal id of a small file's job.
const asBefore = `DO $$ DECLARE p text; BEGIN
	UPDATE shardload_jobs SET fingerprint = jsonb_build_object('size', fingerprint -> 'size', 'head', fingerprint -> 'head', 'tail', fingerprint -> 'tail',
		'form', fingerprint -> 'form', 'unit', fingerprint -> 'unit', 'lanes', fingerprint -> 'lanes');
	FOR p IN SELECT progress FROM shardload_jobs WHERE progress IS NOT NULL LOOP
		EXECUTE 'ALTER TABLE ' || p || ' DROP COLUMN sum, DROP COLUMN in_sum';
	END LOOP;
	ALTER TABLE shardload_jobs RENAME TO made;
	CREATE TABLE shardload_jobs (
		id text PRIMARY KEY, target text NOT NULL, target_oid oid NOT NULL, file_node oid NOT NULL, kind text NOT NULL, name text NOT NULL,
		fingerprint jsonb NOT NULL, progress text, rejects text, begun timestamptz NOT NULL DEFAULT now(), finished timestamptz,
		rows bigint NOT NULL DEFAULT 0, rejected bigint NOT NULL DEFAULT 0, updated bigint NOT NULL DEFAULT 0, skipped bigint NOT NULL DEFAULT 0,
		bytes bigint NOT NULL DEFAULT 0, UNIQUE (target, name)) USING heap;
	INSERT INTO shardload_jobs SELECT * FROM made; DROP TABLE made;
	UPDATE shardload_jobs SET id = '0189abcdef0189ab' WHERE progress IS NULL;
	END $$`

// TestOlderJobs holds that jobs which the first version kept go on, or are known to be
// complete.
func TestOlderJobs(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path, rows := flowFile(t, 3000)
		cfg := pieces(t, dsn)
		if _, err := run(t, cfg, loader.File(path), 10); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		exec(t, conn, asBefore)
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Fatal(err)
		}
		complete(t, conn, cfg, loader.File(path), rows)
		exec(t, conn, asBefore)
		complete(t, conn, cfg, loader.File(path), rows)
		var record map[string]any
		exec(t, conn, "UPDATE shardload_jobs SET fingerprint = jsonb_set(fingerprint, '{version}', '99')")
		if err := json.Unmarshal([]byte(query(t, conn, "SELECT fingerprint FROM shardload_jobs")[0]), &record); err != nil || record["version"] != 99.0 {
			t.Fatal(record, err)
		}
		if _, err := run(t, cfg, loader.File(path), 0); err == nil {
			t.Error("a job of a later version is taken for one of this")
		}
		sameRows(t, conn, "flowing", rows)
	})
}

// TestMadeAnewBesideOthers holds that rows which another job has stored in a table that
// was dropped and made anew are not taken for one's own, and that one's own are.
func TestMadeAnewBesideOthers(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		load := func(name string, from int) error {
			cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: name}
			_, err := run(t, cfg, loader.File(numbered(t, from, 300)), 0)
			return err
		}
		if err := errors.Join(load("a", 0), load("b", 1000)); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "DROP TABLE flowing; "+flowing)
		distribute(t, conn, "flowing", "tenant")
		for i, name := range []string{"a", "b"} {
			if err := load(name, 1000*i); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := query(t, conn, "SELECT count(*), count(DISTINCT id) FROM flowing")[0]; got != fmt.Sprintf("%[1]d|%[1]d", 300*(i+1)) {
				t.Errorf("after %s: %s rows", name, got)
			}
		}
		// With a row more than the jobs account for nobody knows.
		exec(t, conn, "UPDATE shardload_jobs SET target_oid = 1 WHERE name = 'b'")
		if _, refused := errors.AsType[*loader.JobError](load("b", 1000)); !refused {
			t.Error("rows that may be one's own are not seen")
		}
	})
}
