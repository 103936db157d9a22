package loader_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

const people = "CREATE TABLE people (id int, name text, born date, made timestamptz DEFAULT now(), twice int GENERATED ALWAYS AS (id * 2) STORED)"

// A first record that was taken for one only because it names no column, and whose values the
// table cannot hold, is neither rejected nor stored, and nothing else is.
func TestGuessedRecordIsRefused(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, people)
		distribute(t, conn, "people", "id")
		good := strings.Repeat("1,x,2020-01-01,2020-01-01 00:00:00+00\n", 20000) // more than one chunk, and not stored whole
		for _, guessed := range pgtest.Some(3, []struct{ first, column string }{
			{"number,label,birth,at", "id"},
			{"7,label,birthday,2020-01-01", "born"},
			{"7,label,2020-01-01,ever", "made"},
			{"1.5,label,2020-01-01,now", "id"},
			{"99999999999,label,2020-01-01,2020-01-01", "id"},
		}) {
			first, column := guessed.first, guessed.column
			dir := t.TempDir()
			path := filepath.Join(dir, "people.csv")
			if err := os.WriteFile(path, []byte("\n\n"+first+"\n"+good), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := loader.Config{Conn: parse(t, dsn), Table: "people", Skip: 2, MaxErrors: loader.ErrorLimit{Percent: 100}, RejectsDir: dir, Memory: 8 << 20, MaxRecord: 1 << 20}
			res, err := open(t, cfg).Load(context.Background(), loader.File(path))
			row, ok := errors.AsType[*loader.RowError](err)
			if !ok || !row.Guessed || row.Line != 3 || row.Column != column || res.Rejects != "" {
				t.Errorf("%s: error %v, rejects %q; want one of line 3 and column %q", first, err, res.Rejects, column)
			}
			if got := query(t, conn, "SELECT count(*) FROM people")[0]; got != "0" {
				t.Errorf("%s: %s rows are stored", first, got)
			}
			cfg.Header = loader.HeaderNo // then it is a record like any other
			res, err = open(t, cfg).Load(context.Background(), loader.File(path))
			if want := int64(1); err != nil || first != "7,label,2020-01-01,ever" && res.Rejected != want {
				t.Errorf("%s: %+v, %v", first, res, err)
			}
			exec(t, conn, "TRUNCATE people")
		}
		for _, first := range []string{"7,label,today,now", " 8 ,,,-infinity", "3,,,"} { // the server takes them
			_, err := load(t, dsn, "people", first+"\n", func(c *loader.Config) { c.Route = loader.RouteCoordinator })
			if err != nil && strings.Contains(err.Error(), "names of columns") {
				t.Errorf("%s: %v", first, err)
			}
		}
	})
}

// Match wants the columns that COPY takes, in their order, and says what differs.
func TestHeaderMatch(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, people)
	for header, want := range map[string]string{
		"id,name,born,made":         "",
		"id,born,name,made":         `field 2 of the header is "born" and should be "name"`,
		"id,name,born":              `the header ends after 3 fields, where "made" should follow`,
		"id,name,born,made,twice":   `field 5 of the header, "twice", is one too many`,
		"ID,name,born,made":         `field 1 of the header is "ID" and should be "id"`,
		`"id"," name",born,made`:    `field 2 of the header is " name" and should be "name"`,
		"1,Bob,2020-01-01,":         `field 1 of the header is "1" and should be "id"`,
		"number,label,birthday,x,y": `field 1 of the header is "number" and should be "id"`,
	} {
		_, err := load(t, dsn, "people", header+"\n1,x,2020-01-01,2020-01-01\n", func(c *loader.Config) { c.Header = loader.HeaderMatch })
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), "in.csv:1: "+want+": the columns of table ") {
			t.Errorf("%s: error %v, want %q", header, err, want)
		}
		_, copyErr := conn.PgConn().CopyFrom(context.Background(), strings.NewReader(header+"\n1,x,2020-01-01,2020-01-01\n"), "COPY people FROM STDIN (FORMAT csv, HEADER match)")
		if conn.PgConn().ParameterStatus("server_version") >= "15" && (err == nil) != (copyErr == nil) {
			t.Errorf("%s: we say %v, COPY %v", header, err, copyErr)
		}
	}
}

// What the first line was taken for is said where that may be wrong.
func TestHeadingIsSaid(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, people)
	exec(t, conn, "CREATE TABLE words (word text); CREATE TABLE kinds (kind text, id text)")
	for _, tt := range []struct {
		table, in, said, failure string
	}{
		{"people", "id,name\n1,x\n", "", ""},
		{"people", "1,x,2020-01-01,2020-01-01\n", "in.csv: line 1 is a record, not a header: none of its fields is the name of a column", ""},
		{"words", "word\nBob\n", `in.csv: line 1 is the header: field 1, "word", is the name of a column`, ""},
		{"kinds", "id,5\nx,6\n", "", `in.csv:1: column "5": is not in table public.kinds, which has kind, id; the line was taken for a header, as field 1, "id", is the name of a column; if it is no header but a record say so`},
		{"kinds", "sort,number\nx,6\n", "in.csv: line 1 is a record", ""},
	} {
		for _, quiet := range []loader.Header{loader.HeaderAuto, loader.HeaderNo} {
			var log bytes.Buffer
			exec(t, conn, "TRUNCATE "+tt.table)
			_, err := load(t, dsn, tt.table, tt.in, func(c *loader.Config) { c.Log, c.Header = logTo(&log), quiet })
			if quiet == loader.HeaderNo {
				if strings.Contains(log.String(), "line 1 is") {
					t.Errorf("%s: with header no it is said: %s", tt.in, log.String())
				}
				continue
			}
			said := strings.ReplaceAll(log.String(), `\"`, `"`)
			if !strings.Contains(said, tt.said) || tt.said == "" && strings.Contains(said, "line 1 is") {
				t.Errorf("%s: said %s, want %q", tt.in, said, tt.said)
			}
			if tt.failure == "" && err != nil || tt.failure != "" && (err == nil || !strings.Contains(err.Error(), tt.failure)) {
				t.Errorf("%s: error %v, want %q", tt.in, err, tt.failure)
			}
		}
	}
}

// The header of each file counts for itself, also where some have none, or blank lines before it.
func TestHeadersOfFiles(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, people)
		distribute(t, conn, "people", "id")
		dir := t.TempDir()
		var inputs []loader.Input
		for name, text := range map[string]string{
			"1.csv": "id,name\n1,one\n2,two\n", "2.csv": "born,name,id\n2003-03-03,three,3\n", "3.csv": "4,four,2004-04-04,2004-04-04\n", "4.csv": "name,id\nfive,5\n",
		} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			inputs = append(inputs, loader.File(path))
		}
		set, err := loader.OpenSet(context.Background(), &loader.SetTable{Config: loader.Config{Conn: parse(t, dsn), Table: "people"}, Inputs: inputs})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		headers := map[bool]int{}
		for _, in := range inputs {
			h, ok, err := set.Tables()[0].Loader().Heading(context.Background(), in)
			if err != nil || !ok || !h.Guessed || h.Line != 1 {
				t.Fatalf("%+v, %v, %v", h, ok, err)
			}
			headers[h.Header]++
		}
		if diff := cmp.Diff(map[bool]int{true: 3, false: 1}, headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if _, err := set.Load(context.Background(), loader.SetOptions{}); err != nil {
			t.Fatal(err)
		}
		want := []string{"1|one|NULL|2", "2|two|NULL|4", "3|three|2003-03-03 00:00:00|6", "4|four|2004-04-04 00:00:00|8", "5|five|NULL|10"}
		if diff := cmp.Diff(want, query(t, conn, "SELECT id, name, born::timestamp, twice FROM people ORDER BY id")); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

// A first record that was taken for one, whose values the table's types can hold and whose key is
// there already, is a rejected record like any other, and no header.
func TestGuessedRecordMayViolate(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (id int PRIMARY KEY, a text CHECK (a <> 'no'))")
		distribute(t, conn, "keyed", "id")
		for name, in := range map[string]struct {
			format loader.Format
			text   string
		}{
			"CSV, a key": {loader.FormatCSV, "1,x\n2,y\n"}, "CSV, a check": {loader.FormatCSV, "3,no\n2,y\n"},
			"JSON, a key": {loader.FormatJSON, "{\"id\":1,\"a\":\"x\"}\n{\"id\":2,\"a\":\"y\"}\n"},
			"an array":    {loader.FormatJSON, "[{\"id\":1,\"a\":\"x\"},\n{\"id\":2,\"a\":\"y\"}]"},
		} {
			exec(t, conn, "TRUNCATE keyed; INSERT INTO keyed VALUES (1, 'there')")
			set := func(c *loader.Config) { c.Route, c.Format, c.RejectsDir = route, in.format, t.TempDir() }
			res, err := load(t, dsn, "keyed", in.text, set, func(c *loader.Config) { c.MaxErrors = loader.ErrorLimit{Records: 5} })
			if err != nil || res.Rows != 1 || res.Rejected != 1 {
				t.Errorf("%s: %d rows, %d rejected, %v", name, res.Rows, res.Rejected, err)
			}
			exec(t, conn, "TRUNCATE keyed; INSERT INTO keyed VALUES (1, 'there')")
			_, err = load(t, dsn, "keyed", in.text, set)
			if row, ok := errors.AsType[*loader.RowError](err); !ok || row.Guessed || row.Line != 1 {
				t.Errorf("%s: error %v, want one of a record", name, err)
			}
		}
	})
}
