package loader_test

import (
	"bytes"
	cryptorand "crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// dropper is a trigger that drops each row with an id of each third.
const dropper = `CREATE FUNCTION drop_some() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id % 3 = 1 THEN RETURN NULL; END IF; RETURN NEW; END'`

// dropping makes tables of all kinds, with a trigger that drops rows: of the table itself,
// or made by hand on one shard, of which the coordinator does not know.
func dropping(t *testing.T, dsn string, conn *pgx.Conn) (tables []string) {
	t.Helper()
	const columns, trigger = " (id int, tenant int, name text, n bigint, at timestamptz, PRIMARY KEY (id, tenant))", "CREATE TRIGGER drop_some BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION drop_some()"
	exec(t, conn, "SET citus.enable_unsafe_triggers = on")
	exec(t, conn, "SET citus.shard_count = 2") // one on each worker
	exec(t, conn, dropper)
	w := workers(t, conn)[0]
	for _, table := range []struct{ name, distribute, hidden string }{
		{"dropping", "SELECT create_distributed_table('dropping', 'tenant', colocate_with => 'none')", ""},
		{"everywhere", "SELECT create_reference_table('everywhere')", ""},
		{"managed", "SELECT citus_add_local_table_to_metadata('managed')", ""},
		{"hidden", "SELECT create_distributed_table('hidden', 'tenant', colocate_with => 'none')", "hidden"},
		{"some_copies", "SELECT create_reference_table('some_copies')", "some_copies"},
		{"lonely", "SELECT create_distributed_table('lonely', NULL, colocate_with => 'none')", "lonely"},
		{"parted", "SELECT create_distributed_table('parted', 'tenant', colocate_with => 'none')", "parted_a"},
	} {
		by := ""
		if table.name == "parted" {
			by = " PARTITION BY RANGE (id)"
		}
		exec(t, conn, "CREATE TABLE "+table.name+columns+by)
		if by != "" {
			exec(t, conn, "CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (0) TO (1500)")
			exec(t, conn, "CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (1500) TO (100000)")
		}
		exec(t, conn, table.distribute)
		if table.hidden == "" {
			exec(t, conn, fmt.Sprintf(trigger, table.name))
		} else {
			at := w
			if table.name == "lonely" {
				at = placed(t, conn, "lonely")
			}
			exec(t, pgtest.Connect(t, at.at(t, dsn)), "SET citus.enable_manual_changes_to_shards = on; SET citus.enable_ddl_propagation = off; SET citus.override_table_visibility = off; "+
				fmt.Sprintf(trigger, shardOn(t, conn, table.hidden, at)))
		}
		tables = append(tables, table.name)
	}
	return tables
}

// placed returns the worker that has a shard of the table.
func placed(t *testing.T, conn *pgx.Conn, table string) worker {
	t.Helper()
	port := query(t, conn, "SELECT nodeport FROM citus_shards WHERE table_name = '"+table+"'::regclass AND nodeport IN (SELECT nodeport FROM pg_dist_node WHERE groupid > 0)")[0]
	ws := workers(t, conn)
	return ws[slices.IndexFunc(ws, func(w worker) bool { return w.port == port })]
}

// shardOn returns the name of a shard of the table on a worker.
func shardOn(t *testing.T, conn *pgx.Conn, table string, w worker) string {
	t.Helper()
	shard := query(t, conn, "SELECT shard_name FROM citus_shards WHERE table_name = '"+table+"'::regclass AND nodeport = "+w.port)[0]
	if !strings.Contains(shard, ".") {
		shard = query(t, conn, "SELECT current_schema()")[0] + "." + shard
	}
	return shard
}

// TestDroppedRows holds that no load succeeds over rows that a trigger has dropped, by any
// route, of files in one transaction or in pieces and of inputs that are read once, where
// conflicts are errors or are skipped, with bad records and without.
func TestDroppedRows(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	path, large := numbered(t, 0, 2000), numbered(t, 0, 16_000) // the latter is stored in pieces
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ways := []string{"errors", "skip", "once", "pieces", "rejects", "skip once"}
	tried := 0
	for _, table := range dropping(t, dsn, conn) {
		spread := !slices.Contains([]string{"everywhere", "some_copies", "managed"}, table)
		for i, route := range []loader.Route{loader.RouteAuto, loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
			if testing.Short() && spread && i%2 != tried%2 {
				tried++
				continue
			}
			if !spread && (route == loader.RouteShard || route == loader.RouteNode) {
				continue
			}
			for i, way := range ways {
				if !long() && i != tried%len(ways) {
					continue
				}
				cfg := loader.Config{Conn: parse(t, dsn), Table: table, Route: route, Job: cryptorand.Text()}
				in := loader.File(path)
				if strings.Contains(way, "skip") {
					cfg.OnConflict = loader.ConflictSkip
				}
				switch {
				case way == "rejects":
					cfg.MaxErrors, cfg.RejectsDir = loader.ErrorLimit{Percent: 100}, t.TempDir()
				case way == "pieces":
					cfg.Memory, cfg.MaxRecord = 8<<20, 1<<20
					in = loader.File(large)
				case strings.Contains(way, "once"):
					in = loader.Reader("in", bytes.NewReader(text))
				}
				res, err := run(t, cfg, in, 0)
				if err == nil || !strings.Contains(err.Error(), "a trigger of") {
					t.Errorf("%s by route %s, %s: %d rows, %d skipped, error %v", table, route, way, res.Rows, res.Skipped, err)
				}
				exec(t, conn, "DELETE FROM "+table)
			}
			tried++
		}
	}
}

// TestTriggerComes holds that no load goes on over a trigger that is made on a shard while
// it runs.
func TestTriggerComes(t *testing.T) {
	t.Parallel()
	dsn, conn := flowTable(t)
	exec(t, conn, dropper)
	w := workers(t, conn)[0]
	by := pgtest.Connect(t, w.at(t, dsn))
	exec(t, by, "SET citus.enable_manual_changes_to_shards = on; SET citus.enable_ddl_propagation = off")
	shard := shardOn(t, conn, "flowing", w)
	for _, route := range []loader.Route{loader.RouteNode, loader.RouteCoordinator} {
		r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route, Job: "by " + string(route)}, newFlow(0))
		exec(t, by, "CREATE TRIGGER drop_some BEFORE INSERT ON "+shard+" FOR EACH ROW EXECUTE FUNCTION drop_some()")
		select {
		case <-r.done:
		case <-time.After(time.Minute):
		}
		if _, err := r.finish(); err == nil || !strings.Contains(err.Error(), "a trigger of") {
			t.Errorf("%s: error %v", route, err)
		}
		exec(t, by, "DROP TRIGGER drop_some ON "+shard)
	}
}

// TestDroppedWithoutKey holds that rows without a key which a trigger drops are not taken
// for rows that were in the way of others.
func TestDroppedWithoutKey(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE loose (id int, code int UNIQUE, name text)")
	exec(t, conn, dropper)
	exec(t, conn, "CREATE TRIGGER drop_some BEFORE INSERT ON loose FOR EACH ROW EXECUTE FUNCTION drop_some()")
	cfg := loader.Config{Conn: parse(t, dsn), Table: "loose", OnConflict: loader.ConflictSkip}
	for in, want := range map[string]string{"id,code,name\n2,,a\n3,,b\n5,7,c\n6,7,d\n": "", "id,code,name\n1,,a\n": "a trigger of"} {
		res, err := run(t, cfg, loader.Reader(in, strings.NewReader(in)), 0)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && res.Skipped != 1 {
			t.Errorf("%q: %d rows, %d skipped, error %v", in, res.Rows, res.Skipped, err)
		}
	}
}

// TestDroppedByOperator holds that a key's own operators tell whether a row of that key
// is there, those of an extension, too, and not another role's: one that says of all keys
// that they are alike would hide each row that was dropped.
func TestDroppedByOperator(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, dropper)
	exec(t, conn, `CREATE SCHEMA kept; CREATE EXTENSION citext SCHEMA kept;
		CREATE FUNCTION alike(varchar, varchar) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = alike);
		CREATE FUNCTION alike(kept.citext, kept.citext) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR = (LEFTARG = kept.citext, RIGHTARG = kept.citext, FUNCTION = alike)`)
	for _, key := range []string{"name varchar(9) UNIQUE, n int", "name kept.citext UNIQUE, n int", "n int, name kept.citext, UNIQUE (name, n)", "n int, name varchar, UNIQUE (n, name)"} {
		exec(t, conn, "DROP TABLE IF EXISTS named; CREATE TABLE named (id int, "+key+"); CREATE TRIGGER drop_some BEFORE INSERT ON named FOR EACH ROW EXECUTE FUNCTION drop_some()")
		exec(t, conn, "INSERT INTO named (id, name, n) VALUES (2, 'old', 1)")
		cfg := loader.Config{Conn: parse(t, dsn), Table: "named", OnConflict: loader.ConflictSkip}
		for in, want := range map[string]string{"id,name,n\n3,new,1\n5,old,1\n": "", "id,name,n\n1,other,1\n5,old,1\n": "a trigger of"} {
			cfg.Job = key + in
			res, err := run(t, cfg, loader.Reader("in", strings.NewReader(in)), 0)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && res.Skipped != 1 {
				t.Errorf("%s: %q: %d rows, %d skipped, error %v", key, in, res.Rows, res.Skipped, err)
			}
		}
	}
}

// TestDroppedRowsOfNulls holds that a key whose value is a row of NULLs is a key, which
// conflicts with another one: it is none of those rows that are in nobody's way, and not
// one that is left out of the count either.
func TestDroppedRowsOfNulls(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TYPE comp AS (a int, b text); CREATE TABLE composed (id int, k comp UNIQUE)")
	exec(t, conn, dropper)
	exec(t, conn, "CREATE TRIGGER drop_some BEFORE INSERT ON composed FOR EACH ROW EXECUTE FUNCTION drop_some(); INSERT INTO composed VALUES (2, '(,)')")
	cfg := loader.Config{Conn: parse(t, dsn), Table: "composed", OnConflict: loader.ConflictSkip}
	load := func(in, want string, stored, skipped int64) {
		t.Helper()
		res, err := run(t, cfg, loader.Reader(in, strings.NewReader(in)), 0)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && (res.Rows != stored || res.Skipped != skipped) {
			t.Errorf("%q: %d rows, %d skipped, error %v", in, res.Rows, res.Skipped, err)
		}
	}
	load("id,k\n3,\"(,)\"\n5,\"(1,)\"\n6,\n", "", 3, 1)
	exec(t, conn, "DELETE FROM composed WHERE id = 2")
	load("id,k\n1,\"(,)\"\n", "a trigger of", 0, 0) // no row of that key is there
	exec(t, conn, "DROP TRIGGER drop_some ON composed")
	cfg.OnConflict = loader.ConflictUpdate
	load("id,k\n1,\"(,)\"\n4,\"(,)\"\n", "", 2, 0)
	if got := pgtest.Query(t, conn, "SELECT id FROM composed WHERE k = ROW(NULL, NULL)::comp"); len(got) != 1 || got[0] != "4" {
		t.Errorf("the row of that key: %v, want the newest", got)
	}
}
