package loader_test

import (
	"errors"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestEmptiedMeanwhile holds that no load is complete over a table of which a partition or
// a shard was emptied, filled anew, detached or dropped while it ran or since.
func TestEmptiedMeanwhile(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		const first = "CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (0) TO (500)"
		exec(t, conn, "CREATE TABLE parted (id int, tenant int, name text, n bigint, at timestamptz) PARTITION BY RANGE (id)")
		exec(t, conn, first)
		exec(t, conn, "CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (500) TO (100000)")
		distribute(t, conn, "parted", "tenant")
		citus := strings.HasSuffix(t.Name(), "citus")
		path := numbered(t, 0, 1000)
		wreck := map[string][]string{
			"truncate":           {"TRUNCATE parted"},
			"truncate partition": {"TRUNCATE parted_a", "DELETE FROM parted"},
			"detach":             {"ALTER TABLE parted DETACH PARTITION parted_a", "DROP TABLE parted_a", first, "DELETE FROM parted"},
			"drop":               {"DROP TABLE parted_a", first, "DELETE FROM parted"},
		}
		refill := "INSERT INTO parted SELECT i, i % 50, 'other' FROM generate_series(0, 999) i"
		for name, sql := range wreck {
			cfg := loader.Config{Conn: parse(t, dsn), Table: "parted", Job: "since " + name}
			exec(t, conn, "TRUNCATE parted")
			if _, err := run(t, cfg, loader.File(path), 0); err != nil {
				t.Fatal(err)
			}
			for _, sql := range append(sql, refill) {
				exec(t, conn, sql)
			}
			refused(t, "since: "+name, cfg, path)
		}
		if !citus {
			return
		}
		exec(t, conn, "TRUNCATE parted")
		cfg := loader.Config{Conn: parse(t, dsn), Table: "parted", Job: "at a worker"}
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Fatal(err)
		}
		worker := pgtest.Connect(t, workers(t, conn)[0].at(t, dsn))
		exec(t, worker, "TRUNCATE parted")
		exec(t, conn, refill)
		refused(t, "at a worker", cfg, path)
	})
}

// refused holds that the load is refused with a JobError.
func refused(t *testing.T, name string, cfg loader.Config, path string) {
	t.Helper()
	res, err := run(t, cfg, loader.File(path), 0)
	if _, ok := errors.AsType[*loader.JobError](err); !ok {
		t.Errorf("%s: %d rows, error %v; want a JobError", name, res.Rows, err)
	}
}

// TestEmptiedBesides holds the same of a load that runs.
func TestEmptiedBesides(t *testing.T) {
	t.Parallel()
	dsn, conn := flowTable(t)
	worker := pgtest.Connect(t, workers(t, conn)[0].at(t, dsn))
	for _, route := range direct {
		r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route, Job: "besides " + string(route)}, newFlow(0))
		exec(t, worker, "TRUNCATE flowing")
		if _, err := r.finish(); !changed(err) {
			t.Errorf("%s: error %v, want a ChangedError", route, err)
		}
	}
}
