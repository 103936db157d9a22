package selection_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/pgtest"
	"shardload/internal/selection"
	"shardload/internal/server"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A place is a table to make plans for.
type place struct {
	conn    *pgx.Conn
	request selection.Request
}

// newPlace returns a table of the statements' making, called t.
func newPlace(t *testing.T, dsn string, statements ...string) *place {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	pgtest.Exec(t, conn, statements...)
	table, err := catalog.Lookup(t.Context(), conn, "t")
	if err != nil {
		t.Fatal(err)
	}
	session, err := server.ReadSession(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return &place{conn, selection.Request{
		Fields: []string{"id", "day", "price", "note", "Odd one"}, Encoding: "UTF8", File: "in.csv", Table: table, Session: &session,
	}}
}

// adsLike is a table with columns of several kinds.
const adsLike = `CREATE TABLE t (id bigint NOT NULL, day date, amount numeric(10,2), note varchar(3), flag boolean, region text, source text,
	twice bigint GENERATED ALWAYS AS (id * 2) STORED)`

func (p *place) plan(ctx context.Context, list, where string) (*selection.Plan, error) {
	r := p.request
	r.List, r.Where = list, where
	return selection.Make(ctx, p.conn, r)
}

func ptr(s string) *string { return &s }

// TestReadHere holds which lists need no server, and what is read then.
func TestReadHere(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), adsLike)
	for list, want := range map[string][]selection.Item{
		"id":                                                                 {{Column: "id"}},
		"id, day, price AS amount":                                           {{Column: "id"}, {Column: "day", Field: 1}, {Column: "amount", Field: 2}},
		`"Odd one" region, id`:                                               {{Column: "region", Field: 4}, {Column: "id"}},
		"id, input.note":                                                     {{Column: "id"}, {Column: "note", Field: 3}},
		"id, price AS amount, price AS region":                               {{Column: "id"}, {Column: "amount", Field: 2}, {Column: "region", Field: 2}},
		"id, nullif(note, 'N/A') AS note":                                    {{Column: "id"}, {Column: "note", Field: 3, NullIf: []string{"N/A"}}},
		"id, nullif(nullif(note, 'Ñ'), '''') AS note":                        {{Column: "id"}, {Column: "note", Field: 3, NullIf: []string{"'", "Ñ"}}},
		"id, nullif(price, '')::numeric::text AS region":                     nil,
		"id, day::date AS day":                                               {{Column: "id"}, {Column: "day", Field: 1}},
		"id::bigint, nullif(day, '0000-00-00')::date AS day":                 {{Column: "id"}, {Column: "day", Field: 1, NullIf: []string{"0000-00-00"}}},
		"id, 'eu' AS region":                                                 {{Column: "id"}, {Column: "region", Field: -1, Const: ptr("eu")}},
		"id, 'eu'::text || '-' || 1 AS region -- no more\n":                  {{Column: "id"}, {Column: "region", Field: -1, Const: ptr("eu-1")}},
		"id, 2.349 AS amount":                                                {{Column: "id"}, {Column: "amount", Field: -1, Const: ptr("2.35")}},
		"id, 1 = 1 AS flag, NULL AS note":                                    {{Column: "id"}, {Column: "flag", Field: -1, Const: ptr("t")}, {Column: "note", Field: -1}},
		"id, date '2001-02-03' AS day":                                       {{Column: "id"}, {Column: "day", Field: -1, Const: ptr("2001-02-03")}},
		"id, upper('e\\') || 'é' AS region":                                  {{Column: "id"}, {Column: "region", Field: -1, Const: ptr(`E\é`)}},
		"id, _file AS source":                                                {{Column: "id"}, {Column: "source", Field: -1, Const: ptr("in.csv"), Beside: "_file"}},
		"id, /* a -- */ note /* , x */":                                      {{Column: "id"}, {Column: "note", Field: 3}},
		"id, $$e'u$$ AS region, U&'\\0041' AS note":                          {{Column: "id"}, {Column: "region", Field: -1, Const: ptr("e'u")}, {Column: "note", Field: -1, Const: ptr("A")}},
		"id, price::float8 AS amount":                                        nil,
		"id, price::numeric AS amount":                                       nil, // the column has a scale
		"id, nullif(price, '0')::numeric AS amount":                          nil,
		"id, _line AS region":                                                {{Column: "id"}, {Column: "region", Field: -1, Beside: "_line"}},
		"id, _line + 1 AS region":                                            nil,
		"id, day::text::date + 1 AS day":                                     nil,
		"id, now() AS day":                                                   nil,
		"id, 'now'::date AS day":                                             nil,
		"id, 'now'::text::date AS day":                                       nil,
		"id, random()::text AS region":                                       nil,
		"id, current_user AS region":                                         nil,
		"id, nullif(note, 'x' COLLATE \"C\") AS note":                        nil,
		"id, nullif('x', note) AS note":                                      nil,
		"id, nullif(note, day) AS note":                                      nil,
		"id, upper(note) AS note":                                            nil,
		"id, CASE WHEN note = 'x' THEN 'y' ELSE note END AS note":            nil,
		"id, (ARRAY['a', note])[2] AS note":                                  nil,
		"id, note COLLATE \"C\" AS note":                                     nil,
		"id, XMLELEMENT(name x, note)::text AS region":                       nil,
		"id, to_date(day, 'DD/MM/YYYY') AS day, nullif(note, 'N/A') AS note": nil,
	} {
		got, err := p.plan(t.Context(), list, "")
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		if got.Staged != (want == nil) {
			t.Errorf("%s: staged %t because of %q", list, got.Staged, got.Because)
		}
		if got.Staged == (got.Because == "") {
			t.Errorf("%s: staged %t because of %q", list, got.Staged, got.Because)
		}
		if diff := cmp.Diff(want, got.Items, cmpopts.IgnoreFields(selection.Item{}, "Needs", "Clock")); want != nil && diff != "" {
			t.Errorf("%s: items (-want +got):\n%s", list, diff)
		}
	}
}

// TestStar holds what `*` stands for.
func TestStar(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), `CREATE TABLE t (id bigint, day date, note text, _line bigint)`)
	p.request.Fields = []string{"id", "day", "note"}
	for list, want := range map[string]string{
		"":                                 "id 0, day 1, note 2",
		"*":                                "id 0, day 1, note 2",
		"input.*":                          "id 0, day 1, note 2",
		"*, note":                          "id 0, day 1, note 2",
		"*, day AS id":                     "day 1, note 2, id 1",
		"'x' AS note, *":                   "note const, id 0, day 1",
		"*, upper(note) AS note":           "id 0, day 1, note expr",
		"*, _line":                         "id 0, day 1, note 2, _line const",
		"id, day, note, id AS _line":       "id 0, day 1, note 2, _line 0",
		"*, upper(day) AS note":            "id 0, day 1, note expr",
		"*, _line + 1 AS _line, 7 AS note": "id 0, day 1, _line expr, note expr",
	} {
		plan, err := p.plan(t.Context(), list, "")
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		if got := itemsOf(plan); got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
	p.request.Fields = []string{"id", "preis", "y"}
	if plan, err := p.plan(t.Context(), "*, preis AS note", "y <> ''"); err != nil || itemsOf(plan) != "id 0, note 1" {
		t.Errorf("fields that are no columns, and are used: %v, %v", plan, err)
	}
	p.request.Fields = []string{"id", "_line"}
	if plan, err := p.plan(t.Context(), "*", ""); err != nil || itemsOf(plan) != "id 0, _line 1" {
		t.Errorf("a field that is called as ours: %v, %v", plan, err)
	}
	p.request.Fields = []string{"", "day", ""}
	if plan, err := p.plan(t.Context(), "_1 AS id, day, _3 AS note", ""); err != nil || itemsOf(plan) != "id 0, day 1, note 2" {
		t.Errorf("fields without a name: %v, %v", plan, err)
	}
}

// itemsOf says in short what a plan's items are.
func itemsOf(p *selection.Plan) string {
	var list []string
	for _, item := range p.Items {
		what := "const"
		switch {
		case item.Expr:
			what = "expr"
		case item.Field >= 0:
			what = string(rune('0' + item.Field))
		}
		list = append(list, item.Column+" "+what)
	}
	return strings.Join(list, ", ")
}

// TestMistakes holds that what is no list of items over fields is refused, with its place.
// A list of mistakes that end with a caret has it under the place of the mistake. From
// PostgreSQL 17 on the server tells the places of its own mistakes alone.
func TestMistakes(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), adsLike, "CREATE TABLE other (x int)", "CREATE FUNCTION many(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT $1'", "CREATE SEQUENCE s")
	placeKnown, placed := pgtest.Version(t, p.conn) < 17, 0
	for _, test := range []struct{ list, where, message, at string }{
		{"id,", "", "syntax error at its end", ""},
		{"id,, note", "", `syntax error at or near ","`, ", note"},
		{"id note day", "", "syntax error at or near", "day"},
		{"id, pric AS amount", "", `column "pric" does not exist`, "pric AS"},
		{"id, 'x", "", `unterminated quoted string at or near "'x"`, "'x"},
		{"id, $a$x", "", "unterminated dollar-quoted string", "$a$x"},
		{"id /* x", "", "unterminated /* comment", "/* x"},
		{`id, "x`, "", "unterminated quoted identifier", `"x`},
		{"id -- x", "a = 1", `column "a" does not exist`, "a = 1"},
		{"id; DROP TABLE other", "", `syntax error at or near ";"`, "; DROP"},
		{"id) q; DROP TABLE other; --", "", "", ""},
		{"1 AS id) q, LATERAL (SELECT note", "", "", ""},
		{"1 AS id) z, LATERAL (SELECT note", "", "closes a bracket", ""},
		{"id FROM pg_temp.shardload_fields) z UNION SELECT * FROM (SELECT id", "", "closes a bracket", ""},
		{"id) z WHERE 1 IN (SELECT 1", "", "", ""},
		{"1", "1 = 1) UNION SELECT (1", "", ""},
		{"id INTO other", "", "", ""},
		{"id FROM other --", "", "syntax error at its end", ""},
		{"x AS id FROM other UNION ALL SELECT id", "", "", ""},
		{"1 AS id UNION ALL SELECT 2", "", "UNION", ""},
		{"1 AS id FROM other UNION ALL SELECT 2", "", "UNION", ""},
		{"DISTINCT id", "", "DISTINCT", ""},
		{"DISTINCT ON (id) id", "", "DISTINCT", ""},
		{"count(*) AS id", "", "an aggregate", "count"},
		{"id, max(note) AS note", "", "must appear in the GROUP BY clause", "id"},
		{"row_number() OVER () AS id", "", "a window function", "row_number"},
		{"id, (SELECT 1) AS amount", "", "a subquery", "(SELECT"},
		{"id, ARRAY(SELECT 1)::text AS note", "", "a subquery", "ARRAY"},
		{"unnest('{1,2}'::int[]) AS id", "", "returns several rows", "unnest"},
		{"id, many(note) AS note", "", "returns several rows", "many"},
		{"id, generate_series(1, 2) AS amount", "", "returns several rows", "generate_series"},
		{"input AS id", "", "the row of fields as a whole", "input"},
		{"id, input::text AS region", "", "the row of fields as a whole", "input"},
		{"id, ctid::text AS region", "", "a system column", "ctid"},
		{"id, tableoid::text AS region", "", "a system column", "tableoid"},
		{"id, $1 AS note", "", "parameter", ""},
		{"id, note || $1 AS note", "", "parameter", ""},
		{"id, 1", "", "item 2 has no name", "1"},
		{"id, upper(note)", "", `item 2 is called "upper"`, "upper"},
		{"id, note AS Day, note AS DAY", "", `column "day": is named twice`, "note AS DAY"},
		{"id, note, note", "", `column "note": is named twice`, "note"},
		{"id, note AS reason", "", `item 2 is called "reason"`, "note AS"},
		{"id, note AS \"Day\"", "", "did you mean \"day\"?", "note AS"},
		{"id, 1 AS twice", "", `column "twice": is generated`, "1 AS"},
		{"note", "", `column "id": is missing, is NOT NULL`, ""},
		{"*", "", `field "price" of * is no column`, "*"},
		{"  ", "", "it has no item", ""},
		{"-- x", "", "it has no item", ""},
		{"NULL AS id", "", `column "id": is NOT NULL`, "NULL"},
		{"id, 'x' AS amount", "", `invalid input syntax for type numeric: "x"`, "'x'"},
		{"id, 1/0 AS amount", "", "division by zero", "1/0"},
		{"id, 'abcd' AS note", "", "value too long for type character varying(3)", "'abcd'"},
		{"id, note::date = day::date AS day", "", "type date but expression is of type boolean", "note"},
		{"id, price::int AS flag", "", `column "flag" is of type boolean but expression is of type integer`, "price"},
		{"id, price + 1 AS amount", "", "operator does not exist: text + integer", "+ 1"},
		{"id, nosuch(price) AS amount", "", "function nosuch(text) does not exist", "nosuch"},
		{"id, price::nosuch AS amount", "", `type "nosuch" does not exist`, "nosuch"},
		{"id, note::varchar(3) AS region", "", "cuts what is longer", "::varchar"},
		{"id, CAST(note AS char(2)) AS region", "", "cuts what is longer", "CAST"},
		{"id, upper(note::character varying(3)) AS region", "", "cuts what is longer", "::character"},
		{"id, ('{a,b}' || note)::varchar(1)[]::text AS region", "", "cuts what is longer", ""},
		{"id, note::bit(3)::text AS region", "", "cuts what is longer", "::bit"},
		{"id", "note::varchar(1) = 'x'", "Config.Where: a cast to a type with a length cuts what is longer", "::varchar"},
		{"id", "note = $1", "Config.Where: a parameter", ""},
		{"id", "note", "argument of WHERE must be type boolean, not type text", "note"},
		{"id", "note = 'x' ORDER BY id", "ORDER BY", ""},
		{"id", "note = 'x' GROUP BY id", "GROUP BY", ""},
		{"id", "note = 'x' GROUP BY id HAVING true", "GROUP BY", ""},
		{"id", "note = 'x' LIMIT 1", "LIMIT", ""},
		{"id", "note = 'x' OFFSET 1", "OFFSET", ""},
		{"id", "note = 'x' FETCH FIRST ROW ONLY", "LIMIT", ""},
		{"id", "note = 'x' FOR UPDATE", "locked", ""},
		{"id", "note = 'x' UNION ALL SELECT 'y'", "UNION", ""},
		{"id", "note = 'x' WINDOW w AS ()", "window", ""},
		{"id", "EXISTS (SELECT 1)", "a subquery", "EXISTS"},
		{"id", "id IN (SELECT x::text FROM other)", "a subquery", "IN"},
		{"id", "note = 'x') q; DROP TABLE other; --", "", ""},
		{"id", " ", "syntax error at its end", ""},
		{"id", "note = 'é' AND nosuch", `column "nosuch" does not exist`, "nosuch"},
		{"id, 'é' AS region, nosuch AS note", "", `column "nosuch" does not exist`, "nosuch"},
		{"id,\n nosuch AS note,\n day", "", `column "nosuch" does not exist`, "nosuch"},
		{`id, note AS ":expr"`, "", "begins with a colon", ""},
		{"id, nextval('s') AS x", "", `item 2 is called "x"`, "nextval"},
	} {
		_, err := p.plan(t.Context(), test.list, test.where)
		if err == nil {
			t.Errorf("%q where %q: no error", test.list, test.where)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, test.message) {
			t.Errorf("%q where %q: %v\nwant %q", test.list, test.where, err, test.message)
		}
		if strings.Contains(text, "shardload_") && !strings.Contains(test.list, "shardload_") || strings.Contains(text, "AS input") {
			t.Errorf("%q where %q: the error shows our own part: %v", test.list, test.where, err)
		}
		if at := under(text); at != "" {
			placed++
		}
		if test.at != "" && !strings.HasPrefix(under(text), test.at) && (placeKnown || under(text) != "") {
			t.Errorf("%q where %q: %v\nthe caret is under %q, want %q", test.list, test.where, err, under(text), test.at)
		}
	}
	if placed < 8 { // the server's own
		t.Errorf("%d mistakes have a caret", placed)
	}
	if left := pgtest.Query(t, p.conn, "SELECT count(*) FROM pg_class WHERE relname LIKE 'shardload%' OR relname = 'other' AND relnamespace = 'public'::regnamespace"); left[0] != "1" {
		t.Errorf("left behind: %v", left)
	}
}

// under returns what an error's caret is under, from there on.
func under(text string) string {
	lines := strings.Split(strings.Split(text, "^\n")[0], "\n\t")
	if len(lines) < 3 {
		return ""
	}
	at := strings.Count(lines[2], " ")
	line := []rune(lines[1])
	if at >= len(line) {
		return ""
	}
	return string(line[at:])
}
