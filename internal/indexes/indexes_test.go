package indexes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/indexes"
	"shardload/internal/ledger"
	"shardload/internal/pgtest"
	"shardload/internal/server"
	"shardload/loader/failure"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func exec(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func query(t testing.TB, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

// describeSQL is all that is known of the indexes of %s, a condition of a table t.
const describeSQL = `SELECT string_agg(concat_ws(' | ', pg_get_indexdef(i.indexrelid), s.spcname, obj_description(c.oid, 'pg_class'),
	CASE WHEN i.indisclustered THEN 'clustered' END, CASE WHEN NOT i.indisvalid THEN 'invalid' END, CASE WHEN i.indisreplident THEN 'identity' END,
	(SELECT string_agg(a.attnum || ' ' || a.attstattarget, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0),
	'of ' || (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = c.oid)), E'\n' ORDER BY c.relname)
	FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE %s`

// describe returns all that is known of the indexes in the current schema, and on each shard.
func describe(t testing.TB, conn *pgx.Conn, onCitus bool) []string {
	t.Helper()
	list := query(t, conn, fmt.Sprintf(describeSQL, "t.relnamespace = current_schema()::regnamespace AND t.relname !~ '^shardload_'"))
	if !onCitus {
		return list
	}
	for _, table := range query(t, conn, `SELECT logicalrelid::text FROM pg_dist_partition JOIN pg_class c ON c.oid = logicalrelid
		WHERE relnamespace = current_schema()::regnamespace AND relname !~ '^shardload_' ORDER BY 1`) {
		on := fmt.Sprintf(describeSQL, `t.oid = '%s'::regclass`)
		list = append(list, query(t, conn, fmt.Sprintf(`SELECT r.shardid || ' ' || nodeport || ' ' || success || ' ' || coalesce(result, '') FROM run_command_on_placements('%s', %s) r ORDER BY 1`,
			table, server.Literal(on)))...)
	}
	return list
}

// target returns the target of that name, as a load has it.
func target(t testing.TB, conn *pgx.Conn, name string) ledger.Target {
	t.Helper()
	table, err := catalog.Lookup(t.Context(), conn, name)
	if err != nil {
		t.Fatal(err)
	}
	d := &citus.Distribution{Kind: citus.Local}
	if version, err := citus.Version(t.Context(), conn); err != nil {
		t.Fatal(err)
	} else if version != "" {
		batch := &pgx.Batch{}
		d = citus.QueueDistribution(batch, table.OID)
		if err := server.Ask(t.Context(), conn, batch); err != nil {
			t.Fatal(err)
		}
	}
	return ledger.Target{Table: table, Distribution: d}
}

// builder returns a Builder, whose log comes from told.
func builder(t testing.TB, dsn string, of ledger.Target) *indexes.Builder {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return &indexes.Builder{
		Target:  of,
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return server.Open(ctx, cfg) },
		Persist: func(_ context.Context, fn func() error) error { return fn() },
		Log:     slog.New(slog.DiscardHandler), AtOnce: 3, Tell: func(int, int) {},
	}
}

// tables are what is tried, by a name, each with the name of its table.
var tables = map[string][]string{
	"kinds": {
		"CREATE TABLE kinds (id int, tenant int, a int, b text, c int[], d box, e timestamptz, f varchar(10), gone int, PRIMARY KEY (id, tenant))",
		"ALTER TABLE kinds DROP COLUMN gone",
		"CREATE INDEX plain ON kinds (a)", "CREATE INDEX \"Odd Name\" ON kinds (a DESC NULLS LAST, b)",
		"CREATE INDEX covering ON kinds (a) INCLUDE (b, e) WITH (fillfactor = 70)",
		"CREATE INDEX partly ON kinds (a) WHERE a > 3 AND b <> ' WHERE '", "CREATE INDEX expr ON kinds (lower(b), (a + 1))",
		"ALTER INDEX expr ALTER COLUMN 1 SET STATISTICS 321", "ALTER INDEX expr ALTER COLUMN 2 SET STATISTICS 7",
		"CREATE INDEX pattern ON kinds (b text_pattern_ops, f varchar_pattern_ops)", `CREATE INDEX coll ON kinds (b COLLATE "C")`,
		"CREATE INDEX gin ON kinds USING gin (c) WITH (fastupdate = off)", "CREATE INDEX gist ON kinds USING gist (d)", "CREATE INDEX spgist ON kinds USING spgist (d)",
		"CREATE INDEX brin ON kinds USING brin (e timestamptz_minmax_multi_ops (values_per_range = 64)) WITH (pages_per_range = 16)", "CREATE INDEX hash ON kinds USING hash (f)",
		"COMMENT ON INDEX plain IS 'it''s plain; DROP TABLE kinds'", "CREATE UNIQUE INDEX single ON kinds (tenant, id, a)",
	},
	"parts": {
		"CREATE TABLE parts (id int, tenant int, at date, v text) PARTITION BY RANGE (at)",
		"CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
		"CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
		"CREATE INDEX parts_v ON parts (v)", "CREATE INDEX old_only ON parts_old (id, v) WHERE v IS NOT NULL",
		"CREATE INDEX incomplete ON ONLY parts (at)", "CREATE INDEX odd_part ON parts_old (at)", "ALTER INDEX incomplete ATTACH PARTITION odd_part",
		"CREATE INDEX whole ON ONLY parts (tenant)", "CREATE INDEX whole_a ON parts_new (tenant)", "CREATE INDEX whole_b ON parts_old (tenant)",
		"ALTER INDEX whole ATTACH PARTITION whole_a", "ALTER INDEX whole ATTACH PARTITION whole_b",
		"COMMENT ON INDEX whole_b IS 'of the old ones'",
	},
}

// local are what only a server without Citus has.
var local = map[string][]string{
	"local": {
		"CREATE TABLE local (id int PRIMARY KEY, a int NOT NULL, b text)", "CREATE INDEX away ON local (a) TABLESPACE @@ WHERE a > 1", "CREATE INDEX marked ON local (b)",
		"ALTER TABLE local CLUSTER ON marked", "CREATE UNIQUE INDEX ident ON local (a)", "ALTER TABLE local REPLICA IDENTITY USING INDEX ident",
		"CREATE INDEX whole_row ON local (((local.*) IS NULL))", "ALTER INDEX away SET (fillfactor = 50)",
	},
	"deep": {
		"CREATE TABLE deep (id int, at date, v text) PARTITION BY RANGE (at)",
		"CREATE TABLE deep_a PARTITION OF deep FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (id)",
		"CREATE TABLE deep_a1 PARTITION OF deep_a FOR VALUES IN (1)", "CREATE TABLE deep_a2 PARTITION OF deep_a DEFAULT",
		"CREATE TABLE deep_b PARTITION OF deep FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
		"CREATE INDEX a_own ON deep_a (v, id)", "CREATE INDEX deep_v ON deep (v)", "CREATE INDEX deep_id ON deep (id) TABLESPACE @@",
	},
}

// TestAsTheyWere holds that indexes which are dropped and built are what they were, on each shard,
// and that what cannot be made again or guards rows stays.
func TestAsTheyWere(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		onCitus := strings.HasSuffix(t.Name(), "/citus")
		for name, statements := range tables {
			ways := []string{"local"}
			if onCitus {
				ways = []string{"hash", "reference", "local"}
			}
			for _, way := range ways {
				if name == "parts" && way == "reference" {
					continue // Citus has no such
				}
				t.Run(name+" "+way, func(t *testing.T) {
					conn := pgtest.Connect(t, dsn)
					exec(t, conn, "DROP TABLE IF EXISTS "+name)
					exec(t, conn, statements[0])
					rest := statements[1:]
					for name == "parts" && strings.HasPrefix(rest[0], "CREATE TABLE") {
						exec(t, conn, rest[0])
						rest = rest[1:]
					}
					switch way {
					case "hash":
						exec(t, conn, fmt.Sprintf("SELECT create_distributed_table('%s', 'tenant')", name))
					case "reference":
						exec(t, conn, fmt.Sprintf("SELECT create_reference_table('%s')", name))
					}
					exec(t, conn, rest...)
					roundTrip(t, dsn, conn, name, onCitus)
				})
			}
		}
		if onCitus {
			return
		}
		conn := pgtest.Connect(t, dsn)
		space := strings.ReplaceAll(query(t, conn, "SELECT current_database()::text")[0], "t_", "s_")
		exec(t, conn, "SET allow_in_place_tablespaces = on", "CREATE TABLESPACE "+space+" LOCATION ''")
		for name, statements := range local {
			t.Run(name, func(t *testing.T) {
				for _, sql := range statements {
					exec(t, conn, strings.ReplaceAll(sql, "@@", space))
				}
				roundTrip(t, dsn, conn, name, onCitus)
				exec(t, conn, "DROP TABLE "+name)
			})
		}
		exec(t, conn, "DROP TABLESPACE "+space)
	})
}

// roundTrip drops the table's indexes and builds them.
func roundTrip(t *testing.T, dsn string, conn *pgx.Conn, name string, onCitus bool) {
	t.Helper()
	before := describe(t, conn, onCitus)
	of := target(t, conn, name)
	dropped, err := indexes.Drop(t.Context(), conn, of)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("dropped %v, kept %v", dropped.May, dropped.Kept)
	checkDropped(t, name, dropped)
	for _, x := range dropped.May {
		if got := query(t, conn, "SELECT coalesce(to_regclass("+server.Literal(x)+")::text, '')"); got[0] != "" {
			t.Errorf("%s is there still", x)
		}
	}
	again, err := indexes.Drop(t.Context(), conn, of)
	if err != nil || len(again.May) > 0 {
		t.Errorf("dropped once more: %v, %v", again.May, err)
	}
	n, err := builder(t, dsn, of).Build(t.Context())
	if err != nil || n < len(dropped.May) {
		t.Errorf("%d built, %v", n, err)
	}
	if diff := cmp.Diff(before, describe(t, conn, onCitus)); diff != "" {
		t.Errorf("indexes (-before +after):\n%s", diff)
	}
	if left := query(t, conn, "SELECT relname::text FROM pg_class WHERE relname ~ '^shardload_(indexes|trial)' AND relnamespace = current_schema()::regnamespace"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if n, err := builder(t, dsn, of).Build(t.Context()); n != 0 || err != nil {
		t.Errorf("%d built once more, %v", n, err)
	}
}

// checkDropped compares what was dropped with what is to be.
func checkDropped(t *testing.T, name string, s indexes.Survey) {
	t.Helper()
	want := map[string][]string{
		"kinds": {`"Odd Name"`, "brin", "coll", "covering", "expr", "gin", "gist", "hash", "partly", "pattern", "plain", "spgist"},
		"parts": {"old_only", "parts_v", "whole"},
		"local": {"away", "marked"},
		"deep":  {"a_own", "deep_id", "deep_v"},
	}[name]
	slices.Sort(s.May)
	if diff := cmp.Diff(want, s.May); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
}

// TestNothingIsLost holds that at no moment an index is neither there nor waits: the server is told
// to end sessions while they drop and build.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		onCitus := strings.HasSuffix(t.Name(), "/citus")
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, tables["kinds"]...)
		if onCitus {
			exec(t, conn, "SELECT create_distributed_table('kinds', 'tenant')")
		}
		before := describe(t, conn, onCitus)
		of := target(t, conn, "kinds")
		for i := range 4 {
			// Who waits for the table's lock, at the beginning of each, is ended there.
			holder := pgtest.Connect(t, dsn)
			victim := pgtest.Connect(t, dsn)
			exec(t, holder, "BEGIN", "LOCK TABLE kinds IN ROW EXCLUSIVE MODE")
			done := make(chan error, 1)
			if i%2 == 0 {
				go func() {
					_, err := indexes.Drop(t.Context(), victim, of)
					done <- err
				}()
			} else {
				b := builder(t, dsn, of)
				go func() {
					_, err := b.Build(t.Context())
					done <- err
				}()
			}
			for len(query(t, conn, "SELECT pid::text FROM pg_locks WHERE NOT granted AND relation = 'kinds'::regclass")) == 0 {
				if t.Context().Err() != nil {
					t.Fatal("nobody waits")
				}
			}
			exec(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'kinds'::regclass")
			exec(t, holder, "COMMIT")
			if err := <-done; err == nil {
				t.Error("no error")
			}
			if i%2 == 0 { // and now for good
				if got := describe(t, conn, onCitus); !slices.Equal(got, before) {
					t.Errorf("dropped, although it failed:\n%s", cmp.Diff(before, got))
				}
				if _, err := indexes.Drop(t.Context(), conn, of); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := builder(t, dsn, of).Build(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := describe(t, conn, onCitus); !slices.Equal(got, before) {
				t.Errorf("not as they were:\n%s", cmp.Diff(before, got))
			}
		}
	})
}

// TestBuildFails holds that an index which cannot be built waits on, with all others built, and is
// built once it can be; and that one which somebody has made anew is not made twice.
func TestBuildFails(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		onCitus := strings.HasSuffix(t.Name(), "/citus")
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TABLE fails (id int, tenant int, a int)")
		if onCitus {
			exec(t, conn, "SELECT create_distributed_table('fails', 'tenant')")
		}
		exec(t, conn, "CREATE INDEX bad ON fails ((10 / a))", "CREATE INDEX good ON fails (a)", "CREATE INDEX manual ON fails (id)", "CREATE INDEX other ON fails (id, a)")
		before := describe(t, conn, onCitus)
		of := target(t, conn, "fails")
		if _, err := indexes.Drop(t.Context(), conn, of); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "INSERT INTO fails VALUES (1, 1, 0)", "CREATE INDEX manual ON fails (id)", "CREATE INDEX other ON fails (a, id)")
		n, err := builder(t, dsn, of).Build(t.Context())
		failed, ok := errors.AsType[*failure.IndexError](err)
		if n != 2 || !ok || !strings.Contains(err.Error(), "division by zero") || !strings.Contains(err.Error(), "something else has the name") {
			t.Fatalf("%d built, error %v", n, err)
		}
		if !strings.HasPrefix(failed.Advice(), "once the cause is mended") {
			t.Errorf("advice %s", failed.Advice())
		}
		exec(t, conn, "TRUNCATE fails", "INSERT INTO fails VALUES (1, 1, 1)", "DROP INDEX other") // a row that others may still see would be looked at
		if n, err := builder(t, dsn, of).Build(t.Context()); n != 2 || err != nil {
			t.Fatalf("%d built, error %v", n, err)
		}
		if diff := cmp.Diff(before, describe(t, conn, onCitus)); diff != "" {
			t.Errorf("indexes (-before +after):\n%s", diff)
		}
	})
}

// TestStrangers holds that what others may have written is not built.
func TestStrangers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE prey (id int, a int)", "CREATE INDEX prey_a ON prey (a)")
	stranger := strings.ReplaceAll(query(t, conn, "SELECT current_database()::text")[0], "t_", "r_")
	exec(t, conn, "CREATE ROLE "+stranger, "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO "+stranger+", PUBLIC")
	t.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(context.Background(), "DROP OWNED BY "+stranger+"; DROP ROLE "+stranger); err != nil {
			t.Error(err)
		}
	})
	of := target(t, conn, "prey")
	if _, err := indexes.Drop(t.Context(), conn, of); err != nil {
		t.Fatal(err)
	}
	kept := fmt.Sprintf("shardload_indexes_%d", of.Table.OID)
	for _, tt := range []struct{ do, undo, want string }{
		{"GRANT UPDATE ON " + kept + " TO " + stranger, "REVOKE ALL ON " + kept + " FROM " + stranger, "may be written by role"},
		{"GRANT UPDATE (definition) ON " + kept + " TO PUBLIC", "REVOKE ALL (definition) ON " + kept + " FROM PUBLIC", "may be written by everybody"},
		{"ALTER TABLE " + kept + " OWNER TO " + stranger, "ALTER TABLE " + kept + " OWNER TO CURRENT_USER", ""},
		{
			"UPDATE " + kept + " SET definition = jsonb_set(definition, '{using}', '\"USING btree (a); DROP TABLE prey\"')",
			"UPDATE " + kept + " SET definition = jsonb_set(definition, '{using}', '\"USING btree (a)\"')", "cannot insert multiple commands",
		},
		{"UPDATE " + kept + " SET definition = jsonb_set(definition, '{version}', '2')", "UPDATE " + kept + " SET definition = jsonb_set(definition, '{version}', '1')", "another version of shardload"},
	} {
		if tt.want == "" { // a superuser's target, a stranger's table
			tt.want = "belongs to " + stranger
		}
		exec(t, conn, tt.do)
		if n, err := builder(t, dsn, of).Build(t.Context()); n != 0 || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d built, error %v", tt.do, n, err)
		}
		exec(t, conn, tt.undo)
	}
	if n, err := builder(t, dsn, of).Build(t.Context()); n != 1 || err != nil {
		t.Errorf("%d built, error %v", n, err)
	}
}
