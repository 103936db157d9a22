package loader_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

func asJSON(c *loader.Config) { c.Format = loader.FormatJSON }

// jsonForms are values of the columns of things. The last of each needs the server.
var jsonForms = map[string][]string{
	"name": {`"plain"`, `""`, `"tab\there"`, `"back\\slash"`, `"two\nlines"`, `"\u0041\u00e9\ud83d\ude00"`, `"\"quoted\""`, `"\\N"`, `"\\."`, `"ünï"`, `7`, `true`},
	"note": {`null`, `""`, `"x"`, `"a\u000bb\u007f"`, `"\/"`, `-0.50`},
	"n":    {`1`, `null`, `-9223372036854775808`, `"12"`, `" 7"`},
	"at":   {`null`, `"2020-02-29 23:59:59"`, `"2020-01-01T01:02:03"`},
	"tags": {`[]`, `null`, `["a","b c",null]`, `["a\\b","q\"x","é\n","NULL",""]`, `[["a"],["b"]]`, `[1,true]`, `"{x,y}"`},
}

// jsonInput returns records of things, whose keys are in different orders and not all there.
func jsonInput(records int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	var lines []string
	for id := range records {
		fields := []string{fmt.Sprintf(`"id":%d`, id), fmt.Sprintf(`"tenant": %d`, r.IntN(50))}
		for _, column := range []string{"name", "note", "n", "at", "tags"} {
			if column != "name" && r.IntN(4) == 0 {
				continue // NULL, also where the column has a default
			}
			forms := jsonForms[column]
			fields = append(fields, fmt.Sprintf(`%q:%s`, column, forms[r.IntN(len(forms))]))
		}
		if id%3 == 0 {
			r.Shuffle(len(fields), func(i, k int) { fields[i], fields[k] = fields[k], fields[i] })
		}
		lines = append(lines, "{"+strings.Join(fields, ",")+"}")
	}
	return lines
}

// JSON is stored as json_populate_record makes rows of it, on each line or in an array.
func TestJSONSameAsServer(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		lines := jsonInput(3000)
		exec(t, conn, "TRUNCATE things")
		exec(t, conn, "CREATE TEMP TABLE IF NOT EXISTS given (LIKE things)")
		exec(t, conn, "TRUNCATE given")
		for _, line := range lines {
			if _, err := conn.Exec(t.Context(), "INSERT INTO given SELECT * FROM json_populate_record(NULL::given, $1::json)", line); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		want := query(t, conn, "SELECT * FROM given ORDER BY id")
		forms := []struct{ name, in string }{
			{"lines", strings.Join(lines, "\n") + "\n"},
			{"array", "[" + strings.Join(lines, ", ") + "]\n"},
			{"CRLF, blank lines, no last line break", "\xef\xbb\xbf\r\n" + strings.Join(lines, "\r\n\r\n")},
			{"array over lines", "\n[\n  " + strings.ReplaceAll(strings.Join(lines, ",\n"), `"tenant": `, "\n\t\"tenant\":\r\n") + "\n]"},
		}
		if strings.Contains(t.Name(), "/citus/") {
			forms = inTurn(len(route), forms) // the reader is the same
		}
		for _, form := range forms {
			exec(t, conn, "TRUNCATE things")
			res, err := load(t, dsn, "things", form.in, asJSON, func(c *loader.Config) { c.Route, c.Batch = route, 8<<10 })
			if err != nil || res.Rows != int64(len(lines)) {
				t.Fatalf("%s: %d rows, %v", form.name, res.Rows, err)
			}
			if diff := cmp.Diff(want, query(t, conn, "SELECT * FROM things ORDER BY id")); diff != "" {
				t.Errorf("%s: rows (-server +loader):\n%s", form.name, diff)
			}
		}
	})
}

// Values that are no text are given to the columns of their types as they are written, and
// json_populate_record agrees.
func TestJSONValues(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE DOMAIN doc AS jsonb`)
	type given struct{ typ, value string }
	for _, tt := range pgtest.Some(23, []given{
		{"json", `{"b":1,  "a": [ ], "é":"\u0041\ud83d\ude00"}`},
		{"jsonb", `[1e2, "\n", {"a":1,"a":2}]`},
		{"doc", `{"a":[null]}`},
		{"json[]", `[{"a":"x,y"},"s",1,null,true]`},
		{"int[]", `[[1,2],[3,null]]`},
		{"int[]", `[[],[]]`},
		{"text[]", `["{}","\"","\\","a b","null",null,""]`},
		{"box[]", `["(1,1),(0,0)","(2,2),(0,0)"]`},
		{"numeric", `1e400`},
		{"float8", `1e400`},
		{"float8", `"NaN"`},
		{"int", `1.0`},
		{"int", `true`},
		{"bigint", `9223372036854775808`},
		{"boolean", `true`},
		{"varchar(3)", `"abcd"`},
		{"date", `"2020-02-30"`},
		{"bytea", `"\\x00ff"`},
		{"int[]", `[1,[2]]`},
		{"int[]", `[[[[[[[1]]]]]]]`},
		{"int[]", `7`},
		{"text", `"\u0000"`},
		{"jsonb", `"\u0000"`},

		{"json", `"text"`},
		{"json", `12345678901234567890.10`},
		{"json", `true`},
		{"jsonb", `"a\\b"`},
		{"jsonb[]", `[[{"a":1}],[{}]]`},
		{"int[]", `[]`},
		{"float8[]", `[1e400]`},
		{"numeric", `12345678901234567890123.10`},
		{"int", `1.5`},
		{"int", `"x"`},
		{"boolean", `"yes"`},
		{"boolean", `1`},
		{"point", `"1,2"`},
		{"int[]", `[[1],[2,3]]`},
		{"int[]", `{"a":1}`},
		{"text", `"\ud800"`},
	}) {
		exec(t, conn, "DROP TABLE IF EXISTS given, got")
		exec(t, conn, "CREATE TABLE given (v "+tt.typ+"); CREATE TABLE got (v "+tt.typ+")")
		record := `{"v":` + tt.value + `}`
		_, refused := conn.Exec(t.Context(), "INSERT INTO given SELECT * FROM json_populate_record(NULL::given, $1::json)", record)
		_, err := load(t, dsn, "got", record+"\n", asJSON)
		if (refused == nil) != (err == nil) {
			t.Errorf("%s for %s: %v, the server says %v", tt.value, tt.typ, err, refused)
			continue
		}
		if row, ok := errors.AsType[*loader.RowError](err); err != nil && (!ok || row.Line != 1 || row.Column != "v") {
			t.Errorf("%s for %s: error %v, want one of line 1 and column v", tt.value, tt.typ, err)
		}
		if diff := cmp.Diff(query(t, conn, "SELECT v::text FROM given"), query(t, conn, "SELECT v::text FROM got")); diff != "" {
			t.Errorf("%s for %s: (-server +loader):\n%s", tt.value, tt.typ, diff)
		}
	}
}

// Which columns are loaded is decided by the first records and the table's defaults.
func TestJSONColumns(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE wide (id serial, a int DEFAULT 5, b int, c text NOT NULL, "Ünï" int, g int GENERATED ALWAYS AS (b + 1) STORED)`)
	blank := strings.Repeat(" ", 1<<20)
	for name, tt := range map[string]struct {
		in   string
		want []string
		err  string
	}{
		"defaults":                  {in: `{"c":"x"}` + "\n" + `{"b":2,"c":"y"}`, want: []string{"5|NULL|x|NULL|NULL", "5|2|y|NULL|3"}},
		"a key that some have":      {in: `{"c":"x"}` + "\n" + `{"a":1,"c":"y"}`, want: []string{"NULL|NULL|x|NULL|NULL", "1|NULL|y|NULL|NULL"}},
		"another key later":         {in: `{"c":"x"}` + blank + "\n" + `{"b":7,"c":"y","\u00dcn\u00ef":3}`, want: []string{"5|NULL|x|NULL|NULL", "5|7|y|3|8"}},
		"an empty array":            {in: " [ ] "},
		"blank lines":               {in: "\n \n"},
		"a defaulted one later":     {in: `{"c":"x"}` + blank + "\n" + `{"a":1,"c":"y"}`, err: `in.csv:2: column "a": is not loaded, and keeps its default`},
		"a required one is missing": {in: `{"b":1}`, err: `in.csv:1: column "c": null value in column "c"`},
		"an unknown key":            {in: `{"c":"x"}` + "\n" + `{"c":"y","d":1}`, err: `in.csv:2: column "d": is not in table public.wide, which has id, a`},
		"a key in other letters":    {in: `{"C":"x"}`, err: `in.csv:1: column "C": is not in table public.wide; did you mean "c"?`},
		"a generated one":           {in: `{"c":"x","g":1}`, err: `in.csv:1: column "g": is generated by the server`},
	} {
		exec(t, conn, "TRUNCATE wide RESTART IDENTITY")
		_, err := load(t, dsn, "wide", tt.in, asJSON)
		if tt.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", name, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(append([]string{}, tt.want...), query(t, conn, `SELECT a, b, c, "Ünï", g FROM wide WHERE id IN (1, 2) ORDER BY c`)); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", name, diff)
		}
	}
	exec(t, conn, `CREATE TABLE filled (a int DEFAULT 1, b int DEFAULT 2)`)
	if _, err := load(t, dsn, "filled", `{"x":1}`, asJSON); err == nil || !strings.Contains(err.Error(), "none of the first records has a key that is a column of table") {
		t.Errorf("no key is a column: %v", err)
	}
}

// What is no JSON is named by its line, and the rest of the input is no reason to store what
// was cut off.
func TestJSONErrors(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, things)
	one := `{"id":1,"tenant":1,"name":"a"}`
	for in, want := range map[string]string{
		one + "\n{\n\"id\":2}\n":                       "in.csv:2: the line ends within the record",
		"[" + one + ",\n" + one[:20]:                   "in.csv:2: the input ends before its array does",
		"[" + one + "\n,\n]":                           "in.csv:3: an element is missing before this",
		"[" + one + "]\n" + one:                        "in.csv:2: data go on after the end of the array",
		"[" + one + ",\n7]":                            `in.csv:2: it is not JSON at byte 1: "7" stands where an object`,
		one + "\n" + `{"id":2,"id":3}`:                 `in.csv:2: column "id": the record has this key twice`,
		one + "\n" + `{"id":NaN}`:                      `in.csv:2: column "id": it is not JSON at byte 7: JSON has no number NaN`,
		one + "\n" + "{\"id\":1,\"name\":\"\xff\"}":    `in.csv:2: column "name": it is not JSON at byte 17: it is not valid UTF-8`,
		one + "\n" + one[:len(one)-1]:                  `in.csv:2: it is not JSON at byte 30: it ends where a comma or } should be`,
		one + "\n" + `{"id":2,"name":{"a":1}}`:         `in.csv:2: column "name": its value is an object`,
		"\x00\x01\x02\xff" + one:                       `in.csv:1: it is not JSON at byte 1`,
		`{"id":99999999999,"tenant":1,"name":"a"}`:     `in.csv:1: column "id": value "99999999999" is out of range`,
		"id,tenant,name\n1,1,a\n":                      `in.csv:1: it is not JSON at byte 1: "i" stands where an object`,
		`{"id":1,"tenant":1,"name":"a"} {"id":2}`:      `in.csv:1: it is not JSON at byte 32: "{" stands where the end of the line`,
		one + "\n" + strings.Repeat("[", 5000) + "\n":  `in.csv:2: a record must be an object, {…}, not an array`,
		one + "\n" + strings.Repeat(`{"id":`, 5000):    `in.csv:2: column "id": values are nested more than 1000 deep`,
		one + "\n" + `{"id":2,'name':"a"}`:             `in.csv:2: it is not JSON at byte 9: "'" stands where a key`,
		one + "\n" + `{"id":2,"name":"a",} // comment`: `in.csv:2: it is not JSON at byte 20: "}" stands where a key`,
	} {
		_, err := load(t, dsn, "things", in, asJSON)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: error %v, want %q", in, err, want)
		}
	}
	if diff := cmp.Diff([]string{"0"}, query(t, conn, "SELECT count(*) FROM things")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	refusesDialects(t, dsn, loader.FormatJSON, loader.Config{Delimiter: ';'}, loader.Config{Null: "NULL"}, loader.Config{Header: loader.HeaderYes}, loader.Config{Encoding: "LATIN1"})
}

// refusesDialects holds that what is of CSV cannot be asked for with another format.
func refusesDialects(t *testing.T, dsn string, format loader.Format, of ...loader.Config) {
	t.Helper()
	for _, cfg := range of {
		cfg.Conn, cfg.Table, cfg.Format = parse(t, dsn), "things", format
		if _, err := loader.Open(context.Background(), cfg); err == nil {
			t.Errorf("%+v is no error", cfg)
		}
	}
}

// A record of JSON that cannot be stored is kept as it was, on one line, by whom it may be
// refused; what is mended of it loads.
func TestJSONRejects(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		good := func(id int) string { return fmt.Sprintf(`{"id":%d,"tenant":1,"name":"n%d"}`, id, id) }
		bad := []string{
			`{"id":2,"tenant":1,"name":"x","n":"seven"}`, // the server
			`{"id":3,"tenant":1`,                         // the parser
			`{"id":4,"tenant":1,"name":"x","colour":1}`,  // the table
			`{"id":5,"tenant":1,"name":null}`,            // a constraint
			`{"id":6,"tenant":"one","name":"x"}`,         // the distribution column
		}
		lines := good(1) + "\n" + strings.Join(bad, "\n") + "\n\n" + good(7) + "\n"
		array := "[" + good(1) + ",\n" + strings.Join(bad[:1], "") + ",\n" + strings.ReplaceAll(strings.Join(bad[2:], ",\n"), `"tenant"`, "\n"+`"tenant"`) + ",\n" + good(7) + "]"
		for name, in := range map[string]string{"lines": lines, "array": array} {
			for _, plain := range []bool{true, false} {
				exec(t, conn, "TRUNCATE things")
				dir := t.TempDir()
				path := filepath.Join(dir, "things.jsonl")
				if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
					t.Fatal(err)
				}
				input := loader.File(path)
				if !plain {
					input = loader.Reader(path, strings.NewReader(in))
				}
				cfg := loader.Config{Conn: parse(t, dsn), Table: "things", Format: loader.FormatJSON, Route: route, MaxErrors: loader.ErrorLimit{Records: 5}, RejectsDir: dir}
				res, err := open(t, cfg).Load(context.Background(), input)
				want := bad
				if name == "array" {
					want = append(bad[:1:1], bad[2:]...)
				}
				if err != nil || res.Rows != 2 || res.Rejected != int64(len(want)) {
					t.Fatalf("%s: %+v, %v; want 2 rows and %d rejected records", name, res, err, len(want))
				}
				got, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".records.jsonl")
				if err != nil {
					t.Fatal(err)
				}
				text := strings.Join(want, "\n") + "\n"
				if name == "array" {
					text = text[:strings.Index(text, "\n")+1] + strings.ReplaceAll(text[strings.Index(text, "\n")+1:], `"tenant"`, ` "tenant"`)
				}
				if diff := cmp.Diff(text, string(got)); diff != "" {
					t.Fatalf("%s: rejected records (-want +got):\n%s", name, diff)
				}
				mended := strings.NewReplacer("seven", "7", "null", `"five"`, `"one"`, "1", `,"colour":1`, "", `{"id":3,"tenant":1`+"\n", "").Replace(string(got))
				if _, err := load(t, dsn, "things", mended, asJSON); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"1|n1", "2|x", "4|x", "5|five", "6|x", "7|n7"}, query(t, conn, "SELECT id, name FROM things ORDER BY id")); diff != "" {
					t.Errorf("%s: rows (-want +got):\n%s", name, diff)
				}
			}
		}
	})
}

// jsonFlow returns records of the table flowing: their lines, or an array of them.
func jsonFlow(n int, array bool) string {
	var b strings.Builder
	for i := range n {
		record, err := json.Marshal(map[string]any{"id": i, "tenant": i % 50, "name": fmt.Sprintf("name of %d", i), "n": 1, "at": "2020-01-01"})
		if err != nil {
			panic(err)
		}
		switch {
		case array && i == 0:
			b.WriteString("[")
		case array:
			b.WriteString(",\n ")
		}
		b.Write(record)
		if !array {
			b.WriteString("\n")
		}
	}
	if array {
		b.WriteString("\n]\n")
	}
	return b.String()
}

// A load of JSON that is stopped goes on where it stopped, and once complete is done.
func TestJSONGoesOn(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		rows := pgtest.Sized(15_000, 40_000)
		for name, in := range map[string]string{"lines": jsonFlow(rows, false), "array": jsonFlow(rows, true)} {
			for _, packed := range pgtest.Some(1, []bool{name == "lines", name != "lines"}) {
				exec(t, conn, "TRUNCATE flowing")
				data := []byte(in)
				if packed {
					data = gzipped(t, in)
				}
				path := writeInput(t, data)
				cfg := pieces(t, dsn)
				cfg.Format, cfg.Job = loader.FormatJSON, fmt.Sprint(name, packed)
				stops := 0
				for batches := int64(20); ; batches += 40 {
					later := time.Now().Add(time.Duration(batches) * time.Second) // so that it is proved to be the same
					if err := os.Chtimes(path, later, later); err != nil {
						t.Fatal(err)
					}
					res, err := run(t, cfg, loader.File(path), batches)
					if err == nil {
						if res.Before == 0 {
							t.Error("nothing was stored before the last run")
						}
						break
					}
					if stops++; !errors.Is(err, context.Canceled) || stops > 200 {
						t.Fatal(err)
					}
				}
				if stops == 0 {
					t.Error("no run was stopped")
				}
				sameCount(t, conn, rows)
				if _, err := run(t, cfg, loader.File(path), 0); err == nil {
					t.Error("what is complete is loaded once more")
				} else if _, ok := errors.AsType[*loader.CompleteError](err); !ok {
					t.Error(err)
				}
			}
		}
	})
}

// What of a file is stored is not taken for the beginning of another.
func TestJSONEdited(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	for name, array := range map[string]bool{"lines": false, "array": true} {
		exec(t, conn, "TRUNCATE flowing")
		const rows = 100_000
		in := jsonFlow(rows, array)
		path := writeInput(t, []byte(in))
		cfg := pieces(t, dsn)
		cfg.Format, cfg.Job = loader.FormatJSON, name
		if _, err := run(t, cfg, loader.File(path), 50); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(in, "name of 3\"", "NAME OF 3\"", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := run(t, cfg, loader.File(path), 0)
		isChanged(t, name, err, loader.ChangedBegun)
		if err := os.WriteFile(path, []byte(strings.Replace(in, fmt.Sprintf("name of %d\"", rows-1), fmt.Sprintf("NAME OF %d\"", rows-1), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Errorf("%s, edited where nothing is stored: %v", name, err)
		}
		sameCount(t, conn, rows)
	}
}

// What was appended to a file of lines is loaded; an array cannot grow.
func TestJSONAppended(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	in := jsonFlow(3000, false)
	half := strings.Index(in, `{"at":"2020-01-01","id":1500,`)
	for name, cut := range map[string]int{"at a line break": half, "before one": half - 1} {
		exec(t, conn, "TRUNCATE flowing")
		cfg := pieces(t, dsn)
		cfg.Format, cfg.Job = loader.FormatJSON, name
		path := writeInput(t, []byte(in[:cut]))
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, cfg, loader.File(path), 0); err == nil {
			t.Errorf("%s: a file that has grown is loaded without a word", name)
		}
		cfg.Appended = true
		if res, err := run(t, cfg, loader.File(path), 0); err != nil || res.Rows != 1500 {
			t.Fatalf("%s: %d rows, %v", name, res.Rows, err)
		}
		sameCount(t, conn, 3000)
	}
	array := jsonFlow(100, true)
	cfg := pieces(t, dsn)
	cfg.Format, cfg.Job, cfg.Appended = loader.FormatJSON, "array", true
	exec(t, conn, "TRUNCATE flowing")
	path := writeInput(t, []byte(array))
	if _, err := run(t, cfg, loader.File(path), 0); err != nil {
		t.Fatal(err)
	}
	grown := strings.TrimSuffix(array, "]\n") + `,{"id":100,"tenant":1,"name":"x","n":1,"at":"2020-01-01"}]` + "\n"
	for _, now := range []string{grown, array + grown} {
		if err := os.WriteFile(path, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, cfg, loader.File(path), 0); err == nil {
			t.Errorf("an array that has grown is loaded: %.40q", now[len(now)-40:])
		}
		sameCount(t, conn, 100)
	}
}
