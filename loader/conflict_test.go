package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

const mergedTable = `CREATE TABLE merged (id int, tenant int, name text, n bigint CHECK (n <> 13), kept text DEFAULT 'default', PRIMARY KEY (id, tenant))`

// A mergeModel says what a load with conflicts must do.
type mergeModel struct {
	in      []byte
	rows    map[string]string // by key: name and n
	added   int64
	met     int64
	rejects int64
}

// newMergeModel makes an input of n records, many of which share a key with each
// other or with the rows of before. Some go as CSV, some are long, and some, if
// dirty, are bad.
func newMergeModel(n int, before map[string]string, mode loader.Conflict, dirty bool) *mergeModel {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	m := &mergeModel{rows: map[string]string{}}
	for k, v := range before {
		m.rows[k] = v
	}
	var b strings.Builder
	b.WriteString("id,tenant,name,n\n")
	for i := range n {
		id, tenant := rng.IntN(n/60+1), rng.IntN(29)
		name, number := fmt.Sprint("v", i), fmt.Sprint(i+100)
		if rng.IntN(20) == 0 {
			name = strings.Repeat("x", rng.IntN(7000)) + name // pages are not filled evenly
		}
		text := number
		if rng.IntN(15) == 0 {
			text = " " + number // the server is asked
		}
		bad := dirty && rng.IntN(90) == 0
		if bad {
			text = []string{"13", "many"}[rng.IntN(2)]
		}
		fmt.Fprintf(&b, "%d,%d,%s,%s\n", id, tenant, name, text)
		key := fmt.Sprintf("%d|%d", id, tenant)
		_, there := m.rows[key]
		switch {
		case bad:
			m.rejects++
		case !there:
			m.added++
			m.rows[key] = name + "|" + number + "|default"
		default:
			m.met++
			if mode == loader.ConflictUpdate {
				kept := m.rows[key][strings.LastIndexByte(m.rows[key], '|'):]
				m.rows[key] = name + "|" + number + kept
			}
		}
	}
	m.in = []byte(b.String())
	return m
}

// check compares the table and the counts with the model.
func (m *mergeModel) check(t *testing.T, conn *pgx.Conn, res loader.Result, mode loader.Conflict) {
	t.Helper()
	var want []string
	for k, v := range m.rows {
		want = append(want, k+"|"+v)
	}
	slices.Sort(want)
	got := query(t, conn, "SELECT id, tenant, name, n, kept FROM merged")
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%.2000s", diff)
	}
	updated, skipped := m.met, int64(0)
	if mode == loader.ConflictSkip {
		updated, skipped = 0, m.met
	}
	if n := res.Before + res.Rows; n != m.added+m.met || res.Updated != updated || res.Skipped != skipped || res.Rejected != m.rejects {
		t.Errorf("%d rows, %d updated, %d skipped, %d rejected; want %d, %d, %d, %d", n, res.Updated, res.Skipped, res.Rejected, m.added+m.met, updated, skipped, m.rejects)
	}
}

// TestOnConflict compares loads whose records conflict with each other and with rows
// that are there with a model of what must come of it: stopped again and again, with
// and without bad records, and in one transaction.
func TestOnConflict(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		if route == loader.RouteNode && !long() {
			return // it merges as the route shard does
		}
		exec(t, conn, "DROP TABLE IF EXISTS merged; "+mergedTable)
		distribute(t, conn, "merged", "tenant")
		before := map[string]string{"1|1": "old|1|old", "2|1": "old|2|old", "3|5": "old|3|old", "999999|1": "old|4|old"}
		for _, mode := range []loader.Conflict{loader.ConflictSkip, loader.ConflictUpdate} {
			kinds := []string{"stopped", "dirty", "staged"}
			if testing.Short() && strings.Contains(t.Name(), "/citus/") {
				kinds = inTurn(len(mode), kinds)
			}
			if route == loader.RouteCoordinator { // as one transaction goes
				kinds = append(kinds, "whole")
			}
			for _, kind := range kinds {
				t.Run(string(mode)+" "+kind, func(t *testing.T) {
					exec(t, conn, "TRUNCATE merged; INSERT INTO merged VALUES (1, 1, 'old', 1, 'old'), (2, 1, 'old', 2, 'old'), (3, 5, 'old', 3, 'old'), (999999, 1, 'old', 4, 'old')")
					cfg := loader.Config{Conn: parse(t, dsn), Table: "merged", Route: route, OnConflict: mode, Job: t.Name(), Batch: 16 << 10, Memory: 8 << 20, MaxRecord: 1 << 20, RejectsDir: t.TempDir()}
					if kind == "dirty" {
						cfg.MaxErrors = loader.ErrorLimit{Records: 10_000}
					}
					if kind == "staged" {
						cfg.Select = "id::int + 0 AS id, tenant, name || '' AS name, n::bigint + 0 AS n"
					}
					n := 3_000
					if kind == "whole" {
						n, cfg.Memory = 3_000, 64<<20
					}
					model := newMergeModel(n, before, mode, kind == "dirty")
					in := loader.File(writeInput(t, model.in))
					for stops := int64(5); ; stops += 15 {
						if kind == "whole" || stops > 40 {
							stops = 0
						}
						res, err := run(t, cfg, in, stops)
						if err == nil {
							model.check(t, conn, res, mode)
							break
						}
						if !errors.Is(err, context.Canceled) {
							t.Fatal(err)
						}
					}
					_, err := run(t, cfg, in, 0)
					if done, ok := errors.AsType[*loader.CompleteError](err); !ok || done.Updated+done.Skipped != model.met {
						t.Errorf("run again: %v", err)
					}
				})
			}
		}
	})
}

// TestConflictKeys holds which keys decide, and that rows with a NULL in them
// conflict with none.
func TestConflictKeys(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, table, in string
		key             []string
		mode            loader.Conflict
		want            []string
	}{
		{
			name: "unique constraint with NULLs", table: "(tenant int, code text, v int, UNIQUE (tenant, code))", mode: loader.ConflictUpdate,
			in: "tenant,code,v\n1,a,1\n1,,2\n1,,3\n1,a,4\n2,a,5\n", want: []string{"1|NULL|2", "1|NULL|3", "1|a|4", "2|a|5"},
		},
		{
			name: "one of several keys", table: "(tenant int, id int, code text, v int, PRIMARY KEY (tenant, id), UNIQUE (tenant, code))", mode: loader.ConflictUpdate, key: []string{"code", "tenant"},
			in: "tenant,id,code,v\n1,2,a,1\n1,1,a,2\n", want: []string{"1|1|a|2"},
		},
		{
			name: "the first record is kept by another key than that of the order", table: "(tenant int, id int, code text, v int, PRIMARY KEY (tenant, id), UNIQUE (tenant, code))", mode: loader.ConflictSkip, key: []string{"tenant", "code"},
			in: "tenant,id,code,v\n1,2,a,1\n1,1,a,2\n", want: []string{"1|2|a|1"},
		},
		{
			name: "a key alone has nothing to update", table: "(tenant int, id int, PRIMARY KEY (tenant, id))", mode: loader.ConflictUpdate,
			in: "tenant,id\n1,1\n1,1\n1,2\n", want: []string{"1|1", "1|2"},
		},
		{
			name: "partitioned", table: "(tenant int, id int, v int, PRIMARY KEY (tenant, id)) PARTITION BY RANGE (id)", mode: loader.ConflictUpdate,
			in: "tenant,id,v\n1,1,1\n1,1,2\n1,2,3\n", want: []string{"1|1|2", "1|2|3"},
		},
		{
			name: "identity and generated columns", table: "(tenant int, id bigint GENERATED ALWAYS AS IDENTITY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED, PRIMARY KEY (tenant, id))", mode: loader.ConflictUpdate,
			in: "tenant,id,v\n1,1,1\n1,1,2\n", want: []string{"1|1|2|4"},
		},
		{
			name: "a text key with a collation", table: `(code text COLLATE "C", tenant int, v int, PRIMARY KEY (code, tenant))`, mode: loader.ConflictUpdate,
			in: "code,tenant,v\na,1,1\na,1,2\nb,1,3\na,1,4\n", want: []string{"a|1|4", "b|1|3"},
		},
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				exec(t, conn, "DROP TABLE IF EXISTS keyed; CREATE TABLE keyed "+c.table)
				if strings.Contains(c.table, "PARTITION") {
					exec(t, conn, "CREATE TABLE keyed1 PARTITION OF keyed FOR VALUES FROM (0) TO (1000)")
				}
				distribute(t, conn, "keyed", "tenant")
				for _, route := range routes(t) {
					exec(t, conn, "TRUNCATE keyed")
					cfg := loader.Config{Conn: parse(t, dsn), Table: "keyed", Route: route, OnConflict: c.mode, ConflictKey: c.key}
					if _, err := open(t, cfg).Load(context.Background(), loader.Reader("in.csv", strings.NewReader(c.in))); err != nil {
						t.Fatalf("%s: %v", route, err)
					}
					if diff := gocmp.Diff(c.want, query(t, conn, "SELECT * FROM keyed ORDER BY keyed::text")); diff != "" {
						t.Errorf("%s (-want +got):\n%s", route, diff)
					}
				}
			})
		}
	})
}

// TestConflictChecks holds that a check means in the staging table what it means in the
// table, whatever the role's settings make of its text, and that one of the whole row is in
// nobody's way.
func TestConflictChecks(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE checked (id int PRIMARY KEY, name text CHECK (name ~ '^\w+$' AND name <> '\'), far float8 CHECK (far <= '0.30000000000000004'::float8),
		CHECK (checked IS DISTINCT FROM ROW(7, 'x'::text, 0::float8)))`)
	for _, options := range []string{"", "-cstandard_conforming_strings=off", "-cextra_float_digits=-15"} {
		cfg := loader.Config{Conn: parse(t, dsn), Table: "checked", OnConflict: loader.ConflictUpdate, Job: "by" + options}
		cfg.Conn.RuntimeParams["options"] = options
		res, err := run(t, cfg, loader.Reader("in.csv", strings.NewReader("id,name,far\n1,a,0.3\n1,w,0.30000000000000004\n2,b,0\n")), 0)
		if got := query(t, conn, "SELECT id, name FROM checked ORDER BY id"); err != nil || res.Rows != 3 || !slices.Equal(got, []string{"1|w", "2|b"}) {
			t.Errorf("%s: %d rows, %v, error %v", options, res.Rows, got, err)
		}
		refused := []string{"3,a b,0", "7,x,0", `3,\,0`, "3,a,0.31"}
		if options != "" { // what these settings could have another meaning for
			refused = pgtest.Some(2, []string{`3,\,0`, "3,a,0.31", "3,a b,0", "7,x,0"})
		}
		for _, bad := range refused {
			cfg.Job = "bad" + bad
			if _, err := run(t, cfg, loader.Reader("in.csv", strings.NewReader("id,name,far\n"+bad+"\n")), 0); err == nil || !strings.Contains(err.Error(), "check constraint") {
				t.Errorf("%s: %s: error %v", options, bad, err)
			}
		}
		exec(t, conn, "TRUNCATE checked")
	}
}

// TestConflictErrors holds what is said where conflicts cannot be decided.
func TestConflictErrors(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE keyless (id int); CREATE TABLE two (id int UNIQUE, code int UNIQUE);
		CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); CREATE TABLE couple (id int PRIMARY KEY, code int UNIQUE);
		CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TABLE dropping (id int PRIMARY KEY, v int); CREATE TRIGGER t BEFORE INSERT ON dropping FOR EACH ROW EXECUTE FUNCTION nothing()`)
	for _, c := range []struct {
		table, in, want string
		key             []string
	}{
		{table: "keyless", want: "has no primary key or unique constraint"},
		{table: "late", want: "deferrable"},
		{table: "two", want: "several unique constraints and no primary key; name one of (id), (code) in Config.ConflictKey"},
		{table: "two", key: []string{"id", "code"}, want: `has no primary key or unique constraint of (id, code); name one of`},
		{table: "couple", in: "code\n1\n", want: `column "id": is missing from the header`},
		{table: "couple", in: "id,code\n1,1\n2,1\n", want: `in.csv:2-3: duplicate key value violates unique constraint "couple_code_key": Key (code)=(1) already exists (conflicts are decided by (id); Config.ConflictKey names another key); Config.MaxErrors keeps such records aside`},
		{table: "dropping", in: "id,v\n1,1\n", want: "in.csv:2: the server has dropped rows"},
	} {
		cfg := loader.Config{Conn: parse(t, dsn), Table: c.table, OnConflict: loader.ConflictUpdate, ConflictKey: c.key, NoResume: true}
		l, err := loader.Open(context.Background(), cfg)
		if err == nil {
			_, err = l.Load(context.Background(), loader.Reader("in.csv", strings.NewReader(c.in)))
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.table, err, c.want)
		}
	}
}

// TestGeneratedKey holds that a key which the server computes is refused for that.
func TestGeneratedKey(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE computed (a int, k int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)")
	cfg := loader.Config{Conn: parse(t, dsn), Table: "computed", OnConflict: loader.ConflictSkip, Header: loader.HeaderNo}
	_, err := run(t, cfg, loader.Reader("in", strings.NewReader("1\n")), 0)
	if err == nil || !strings.Contains(err.Error(), `column "k": is computed by the server`) || strings.Contains(err.Error(), "header") {
		t.Errorf("error %v", err)
	}
}
