package loader_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestStagedNamesTheFirst holds that a load which may reject nothing names the record that the
// server cannot evaluate, or does not take, with its line in the input and its column; and
// stores nothing of its batch.
func TestStagedNamesTheFirst(t *testing.T) {
	t.Parallel()
	const head = "id,tenant,day,n,code,junk\n1,1,01/02/2026,5,abc,\"two\nlines\"\n2,1,01/02/2026,6,abc,x\n"
	cases := []struct {
		name, record, where string
		state, column       string
	}{
		{name: "a date", record: "3,2,31/02/2026,5,abc,x", state: "22008", column: "day"},
		{name: "a number", record: "3,2,01/02/2026,5x,abc,x", state: "22P02", column: "n"},
		{name: "too long", record: "3,2,01/02/2026,5,abcd,x", state: "22001", column: "code"},
		{name: "a typed field", record: "x,2,01/02/2026,5,abc,x", state: "22P02", column: "id"},
		{name: "a check", record: "3,2,01/02/2026,-5,abc,x", state: "23514"},
		{name: "NULL", record: "3,2,,5,abc,x", state: "23502", column: "day"},
		{name: "a key", record: "2,1,01/02/2026,7,abc,x", state: "23505"},
		{name: "a condition", record: "3,2,01/02/2026,5,abc,0", where: "junk = 'x' OR 1 / length(replace(junk, '0', '')) > 0", state: "22012"},
	}
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "DROP TABLE IF EXISTS shown; CREATE TABLE shown (id int, tenant int, day date NOT NULL, n int CHECK (n > 0), code varchar(3), PRIMARY KEY (id, tenant))")
		distribute(t, conn, "shown", "tenant")
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				exec(t, conn, "TRUNCATE shown")
				in := head + tt.record + "\n4,1,01/02/2026,6,abc,x\n"
				_, err := load(t, dsn, "shown", in, func(c *loader.Config) {
					c.Route, c.Where = route, tt.where
					c.Select = "id, tenant, to_date(day, 'DD/MM/YYYY') AS day, n::int + 1 AS n, code || '' AS code"
				})
				row, ok := errors.AsType[*loader.RowError](err)
				if !ok {
					t.Fatal(err)
				}
				var told *loader.RefusedError
				if !errors.As(err, &told) {
					t.Fatal(err)
				}
				// A node's error comes through the coordinator without its code.
				if told.SQLState != tt.state && (told.SQLState != "XX000" || route == loader.RouteShard) {
					t.Errorf("SQLSTATE %s, want %s: %v", told.SQLState, tt.state, err)
				}
				if row.Line != 5 || row.LastLine != 0 || row.File != "in.csv" || row.Column != tt.column && tt.state != "23502" {
					t.Errorf("line %d-%d, column %q, want line 5, column %q: %v", row.Line, row.LastLine, row.Column, tt.column, err)
				}
				if n := query(t, conn, "SELECT count(*) FROM shown WHERE tenant = 2")[0]; n != "0" {
					t.Errorf("%s rows of the batch are stored", n)
				}
			})
		}
	})
}

// TestStagedWithoutLanguage holds that bad rows are found where the server has no plpgsql.
func TestStagedWithoutLanguage(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "DROP EXTENSION plpgsql; CREATE TABLE shown (id int PRIMARY KEY, day date)")
	var in strings.Builder
	in.WriteString("id,day\n")
	for i := range 300 {
		day := "01/02/2026"
		if i%90 == 7 {
			day = "99/99/2026"
		}
		fmt.Fprintf(&in, "%d,%s\n", i, day)
	}
	cfg := func(c *loader.Config) {
		c.Select, c.RejectsDir = "id, to_date(day, 'DD/MM/YYYY') AS day", t.TempDir()
	}
	_, err := load(t, dsn, "shown", in.String(), cfg)
	if row, ok := errors.AsType[*loader.RowError](err); !ok || row.Line%90 != 9 || row.LastLine != 0 {
		t.Errorf("%v, want a line that is bad", err)
	}
	exec(t, conn, "TRUNCATE shown")
	res, err := load(t, dsn, "shown", in.String(), cfg, func(c *loader.Config) { c.MaxErrors = loader.ErrorLimit{Records: 10} })
	if err != nil {
		t.Fatal(err)
	}
	var lines []int64
	for line := range readRejects(t, res.Rejects) {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	if diff := gocmp.Diff([]int64{9, 99, 189, 279}, lines); diff != "" || res.Rows != 296 {
		t.Errorf("%d rows; lines (-want +got):\n%s", res.Rows, diff)
	}
}

// TestStagedFilter holds what a condition does with NULL, and that it may leave out all.
func TestStagedFilter(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		for where, want := range map[string][]string{
			"note > 'a'":       {"2|b"},
			"note IS NULL":     {"1|NULL"},
			"note = 'nothing'": {},
			"NULL":             {},
			"now() > 'epoch'":  {"1|NULL", "2|b", "3|a"},
		} {
			t.Run(where, func(t *testing.T) {
				exec(t, conn, "TRUNCATE things")
				res, err := load(t, dsn, "things", "id,tenant,name,note\n1,1,x,\n2,2,x,b\n3,2,x,a\n", func(c *loader.Config) { c.Where, c.Route = where, route })
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(want, query(t, conn, "SELECT id, note FROM things ORDER BY id")); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
				if res.Rows != int64(len(want)) || res.Filtered != int64(3-len(want)) {
					t.Errorf("%d rows, %d filtered, want %d of 3", res.Rows, res.Filtered, len(want))
				}
			})
		}
		// What is left out is not evaluated, were it what decides the shard.
		exec(t, conn, "TRUNCATE things")
		res, err := load(t, dsn, "things", "id,tenant,name,note\n1,t1,x,\n2,none,x,b\n4,,x,c\n3,t2,x,a\n", func(c *loader.Config) {
			c.Where, c.Route = "tenant LIKE 't%'", route
			c.Select = "id::int AS id, substr(tenant, 2)::int AS tenant, name, note"
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff([]string{"1|1", "3|2"}, query(t, conn, "SELECT id, tenant FROM things ORDER BY id")); diff != "" || res.Filtered != 2 {
			t.Errorf("%d filtered; rows (-want +got):\n%s", res.Filtered, diff)
		}
	})
}

// TestStagedTrigger holds that a trigger which drops rows is found, and that one which
// changes them may.
func TestStagedTrigger(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE shown (id int PRIMARY KEY, n int);
		CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 3 THEN RETURN NULL; END IF; NEW.n := NEW.n * 10; RETURN NEW; END $$;
		CREATE TRIGGER drops BEFORE INSERT ON shown FOR EACH ROW EXECUTE FUNCTION drops()`)
	list := func(c *loader.Config) { c.Select = "id, n::int + 1 AS n" }
	if _, err := load(t, dsn, "shown", "id,n\n1,0\n2,4\n", list); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"1|10", "2|50"}, query(t, conn, "SELECT * FROM shown ORDER BY id")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	_, err := load(t, dsn, "shown", "id,n\n3,0\n4,2\n", list)
	if err == nil || !strings.Contains(err.Error(), "trigger") {
		t.Errorf("%v, want an error of a trigger that drops rows", err)
	}
	if n := query(t, conn, "SELECT count(*) FROM shown WHERE n IS NULL OR id = 4")[0]; n != "0" {
		t.Errorf("%s rows are stored that the trigger drops", n)
	}
}

// TestStagedConflict holds that of records with one key the first or the last wins, also where
// the key is computed, and its values are alike only as the column stores them.
func TestStagedConflict(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (tenant int, price numeric(6,1), code varchar(5), v text, PRIMARY KEY (tenant, price, code))")
		distribute(t, conn, "kept", "tenant")
		in := "tenant,price,code,v\n1,1.04,a,first\n1,2,b,other\n1,1.01,a,second\n1,9,z,left out\n2,1.0,a,third\n"
		for mode, want := range map[loader.Conflict][]string{
			loader.ConflictSkip:   {"1|0.0|x|old", "1|1.0|a|FIRST", "1|2.0|b|OTHER", "2|1.0|a|THIRD"},
			loader.ConflictUpdate: {"1|0.0|x|old", "1|1.0|a|SECOND", "1|2.0|b|OTHER", "2|1.0|a|THIRD"},
		} {
			for _, limit := range []int64{0, 10} {
				t.Run(fmt.Sprint(mode, " ", limit), func(t *testing.T) {
					exec(t, conn, "TRUNCATE kept; INSERT INTO kept VALUES (1, 0, 'x', 'old'), (1, 2, 'b', 'old')")
					if mode == loader.ConflictSkip {
						want = slices.Clone(want)
						want[2] = "1|2.0|b|old"
					}
					res, err := load(t, dsn, "kept", in, func(c *loader.Config) {
						c.Select, c.Where = "tenant::int AS tenant, price::numeric AS price, code, upper(v) AS v", "v <> 'left out'"
						c.Route, c.OnConflict, c.MaxErrors, c.RejectsDir = route, mode, loader.ErrorLimit{Records: limit}, t.TempDir()
					})
					if err != nil {
						t.Fatal(err)
					}
					if diff := gocmp.Diff(want, query(t, conn, "SELECT * FROM kept ORDER BY 1, 2, 3")); diff != "" {
						t.Errorf("rows (-want +got):\n%s", diff)
					}
					if res.Filtered != 1 || res.Rows != 4 || res.Skipped+res.Updated != 2 {
						t.Errorf("%d rows, %d filtered, %d and %d met", res.Rows, res.Filtered, res.Skipped, res.Updated)
					}
				})
			}
		}
	})
}

// TestStagedFailsOnOneNode holds that a function which fails for the rows of one node names, or
// rejects, records of that node alone, and that one which a node lacks stores nothing.
func TestStagedFailsOnOneNode(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	dsn := conn.Config().ConnString()
	exec(t, conn, "CREATE TABLE kept (tenant int, note text); CREATE FUNCTION marked(v text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT v || '!' $$")
	distribute(t, conn, "kept", "tenant")
	bad := workers(t, conn)[0]
	there := pgtest.Connect(t, bad.at(t, dsn))
	exec(t, there, "SET citus.enable_ddl_propagation = off")
	exec(t, there, "CREATE OR REPLACE FUNCTION marked(v text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END $$")
	tenants := map[string]bool{} // of that node
	for _, row := range query(t, conn, fmt.Sprintf(`SELECT i FROM generate_series(0, 49) i JOIN citus_shards s ON s.table_name = 'kept'::regclass AND s.shardid = get_shard_id_for_distribution_column('kept', i) WHERE s.nodeport = %s`, bad.port)) {
		tenants[row] = true
	}
	var in strings.Builder
	in.WriteString("tenant,note\n")
	want := 0
	for i := range 500 {
		fmt.Fprintf(&in, "%d,x\n", i%50)
		if !tenants[fmt.Sprint(i%50)] {
			want++
		}
	}
	list := func(c *loader.Config) {
		c.Select, c.Route, c.RejectsDir = "tenant, marked(note) AS note", loader.RouteShard, t.TempDir()
	}
	_, err := load(t, dsn, "kept", in.String(), list)
	if row, ok := errors.AsType[*loader.RowError](err); !ok || row.Column != "note" || !tenants[fmt.Sprint((row.Line-2)%50)] {
		t.Errorf("%v, want one of a record of that node", err)
	}
	exec(t, conn, "TRUNCATE kept")
	res, err := load(t, dsn, "kept", in.String(), list, func(c *loader.Config) { c.MaxErrors = loader.ErrorLimit{Records: 500} })
	if err != nil {
		t.Fatal(err)
	}
	if n := query(t, conn, "SELECT count(*) FROM kept WHERE note = 'x!'")[0]; n != fmt.Sprint(want) || res.Rows != int64(want) || res.Rejected != int64(500-want) {
		t.Errorf("%s rows, %d counted, %d rejected; want %d", n, res.Rows, res.Rejected, want)
	}
	exec(t, conn, "TRUNCATE kept")
	exec(t, there, "DROP FUNCTION marked(text)")
	_, err = load(t, dsn, "kept", in.String(), list, func(c *loader.Config) { c.MaxErrors = loader.ErrorLimit{Records: 500} })
	if err == nil || !strings.Contains(err.Error(), "marked") {
		t.Errorf("%v, want that the node lacks the function", err)
	}
	if n := query(t, conn, "SELECT count(*) FROM kept")[0]; n != "0" {
		t.Errorf("%s rows are stored", n)
	}
}

// TestStagedConflictTrigger holds that rows which a trigger drops are not taken for ones that were
// skipped, where the server evaluates them.
func TestStagedConflictTrigger(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE shown (id int PRIMARY KEY, n int); INSERT INTO shown VALUES (1, 0);
		CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 3 THEN RETURN NULL; END IF; RETURN NEW; END $$;
		CREATE TRIGGER drops BEFORE INSERT ON shown FOR EACH ROW EXECUTE FUNCTION drops()`)
	for _, limit := range []int64{0, 5} {
		list := func(c *loader.Config) {
			c.Select, c.Where, c.OnConflict = "id::int + 0 AS id, n::int + 1 AS n", "n <> '9'", loader.ConflictSkip
			c.MaxErrors, c.RejectsDir = loader.ErrorLimit{Records: limit}, t.TempDir()
		}
		res, err := load(t, dsn, "shown", fmt.Sprintf("id,n\n1,0\n%d,4\n7,9\n", limit+10), list)
		if err != nil || res.Rows != 2 || res.Skipped != 1 || res.Filtered != 1 {
			t.Errorf("%d rows, %d skipped, %d filtered: %v", res.Rows, res.Skipped, res.Filtered, err)
		}
		if _, err := load(t, dsn, "shown", "id,n\n1,0\n3,2\n", list); err == nil || !strings.Contains(err.Error(), "trigger") {
			t.Errorf("%v, want an error of a trigger that drops rows", err)
		}
	}
}

// TestStagedDomain holds that bad rows are found where a domain refuses NULL, and where a column
// has several values in one.
func TestStagedDomain(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE DOMAIN there AS text NOT NULL; CREATE TYPE pair AS (a int, b varchar(3));
		CREATE TABLE domains (id int, code there, n int CHECK (n > 0)); CREATE TABLE pairs (id int, p pair, n int)`)
	for table, tt := range map[string]struct {
		list, in string
		want     map[int64]string
	}{
		"domains": {"id, nullif(v || '', '-') AS code, n::int + 0 AS n", "1,x,1,\n2,-,1,\n3,x,no,\n4,x,-1,\n5,-,no,out\n", map[int64]string{3: "23502 ", 4: "22P02 n", 5: "23514 "}},
		"pairs":   {"id, v || '' AS p, n::int + 0 AS n", "1,\"(1,abc)\",1,\n2,\"(1,abcd)\",1,\n3,\"(x,abc)\",1,\n4,\"(1,abc)\",no,\n", map[int64]string{3: "22001 ", 4: "22P02 ", 5: "22P02 "}},
	} {
		res, err := load(t, dsn, table, "id,v,n,s\n"+tt.in, func(c *loader.Config) {
			c.Select, c.Where, c.MaxErrors, c.RejectsDir = tt.list, "s IS DISTINCT FROM 'out'", loader.ErrorLimit{Records: 10}, t.TempDir()
		})
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		got := map[int64]string{}
		for line, r := range readRejects(t, res.Rejects) {
			got[line] = r.SQLState + " " + r.Column
		}
		if diff := gocmp.Diff(tt.want, got); diff != "" || res.Rows != 1 {
			t.Errorf("%s: %d rows; rejected (-want +got):\n%s", table, res.Rows, diff)
		}
	}
}

// TestStagedRule holds that a table with a rule on INSERT, which COPY does not fire, is refused
// where the server would store its rows by INSERT, and only there.
func TestStagedRule(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE ruled (id int, note text); CREATE TABLE elsewhere (id int, note text);
		CREATE RULE "on it" AS ON INSERT TO ruled DO INSTEAD INSERT INTO elsewhere VALUES (NEW.id, NEW.note)`)
	list := func(item string) func(c *loader.Config) {
		return func(c *loader.Config) { c.Select = "id, " + item + " AS note" }
	}
	_, err := load(t, dsn, "ruled", "id,note\n1,a\n", list("upper(note)"))
	if err == nil || !strings.Contains(err.Error(), `has the rule "on it" on INSERT`) {
		t.Errorf("%v, want an error that names the rule", err)
	}
	if _, err := load(t, dsn, "ruled", "id,note\n1,a\n", list("note")); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, `ALTER TABLE ruled DISABLE RULE "on it"`)
	if _, err := load(t, dsn, "ruled", "id,note\n2,b\n", list("upper(note)")); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"1|a", "2|B"}, query(t, conn, "SELECT * FROM ruled ORDER BY id")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if n := query(t, conn, "SELECT count(*) FROM elsewhere")[0]; n != "0" {
		t.Errorf("the rule has stored %s rows", n)
	}
}

// TestStagedOfNoField holds that a list may refer to no field at all, and be evaluated.
func TestStagedOfNoField(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE fieldless (id bigserial PRIMARY KEY, note text)`)
	for list, want := range map[string]string{"upper(_file) AS note": "%.CSV", "now()::text AS note": "%-%", "'x' AS note": "x"} {
		res, err := load(t, dsn, "fieldless", "a,b\n1,2\n3,4\n", func(c *loader.Config) {
			c.Select, c.Header = list, loader.HeaderYes
			c.Where = "true"
		})
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		if n := query(t, conn, "SELECT count(*) FROM fieldless WHERE note LIKE '"+want+"'")[0]; res.Rows != 2 || n != "2" {
			t.Errorf("%s: %d rows, %s in the table as they should be", list, res.Rows, n)
		}
		exec(t, conn, "TRUNCATE fieldless")
	}
}
