package loader_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

const picked = `CREATE TABLE picked (id bigint, tenant int NOT NULL, amount numeric(10,2), note text, day date, line int, source text, region varchar(3), PRIMARY KEY (tenant, id))`

// pickedList is a list that is read here: names, constants, texts that are NULL, the line.
const pickedList = `"The ID" AS id, customer AS tenant, nullif(nullif(price, ''), 'N/A') AS amount, day::date, note, 'eu' AS region, _line AS line, _file AS source`

// selecting changes a Config to have a list and a condition.
func selecting(list string, change ...func(*loader.Config)) func(*loader.Config) {
	return func(cfg *loader.Config) {
		cfg.Select = list
		for _, f := range change {
			f(cfg)
		}
	}
}

// eachPicked runs fn for each server and route, with an empty table picked.
func eachPicked(t *testing.T, fn func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route)) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, picked)
		distribute(t, conn, "picked", "tenant")
		for _, route := range routes(t) {
			t.Run(string(route), func(t *testing.T) {
				exec(t, conn, "TRUNCATE picked")
				fn(t, dsn, conn, route)
			})
		}
	})
}

// TestSelectReadHere holds what is loaded of a list that is read here, on all routes, of
// records that go in binary and of those that cannot.
func TestSelectReadHere(t *testing.T) {
	t.Parallel()
	eachPicked(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		var in strings.Builder
		in.WriteString("day,price,unused,The ID,customer,note\n")
		var want []string
		line := 2
		for i := range 200 {
			price, amount := fmt.Sprintf("%d.505", i), fmt.Sprintf("%d.51", i)
			switch i % 5 {
			case 1:
				price, amount = "N/A", "NULL"
			case 2:
				price, amount = `""`, "NULL"
			case 3:
				price, amount = "", "NULL"
			case 4:
				price, amount = " 1e2 ", "100.00" // which the server alone reads
			}
			fmt.Fprintf(&in, "2026-01-%02d,%s,\"x,\ny\",%d,%d,\"a\\b\t%d\"\n", i%28+1, price, i, i%7, i)
			want = append(want, fmt.Sprintf("%d|%d|%s|a\\b\t%d|2026-01-%02d|%d|in.csv|eu", i, i%7, amount, i, i%28+1, line))
			line += 2
		}
		for name, change := range map[string]func(*loader.Config){
			"as usual": func(*loader.Config) {}, "all as text": func(c *loader.Config) { c.SendCSV = true },
			"update": func(c *loader.Config) { c.OnConflict = loader.ConflictUpdate }, "rejects": func(c *loader.Config) {
				c.MaxErrors, c.RejectsDir = loader.ErrorLimit{Records: 3}, t.TempDir()
			},
		} {
			exec(t, conn, "TRUNCATE picked")
			res, err := load(t, dsn, "picked", in.String(), selecting(pickedList), change, func(c *loader.Config) { c.Route = route })
			if err != nil || res.Rows != 200 {
				t.Fatalf("%s: %+v, %v", name, res, err)
			}
			if got := query(t, conn, "SELECT * FROM picked ORDER BY id"); strings.Join(got, ";") != strings.Join(want, ";") {
				t.Errorf("%s: got %.300q\nwant %.300q", name, got, want)
			}
		}
	})
}

// TestSelectFields holds what the fields of inputs are called.
func TestSelectFields(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE t (a int, b text, c text DEFAULT 'none')")
	for _, test := range []struct {
		in, list, want string
		header         loader.Header
	}{
		{"x,y\n1,2\n", "x AS a, y AS b", "1|2|none", loader.HeaderYes},
		{"x,y\n1,2\n", "x AS a, y AS b", "1|2|none", ""},
		{"a,y,z\n1,2,3\n", "a, y || '' AS b, z AS c", "", loader.HeaderYes},
		{"1,2\n", "b AS c, a", "1|NULL|2", ""},
		{"1,2\n", "*", "1|2|none", ""},
		{"1,2,3,4,5\n", "a, _5 AS b, _4 AS c", "1|5|4", ""},
		{"1\n", "a, a AS b", "1|1|none", loader.HeaderNo},
		{"b,a\n1,2\n", "a, b", "2|1|none", ""},
		{",a\n7,2\n", "a, _1 AS b", "2|7|none", loader.HeaderYes},
		{"a,b\n1,\\N\n", "*", "1|\\N|none", loader.HeaderYes},
	} {
		exec(t, conn, "TRUNCATE t")
		_, err := load(t, dsn, "t", test.in, selecting(test.list), func(c *loader.Config) { c.Header = test.header })
		if test.want == "" {
			continue // what the server evaluates is tested elsewhere
		}
		if got := strings.Join(query(t, conn, "SELECT * FROM t"), ";"); err != nil || got != test.want {
			t.Errorf("%q by %s: %s, %v; want %s", test.in, test.list, got, err, test.want)
		}
	}
}

// TestSelectMistakes holds that a mistake is said before anything is stored, and before a
// table is emptied.
func TestSelectMistakes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE t (a int, b text)")
	exec(t, conn, "INSERT INTO t VALUES (1, 'stays')")
	for in, want := range map[string]string{
		"a,b\n1,2\n":    `column "x" does not exist`,
		"1,2\n":         "its fields are called a, b",
		"a,a\n1,2\n":    `field "a" is named twice`,
		"a,\xff\n1,2\n": "no text in UTF-8",
	} {
		path := filepath.Join(t.TempDir(), "in.csv")
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := loader.OpenSet(context.Background(), &loader.SetTable{Config: loader.Config{Conn: parse(t, dsn), Table: "t", Select: "a, x AS b"}, Inputs: []loader.Input{loader.File(path)}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = set.Load(context.Background(), loader.SetOptions{Replace: true})
		row, ok := errors.AsType[*loader.RowError](err)
		if !ok || row.File != path || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", in, err, want)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := query(t, conn, "SELECT * FROM t"); len(got) != 1 {
		t.Errorf("rows %v", got)
	}
}

// TestSelectRejects holds that a record which cannot be stored is known by its place in the file
// and by the column of the table, and kept as it was.
func TestSelectRejects(t *testing.T) {
	t.Parallel()
	eachPicked(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		const in = "The ID,customer,price,day,note\n1,1,5,2026-01-01,\"two\nlines\"\n2,1,six,2026-01-01,b\n3,,7,2026-01-01,c\n4,1,8,2026-01-32,\"d,d\"\n5,1,9,2026-01-01\n1,1,10,2026-01-02,e\n7,1,N/A,2026-01-02,f\n"
		wants := map[int64]struct{ column, record string }{
			4: {"amount", "2,1,six,2026-01-01,b"}, 5: {"tenant", "3,,7,2026-01-01,c"}, 6: {"day", "4,1,8,2026-01-32,\"d,d\""}, 7: {"", "5,1,9,2026-01-01"}, 8: {"", "1,1,10,2026-01-02,e"},
		}
		for name, input := range map[string][]byte{"plain": []byte(in), "gzip": gzipped(t, in)} {
			exec(t, conn, "TRUNCATE picked")
			dir := t.TempDir()
			path := filepath.Join(dir, "in.csv")
			if err := os.WriteFile(path, input, 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := loader.Config{Conn: parse(t, dsn), Table: "picked", Route: route, Select: pickedList, MaxErrors: loader.ErrorLimit{Records: 10}, RejectsDir: dir}
			res, err := open(t, cfg).Load(context.Background(), loader.File(path))
			if err != nil || res.Rows != 2 || res.Rejected != int64(len(wants)) {
				t.Fatalf("%s: %+v, %v", name, res, err)
			}
			for line, got := range readRejects(t, res.Rejects) {
				if want := wants[line]; got.Column != want.column || got.bytes() != want.record {
					t.Errorf("%s: line %d: column %q, record %q: %s; want %+v", name, line, got.Column, got.bytes(), got.Reason, want)
				}
			}
			kept, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".csv")
			if err != nil || !strings.HasPrefix(string(kept), "The ID,customer,price,day,note\n2,1,six") {
				t.Errorf("%s: kept %q, %v", name, kept, err)
			}
		}
	})
}

// TestSelectResume holds that a load goes on with the list that it was begun with, and with no
// other.
func TestSelectResume(t *testing.T) {
	t.Parallel()
	eachPicked(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		path := filepath.Join(t.TempDir(), "in.csv")
		var in strings.Builder
		in.WriteString("The ID,customer,price,day,note\n")
		for i := range 20_000 {
			fmt.Fprintf(&in, "%d,%d,%d.5,2026-01-01,%s\n", i, i%7, i, strings.Repeat("x", 900))
		}
		in.WriteString("20000,1,six,2026-01-01,b\n")
		if err := os.WriteFile(path, []byte(in.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := loader.Config{Conn: parse(t, dsn), Table: "picked", Route: route, Select: pickedList, Job: path + string(route), Batch: 1 << 20}
		try := func(list string) (loader.Result, error) {
			cfg.Select = list
			return open(t, cfg).Load(context.Background(), loader.File(path))
		}
		if res, err := try(pickedList); err == nil || res.Rows == 0 || !res.Resumable {
			t.Fatalf("a record that cannot be stored: %+v, %v", res, err)
		}
		for _, list := range []string{strings.Replace(pickedList, "'eu'", "'us'", 1), strings.Replace(pickedList, "'N/A'", "'n/a'", 1)} {
			if res, err := try(list); err == nil || !strings.Contains(err.Error(), "load") || res.Rows != 0 {
				t.Errorf("another list: %+v, %v", res, err)
			}
		}
		cfg.MaxErrors, cfg.RejectsDir = loader.ErrorLimit{Records: 1}, t.TempDir()
		if res, err := try(pickedList); err != nil || res.Before == 0 || res.Before+res.Rows != 20_000 || res.Rejected != 1 {
			t.Errorf("going on: %+v, %v", res, err)
		}
		if got := query(t, conn, "SELECT count(*), count(DISTINCT id), sum(amount), max(line) FROM picked"); got[0] != "20000|20000|200000000.00|20001" {
			t.Errorf("rows %v", got)
		}
		if _, err := try(pickedList); !isComplete(err) {
			t.Errorf("complete: %v", err)
		}
		if _, err := try(strings.Replace(pickedList, "'eu'", "'us'", 1)); err == nil || isComplete(err) {
			t.Errorf("complete with another list: %v", err)
		}
	})
}

// TestSelectKinds holds what a list makes of inputs that are no files, and of texts in another
// encoding than the server's.
func TestSelectKinds(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE t (a int, b text, c text)")
	type row struct {
		X int    `csv:"x"`
		Y string `csv:"Der Name"`
	}
	rows := func(yield func(row, error) bool) { _ = yield(row{1, "é"}, nil) && yield(row{2, "-"}, nil) }
	for name, test := range map[string]struct {
		in     loader.Input
		change func(*loader.Config)
		list   string
		want   string
	}{
		"records": {loader.Records("rows", rows), func(*loader.Config) {}, `x AS a, nullif("Der Name", '-') AS b, _line AS c`, "1|é|2;2|NULL|3"},
		"blocks":  {loader.Blocks("blocks", idBlocks{}), func(*loader.Config) {}, `n + 0 AS a`, ""},
		"made":    {loader.Blocks("blocks", idBlocks{}), func(*loader.Config) {}, `n AS a, 'é' AS b, _file AS c`, "1|é|blocks;2|é|blocks"},
		"latin1": {
			loader.Reader("in", strings.NewReader("x;y\n1;\xe9\n2;-\n")), func(c *loader.Config) { c.Encoding, c.Delimiter, c.Header = "LATIN1", ';', loader.HeaderYes },
			"x AS a, nullif(y, '-') AS b, 'e' AS c", "1|é|e;2|NULL|e",
		},
		"text": {
			loader.Reader("in", strings.NewReader("x\ty\n1\t\\N\n2\t-\\t-\n")), func(c *loader.Config) { c.Format, c.Header = loader.FormatText, loader.HeaderYes },
			"x AS a, y AS b, y AS c", "1|NULL|NULL;2|-\t-|-\t-",
		},
	} {
		exec(t, conn, "TRUNCATE t")
		cfg := loader.Config{Conn: parse(t, dsn), Table: "t", NoResume: true, Select: test.list}
		test.change(&cfg)
		_, err := open(t, cfg).Load(context.Background(), test.in)
		if test.want == "" {
			continue // what the server evaluates is tested elsewhere
		}
		if got := strings.Join(query(t, conn, "SELECT * FROM t ORDER BY a"), ";"); err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, test.want)
		}
	}
}

// idBlocks are two records of a field n.
type idBlocks struct{}

func (idBlocks) Header() []string                       { return []string{"n"} }
func (idBlocks) Len() int64                             { return 2 }
func (idBlocks) AppendBlock(dst []byte, i int64) []byte { return fmt.Appendf(dst, "%d\n", i+1) }

// TestSelectServers holds what is said where the server cannot be asked: of a role that may make no
// temporary table, and of characters that the server's encoding may not have.
func TestSelectServers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE t (a int, b text)")
	exec(t, conn, "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$")
	role := "no_temp_" + strings.ToLower(rand.Text())
	exec(t, conn, "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() { exec(t, conn, "DROP OWNED BY "+role+" CASCADE"); exec(t, conn, "DROP ROLE "+role) })
	exec(t, conn, "GRANT SELECT, INSERT ON t TO "+role)
	cfg := loader.Config{Conn: parse(t, dsn), Table: "t", NoResume: true, Select: "x AS a, y AS b", Header: loader.HeaderYes}
	cfg.Conn.User, cfg.Conn.Password = role, "x"
	_, err := open(t, cfg).Load(context.Background(), loader.Reader("in", strings.NewReader("x,y\n1,2\n")))
	if err == nil || !strings.Contains(err.Error(), "GRANT TEMPORARY ON DATABASE "+pgx.Identifier{cfg.Conn.Database}.Sanitize()+" TO "+pgx.Identifier{role}.Sanitize()+", on a cluster") {
		t.Errorf("without the right to make temporary tables: %v", err)
	}

	exec(t, conn, "CREATE DATABASE "+role+" ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { exec(t, conn, "DROP DATABASE "+role+" WITH (FORCE)") })
	latin := parse(t, dsn)
	latin.Database = role
	there, err := pgx.ConnectConfig(context.Background(), latin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close(context.Background()) }()
	exec(t, there, "CREATE TABLE t (a int, b text)")
	for list, want := range map[string]string{
		`x AS a, nullif(y, 'é') AS b`: "the server's encoding is LATIN1",
		`x AS a, U&'\00e9' AS b`:      "", // not the same bytes in the input
		`x AS a, nullif(y, '-') AS b`: "1|NULL",
		`x AS a, 'e' AS b`:            "1|e",
	} {
		exec(t, there, "TRUNCATE t")
		cfg := loader.Config{Conn: latin, Table: "t", NoResume: true, Select: list, Header: loader.HeaderYes}
		_, err := open(t, cfg).Load(context.Background(), loader.Reader("in", strings.NewReader("x,y\n1,-\n")))
		var got string
		if failed := there.QueryRow(context.Background(), "SELECT coalesce(string_agg(a || '|' || coalesce(b, 'NULL'), ';'), '') FROM t").Scan(&got); failed != nil {
			t.Fatal(failed)
		}
		if err != nil {
			got = err.Error()
		}
		if want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %s", list, got, want)
		}
	}
}

// TestSelectJSON holds what a list makes of the keys of JSON: those that no column has, those that
// the first records do not have, the whole record, and what is nested.
func TestSelectJSON(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TABLE j (id bigint, day date, tags text[], doc jsonb, whole jsonb, note text, line int, unset int DEFAULT 7)")
		distribute(t, conn, "j", "id")
		const in = `{"nr": 1, "day": "2026-01-01", "tags": ["a", "b,c"], "doc": {"x": [1]}, "junk": {"k": "v"}}` + "\n" +
			`{"nr": "2", "day": "N/A", "doc": 5, "new": true}` + "\n\n" + `{"nr": 3.0, "junk": "w", "note": "n"}` + "\n"
		for list, want := range map[string]string{
			"nr::numeric AS id, nullif(day, 'N/A') AS day, tags, doc, note, _line AS line, _record AS whole": `1|2026-01-01|{a,"b,c"}|{"x": [1]}|{"nr": 1, "day": "2026-01-01", "doc": {"x": [1]}, "junk": {"k": "v"}, "tags": ["a", "b,c"]}|NULL|1|7;` +
				`2|NULL|NULL|5|{"nr": "2", "day": "N/A", "doc": 5, "new": true}|NULL|2|7;3|NULL|NULL|NULL|{"nr": 3.0, "junk": "w", "note": "n"}|n|4|7`,
			"nr::numeric AS id, junk || '' AS note, doc":   `1|NULL|NULL|{"x": [1]}|NULL|{"k": "v"}|NULL|7;2|NULL|NULL|5|NULL|NULL|NULL|7;3|NULL|NULL|NULL|NULL|w|NULL|7`,
			"nr::numeric AS id, _record ->> 'new' AS note": "1|NULL|NULL|NULL|NULL|NULL|NULL|7;2|NULL|NULL|NULL|NULL|true|NULL|7;3|NULL|NULL|NULL|NULL|NULL|NULL|7",
		} {
			exec(t, conn, "TRUNCATE j")
			_, err := load(t, dsn, "j", in, selecting(list), func(c *loader.Config) { c.Format = loader.FormatJSON })
			if got := strings.Join(query(t, conn, "SELECT * FROM j ORDER BY id"), ";"); err != nil || got != want {
				t.Errorf("%s: %v\ngot  %s\nwant %s", list, err, got, want)
			}
		}
		_, err := load(t, dsn, "j", in, selecting("nr AS id, nosuch AS note"), func(c *loader.Config) { c.Format = loader.FormatJSON })
		if err == nil || !strings.Contains(err.Error(), `column "nosuch" does not exist`) {
			t.Errorf("a key that no record has: %v", err)
		}
	})
}

// TestSelectJSONOneValue holds that each way to take a key of JSON stores the same value whether
// the server evaluates something else of the record, or not; and that one which would not is
// refused before anything is loaded.
func TestSelectJSONOneValue(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TABLE j (id bigint, doc jsonb, tags text[], note text)")
		distribute(t, conn, "j", "id")
		const in = `{"k": 1, "o": "5", "tags": ["a"]}` + "\n" + `{"k": 2, "o": {"x": [1]}}` + "\n" + `{"k": 3, "o": 7}` + "\n"
		for i, taken := range []struct{ list, want string }{
			{"k AS id, o AS doc, tags", `1|"5"|{a}|NULL;2|{"x": [1]}|NULL|NULL;3|7|NULL|NULL`},
			{"k AS id, to_jsonb(o) AS doc, tags", `1|"5"|{a}|NULL;2|"{\"x\": [1]}"|NULL|NULL;3|"7"|NULL|NULL`},
			{"k AS id, o::jsonb AS doc, tags", `1|5|{a}|NULL;2|{"x": [1]}|NULL|NULL;3|7|NULL|NULL`},
		} {
			list, want := taken.list, taken.want
			for j, more := range []string{"", ", _record ->> 'note' AS note", ", upper(o) AS note"} {
				for k, where := range []string{"", "_record ->> 'o' IS NOT NULL", "o IS NOT NULL"} {
					if testing.Short() && (i+j+k)%3 != 0 {
						continue // each pair of them is tried
					}
					exec(t, conn, "TRUNCATE j")
					_, err := load(t, dsn, "j", in, selecting(list+more), func(c *loader.Config) { c.Format, c.Where = loader.FormatJSON, where })
					got := strings.Join(query(t, conn, "SELECT id, doc, tags, nullif(note, upper(note)) FROM j ORDER BY id"), ";")
					if refused := strings.Contains(list, "o AS doc") && !strings.Contains(list, "jsonb") && (where[:min(1, len(where))] == "o" || strings.Contains(more, "upper")); refused {
						if got != "" || err == nil || !strings.Contains(err.Error(), `field "o" is JSON for it`) {
							t.Errorf("%s where %q: %s, %v", list+more, where, got, err)
						}
					} else if err != nil || got != want {
						t.Errorf("%s where %q: %v\ngot  %s\nwant %s", list+more, where, err, got, want)
					}
				}
			}
		}
	})
}
