package selection_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/pgtest"
	"shardload/internal/selection"
	"shardload/internal/server"
)

// stage makes the staging table of a plan, fills it with rows of the fields' texts, NULL for
// "NULL", and stores what the plan's query gives in t. It returns the rows of t.
func (p *place) stage(t *testing.T, plan *selection.Plan, rows ...string) ([]string, error) {
	t.Helper()
	var defs []string
	for _, c := range plan.Staging {
		defs = append(defs, pgx.Identifier{c.Name}.Sanitize()+" "+c.TypeSQL())
	}
	pgtest.Exec(t, p.conn, "BEGIN", selection.SettingsSQL, "CREATE TEMP TABLE staged ("+strings.Join(defs, ", ")+") ON COMMIT DROP")
	defer pgtest.Exec(t, p.conn, "ROLLBACK")
	for i, row := range rows {
		var values []string
		for j, c := range plan.Staging {
			value := "NULL"
			switch fields := strings.Split(row, "|"); {
			case c.Name == selection.Line:
				value = fmt.Sprint(i + 2)
			case c.Name == selection.File:
				value = "'in.csv'"
			case c.Used && fields[j] != "NULL":
				value = server.Literal(fields[j])
			}
			values = append(values, value)
		}
		if _, err := p.conn.Exec(t.Context(), "INSERT INTO staged VALUES ("+strings.Join(values, ", ")+")", pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, err
		}
	}
	var columns []string
	for _, item := range plan.Items {
		columns = append(columns, pgx.Identifier{item.Column}.Sanitize())
	}
	sql := "INSERT INTO t (" + strings.Join(columns, ", ") + ") SELECT " + strings.Join(columns, ", ") + " FROM (" +
		plan.SQL("pg_temp.staged", nil, selection.Input+".ctid", true) + ") AS q ORDER BY " + selection.Place
	if _, err := p.conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	return pgtest.Query(t, p.conn, "SELECT * FROM t"), nil
}

// TestStaged holds what the query of a plan gives, and that it cuts nothing.
func TestStaged(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), "CREATE DOMAIN short AS varchar(3)", "CREATE DOMAIN shorter AS short CHECK (value <> 'no')",
		`CREATE TABLE t (id bigint, day date, v varchar(3), c char(3), b bit(3), vb varbit(3), d shorter, a varchar(3)[], n numeric(5,2), txt text, r regclass)`)
	p.request.Fields = []string{"id", "day", "x"}
	const row = "1|01/02/2026|abc"
	for _, test := range []struct{ list, where, row, want string }{
		{"id, to_date(day, 'DD/MM/YYYY') AS day", "", row, "1|2026-02-01|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL"},
		{"*, x AS v, upper(x) AS txt, to_date(day, 'DD/MM/YYYY') AS day", "", row, "1|2026-02-01|abc|NULL|NULL|NULL|NULL|NULL|NULL|ABC|NULL"},
		{"upper(x) AS v, lower(x) AS c", "", row, "NULL|NULL|ABC|abc|NULL|NULL|NULL|NULL|NULL|NULL|NULL"},
		{"upper(x) AS v", "", "1|d|abcd", "value too long for type character varying(3)"},
		{"upper(x) AS c", "", "1|d|abcd", "value too long for type character(3)"},
		{"upper(x) AS d", "", "1|d|abcd", "value too long for type character varying(3)"},
		{"lower(x) AS d", "", "1|d|no", "violates check constraint"},
		{"lower(x) AS b", "", "1|d|1011", "bit string length 4 does not match type bit(3)"},
		{"lower(x) AS vb", "", "1|d|1011", "bit string too long for type bit varying(3)"},
		{"lower(x) AS b, lower(x) AS vb", "", "1|d|101", "NULL|NULL|NULL|NULL|101|101|NULL|NULL|NULL|NULL|NULL"},
		{"'{' || x || '}' AS a", "", "1|d|abcd", "value too long for type character varying(3)"},
		{"'{' || x || '}' AS a", "", "1|d|ab", "NULL|NULL|NULL|NULL|NULL|NULL|NULL|{ab}|NULL|NULL|NULL"},
		{"replace(x, ',', '.') AS n", "", "1|d|1,005", "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|1.01|NULL|NULL"},
		{"replace(x, ',', '.') AS n", "", "1|d|1005", "numeric field overflow"},
		{"lower(x) AS r", "", "1|d|-", "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|-"},
		{"id, _line || ' ' || _file AS txt", "", row, "1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|2 in.csv|NULL"},
		{"id, E'\\\\' || 'a\\' AS txt", "id = '1'", row, `1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|\a\|NULL`},
		{"id, lower(x) AS txt -- more", "x <> 'abc' -- or", row, ""},
		{"id, lower(x) AS txt", "x = 'abc' AND NULL IS NULL", row, "1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|abc|NULL"},
	} {
		plan, err := p.plan(t.Context(), test.list, test.where)
		if err != nil || !plan.Staged {
			t.Errorf("%s: %+v, %v", test.list, plan, err)
			continue
		}
		rows, err := p.stage(t, plan, test.row)
		got := strings.Join(rows, "\n")
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%s where %q: %s\nwant %s", test.list, test.where, got, test.want)
		}
	}
}

// TestStandardStrings holds that a list means the same whatever the role's settings say of
// backslashes.
func TestStandardStrings(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), "SET standard_conforming_strings = off", "SET transform_null_equals = on", "SET escape_string_warning = off",
		"CREATE TABLE t (txt text, flag boolean)")
	p.request.Fields = []string{"a"}
	plan, err := p.plan(t.Context(), `'\n' AS txt, a = NULL AS flag`, "")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.stage(t, plan, "NULL")
	if err != nil || strings.Join(rows, "") != `\n|NULL` {
		t.Errorf("rows %v, %v", rows, err)
	}
	if _, err := p.plan(t.Context(), `'\' AS txt, a::boolean AS flag`, ""); err != nil {
		t.Errorf("a backslash before a quote: %v", err)
	}
}

// TestSteady holds which expressions may decide in which shard a row is stored.
func TestSteady(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), "CREATE TABLE t (k text, id bigint, at timestamptz)", "CREATE FUNCTION looks(text) RETURNS text STABLE LANGUAGE sql AS 'SELECT $1'",
		"CREATE FUNCTION steady(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'", "CREATE FUNCTION any_time(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
		"CREATE TYPE odd AS (x int, at timestamptz)", "CREATE FUNCTION from_text(varchar) RETURNS odd IMMUTABLE LANGUAGE sql AS 'SELECT row(1, $1::timestamptz)::odd'",
		"CREATE CAST (varchar AS odd) WITH FUNCTION from_text(varchar)", "CREATE DOMAIN day AS date", "CREATE FUNCTION at_of(odd) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS 'SELECT $1.at'")
	p.request.Fields, p.request.Steady = []string{"a", "b"}, []string{"k", "id", "at"}
	for _, list := range []string{
		"a AS k", "'x' AS k", "a || b AS k", "concat(a, '-', b) AS k", "steady(a) AS k", "lower(a) AS k", "a::date AS at", "a::timestamptz + interval '1 day' AS at", "to_date(a, 'DD/MM/YYYY') AS at",
		"to_timestamp(a, 'x') AS at", "(a::numeric * 100)::bigint AS id", "length(a) AS id", "CASE WHEN a = 'x' THEN 1 ELSE b::int END AS id", "coalesce(a, b)::bigint AS id",
		"date_trunc('month', a::timestamptz) AS at", "a::date + 1 AS at", "('2001-02-03'::date + a::int) AS at", "split_part(a, ':', 1) AS k", "md5(a) AS k", "a::jsonb ->> 'k' AS k",
		"(regexp_match(a, 'x(.)'))[1] AS k", "to_char(a::date, 'YYYY') AS k", "(a IN ('x', 'y') OR b = ANY ('{1,2}'))::text AS k",
		"date_trunc('day', a::timestamptz)::date AS at", "nullif(a, '-')::date + 1 AS at", "nullif(a, '-') AS at", "a::varchar::date + 1 AS at", "to_timestamp(a || b, 'x') AS at", "make_date(a::int, 1, 1) AS at", "at_of(a::varchar::odd) AS at",
		"'x' AS k, a::date + 1 AS at", "'2001-02-03' AS at", "a::date + ('2001-02-03'::date - '2001-02-01'::date) AS at",
	} {
		if _, err := p.plan(t.Context(), list, ""); err != nil {
			t.Errorf("%s: %v", list, err)
		}
	}
	for list, want := range map[string]string{
		"random()::text AS k": "VOLATILE", "a || random() AS k": "VOLATILE", "any_time(a) AS k": "VOLATILE", "gen_random_uuid() AS k": "VOLATILE", "clock_timestamp() AS at": "VOLATILE",
		"now() AS at": "asks for the time", "a::date + (now() - now()) AS at": "asks for the time", "current_date AS at": "asks for the time", "localtimestamp + a::interval AS at": "asks for the time",
		"current_user AS k": "asks for the time", "a || current_setting('TimeZone') AS k": "asks for the time", "statement_timestamp() AS at": "asks for the time", "age(a::timestamptz)::text AS k": "asks for the time",
		"'now'::text::timestamptz AS at": "that of the moment", "'now'::timestamptz AS at": "that of the moment", "'today'::date + a::int AS at": "that of the moment", "'{now}'::timestamptz[] AS k": "that of the moment",
		"('to' || 'day')::date AS at": "that of the moment", "a::date - 'yesterday'::date AS id": "that of the moment", "'[today,tomorrow)'::daterange || a AS k": "that of the moment", "'allballs'::timetz::text || a AS k": "that of the moment",
		"'today 10:00'::timestamptz + a::interval AS at": "that of the moment", "'tomorrow 23:00 America/New_York'::timestamptz + a::interval AS at": "that of the moment",
		"'today' AS at, upper(a) AS k":          "that of the moment",
		"coalesce(a, 'now')::timestamptz AS at": "more than a field", "(array[a, 'now'])[2]::timestamptz AS at": "more than a field", "replace(a, 'x', 'now')::timestamptz AS at": "more than a field",
		"replace(a, 'x', 'now') AS at": "more than a field", "(CASE a WHEN 'x' THEN 'now' ELSE a END)::date AS at": "more than a field", "CASE a WHEN 'x' THEN 'now' ELSE a END AS at": "more than a field",
		"concat('n', a)::time::text AS k": "more than a field", "date_trunc('day', lower(a)::timestamp)::date AS at": "more than a field", "('{' || a || '}')::timestamptz[]::text AS k": "more than a field",
		"array_remove(array[a, 'now'], 'x')::timestamptz[]::text AS k": "that of the moment", "(array[a, 'now'])::timestamptz[]::text AS k": "that of the moment", "('[' || a || ',)')::daterange::text AS k": "more than a field", "at_of((a || '')::odd) AS at": "function record_in", "at_of(from_text(a || '')) AS at": "more than a field",
		"(a || '')::day AS at": "not known to give", "nullif('now', a)::date AS at": "more than a field", "_file::date AS at": "more than a field", "trim(a) AS at": "more than a field",
		"timestamptz_in(textout(a || 'w'), 0, -1) AS at": "input function", "date_in((a || 'w')::cstring) AS at": "input function",
		"looks(a) AS k": "declared STABLE", "a::regclass::text AS k": "function regclass", "to_tsvector(a)::text AS k": "function to_tsvector", "xmlelement(name x, a)::text AS k": "not known to give", "row(a)::text AS k": "not known to give",
	} {
		_, err := p.plan(t.Context(), list, "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", list, err, want)
		}
	}
	p.request.Steady = nil
	for _, list := range []string{"coalesce(a, 'now')::timestamptz AS at", "replace(a, 'x', 'now') AS at"} {
		plan, err := p.plan(t.Context(), list, "")
		if err != nil || plan.Items[0].Wavers || !plan.Items[0].Clock {
			t.Errorf("%s where it decides nothing: %+v, %v", list, plan, err)
		}
	}
	for _, list := range []string{"random()::text AS k", "now() AS at", "looks(a) AS k", "'now'::timestamptz AS at", "current_user AS k"} {
		if plan, err := p.plan(t.Context(), list, ""); err != nil || !plan.Staged {
			t.Errorf("%s where it decides nothing: %+v, %v", list, plan, err)
		}
	}
}

// TestNodes holds that a function which a worker does not have is missed before the load.
func TestNodes(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Citus(t), "CREATE TABLE t (k bigint, v text)", "SELECT create_distributed_table('t', 'k')",
		"SET citus.enable_ddl_propagation = off", "CREATE FUNCTION here_alone(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'", "RESET citus.enable_ddl_propagation",
		"CREATE FUNCTION everywhere(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'")
	p.request.Fields = []string{"k", "v"}
	for _, node := range pgtest.Query(t, p.conn, "SELECT nodeport FROM pg_dist_node WHERE groupid > 0 ORDER BY 1") {
		p.request.Nodes = append(p.request.Nodes, selection.Node{Name: "node " + node, Do: func(ctx context.Context, fn func(*pgconn.PgConn) error) error {
			cfg := p.conn.Config().Config.Copy()
			_, _ = fmt.Sscan(node, &cfg.Port)
			conn, err := pgconn.ConnectConfig(ctx, cfg)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			return fn(conn)
		}})
	}
	if _, err := p.plan(t.Context(), "k, everywhere(v) AS v", ""); err != nil {
		t.Error(err)
	}
	_, err := p.plan(t.Context(), "k, here_alone(v) AS v", "")
	if err == nil || !strings.HasPrefix(err.Error(), "Config.Select: node ") || !strings.Contains(err.Error(), "here_alone(text) does not exist") || under(err.Error()) != "here_alone(v) AS v" {
		t.Errorf("a function of the coordinator alone: %v", err)
	}
	if _, err := p.plan(t.Context(), "k, v", "here_alone(v) = 'x'"); err == nil || !strings.HasPrefix(err.Error(), "Config.Where: node ") {
		t.Errorf("a function of the coordinator alone, in the condition: %v", err)
	}
}

// TestClock holds of which items fields are looked at for words of the moment: those that are read
// here, too, where a field may be NULL.
func TestClock(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), "CREATE TABLE t (k text, at timestamptz)")
	p.request.Fields, p.request.Steady = []string{"a", "b"}, []string{"at"}
	for list, want := range map[string]bool{
		"nullif(a, '-') AS at": true, "nullif(a, '-')::timestamptz AS at": true, "nullif(a, '-') AS at, upper(b) AS k": true, "date_trunc('day', a::timestamptz)::date AS at": true,
		"(CASE WHEN b = 'x' THEN a::date END) AS at": true, "to_timestamp(a, 'x') AS at": false, "upper(a) AS k": false,
	} {
		plan, err := p.plan(t.Context(), list, "")
		if err != nil || plan.Items[0].Clock != want {
			t.Errorf("%s: %+v, %v", list, plan, err)
		}
	}
}

// TestVolatileCondition holds that a condition is refused that may be decided otherwise each time.
func TestVolatileCondition(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), "CREATE TABLE t (k text)", "CREATE FUNCTION tossed(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT random() < 0.5'",
		"CREATE OPERATOR <~> (LEFTARG = text, RIGHTARG = text, FUNCTION = tossed)", "CREATE SEQUENCE s")
	p.request.Fields = []string{"a"}
	for _, where := range []string{
		"random() < 0.1", "a = 'x' AND (a <> 'y' OR random() < 0.1)", "CASE WHEN a = 'x' THEN nextval('s') > 5 END", "tossed(a, a)", "a <~> 'x'", "a <~> ANY ('{x,y}')",
		"(a, random()) < ('x', 0.5)", "a::timestamptz < clock_timestamp()", "coalesce(a, gen_random_uuid()::text) > '8'",
	} {
		for _, list := range []string{"a AS k", "upper(a) AS k"} {
			_, err := p.plan(t.Context(), list, where)
			if err == nil || !strings.HasPrefix(err.Error(), "Config.Where: ") || !strings.Contains(err.Error(), "is VOLATILE") {
				t.Errorf("%s: %v", where, err)
			}
		}
	}
	if _, err := p.plan(t.Context(), "a AS k", "a <> 'x' AND random() < 0.1"); err == nil || !strings.HasPrefix(under(err.Error()), "random() < 0.1") && pgtest.Version(t, p.conn) < 17 {
		t.Errorf("the place: %v", err)
	}
	for _, where := range []string{"a::timestamptz < now()", "current_user = a", "a::date = 'today'", "hashtext(a) % 10 = 0", "to_char(a::date, 'YYYY') = '2026'"} {
		if _, err := p.plan(t.Context(), "a AS k", where); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	if _, err := p.plan(t.Context(), "random()::text AS k", "a = 'x'"); err != nil {
		t.Errorf("an item: %v", err)
	}
}

// TestOneValue holds that a key of JSON goes into a column as JSON or as its text, whatever else
// is asked for, and that a cast is of its text.
func TestOneValue(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), "CREATE DOMAIN doc AS jsonb", "CREATE TABLE t (o jsonb, j json, d doc, arr text[], k text, k2 text)")
	p.request.Fields, p.request.JSON = []string{"o", "it's"}, true
	for _, test := range []struct {
		list, where string
		staged      bool
	}{
		{"o", "", false},
		{"o AS j, \"it's\" AS k", "", false},
		{"o AS k, o AS k2", "", false},
		{"o, _record ->> 'o' AS k", "_record ->> 'o' IS NOT NULL", true},
		{"to_jsonb(o) AS o, o AS k", "o <> ''", true},
		{"o::jsonb AS o", "", true},
		{"nullif(o, '')::jsonb AS o", "", true},
		{"o::json AS j", "", true},
		{"o::text[] AS arr", "", true},
		{"o::jsonb AS o, o AS k", "o <> ''", true},
		{"nullif(o, '-') AS o", "", false},
	} {
		plan, err := p.plan(t.Context(), test.list, test.where)
		if err != nil || plan.Staged != test.staged {
			t.Errorf("%s where %q: %+v, %v", test.list, test.where, plan, err)
		}
	}
	for _, test := range []struct{ list, where, want string }{
		{"o", "o IS NOT NULL", `column "o": field "o" is JSON for it`},
		{"o, \"it's\" AS k", `"it's" <> '' AND o <> ''`, `column "o": field "o" is JSON for it`},
		{"o AS j, o AS k", "", `to_jsonb("o")`},
		{"o, o AS j", "", `column "j": field "o"`},
		{"o AS d, upper(o) AS k", "", `"o"::jsonb`},
		{"\"it's\" AS arr, \"it's\" AS k", "", `_record ->> 'it''s'`},
	} {
		_, err := p.plan(t.Context(), test.list, test.where)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s where %q: %v; want %q", test.list, test.where, err, test.want)
		}
	}
	p.request.JSON = false
	for _, list := range []string{"o, o AS k", "o, o AS j"} {
		if plan, err := p.plan(t.Context(), list, ""); err != nil || plan.Staged {
			t.Errorf("%s of other inputs: %+v, %v", list, plan, err)
		}
	}
}
