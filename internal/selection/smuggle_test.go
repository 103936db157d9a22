package selection_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/selection"
)

// smuggled is what may follow a list, in the hope that the query becomes another one.
var smuggled = []string{
	"", ",", ";", "; SELECT 1", ")", ") q", ") AS q --", ") z, (SELECT note", ") z, LATERAL (SELECT note", ") z CROSS JOIN (SELECT note", ") z JOIN (SELECT note", ") z NATURAL JOIN (SELECT id, note",
	") z UNION ALL SELECT * FROM (SELECT id", ") z UNION ALL (SELECT id", ") z WHERE true UNION ALL SELECT * FROM (SELECT id", " FROM other) z UNION ALL SELECT * FROM (SELECT id", " FROM other", " FROM other --", " FROM other /*",
	" FROM other, (SELECT note", " FROM other CROSS JOIN", " FROM other, ", " FROM other UNION ALL SELECT id", " FROM other EXCEPT SELECT id", " FROM other WHERE x IN (1) UNION SELECT id", " UNION ALL SELECT id", " UNION SELECT id", " INTERSECT SELECT id",
	" ORDER BY 1", " LIMIT 1", " INTO other2", " INTO TEMP other2 FROM other; SELECT 1", " --", " /* x", " /* x /* y */", " */", " -- \n FROM other", " \n--\n", " $$", " $x$ $y$", " '", ` "`, " E'\\", " U&'\\0041", " U&'\\", " ''''", " FOR UPDATE",
	", count(*)", ", sum(1) OVER ()", ", row_number() OVER w", ", unnest('{1,2,3}'::int[])", ", generate_series(1, 3)", ", (SELECT 1)", ", EXISTS (SELECT 1)", ", ARRAY(TABLE other)", ", (TABLE other LIMIT 1)", ", (VALUES (1))", ", (WITH a AS (SELECT 1) SELECT * FROM a)",
	", input", ", input.*", ", *", ", q", ", q.c1", ", xmin::text", ", $1", ", nextval('s')", ", (input).note", ", (input.*)::text", ", json_array_elements('[1,2]'::json)", ", json_populate_recordset(NULL::other, '[]')", ", rows_of()", ", (rows_of()).x", ", CASE WHEN true THEN rows_of() END", ", coalesce(many(), 1)",
	" WINDOW w AS ()", " GROUP BY id", " GROUP BY ALL", " GROUP BY ROLLUP (id)", " HAVING true", " TABLESAMPLE SYSTEM (1)", " AS", " AS x", " AS \"x\"\"y\"", " \x00", " \ufeff", " \u00a0", " \u2028-- ", "\r, note", "\v", " /* \n */ , note", ", '\n', note", ", E'\\n' '\n'\n'x'",
}

// TestSmuggled holds that what is accepted gives a row for each row of fields, whatever is put into
// a list or a condition to make it something else, and that nothing is left behind.
func TestSmuggled(t *testing.T) {
	t.Parallel()
	p := newPlace(t, pgtest.Plain(t), "CREATE TABLE t (id text, note text, x text, c1 text, count text, input text)", "CREATE TABLE other (x int)", "INSERT INTO other VALUES (1), (2), (3)", "CREATE SEQUENCE s",
		"CREATE FUNCTION rows_of() RETURNS SETOF other LANGUAGE sql AS 'TABLE other'", "CREATE FUNCTION many() RETURNS SETOF int LANGUAGE sql AS 'SELECT x FROM other'")
	p.request.Fields = []string{"id", "note"}
	accepted := 0
	for _, list := range []string{"id", "note AS id", "'x' AS id, note", "upper(id) AS id"} {
		for _, more := range smuggled {
			for _, where := range []string{"", "true", "note = 'b'" + more} {
				plan, err := p.plan(t.Context(), list+more, where)
				if where != "" && where != "true" {
					plan, err = p.plan(t.Context(), list, where)
				}
				if err != nil {
					if _, broken := err.(interface{ SafeToRetry() bool }); broken || p.conn.IsClosed() {
						t.Fatalf("%q where %q: %v", list+more, where, err)
					}
					continue
				}
				accepted++
				p.countRows(t, plan, strings.HasPrefix(where, "note"))
			}
		}
	}
	if accepted < 50 {
		t.Errorf("%d lists were accepted: too few to tell", accepted)
	}
	left := pgtest.Query(t, p.conn, "SELECT relname FROM pg_class WHERE relname LIKE 'shardload%' OR relname LIKE 'other%' OR relname = 't' ORDER BY 1")
	if fmt.Sprint(left) != "[other t]" {
		t.Errorf("left behind: %v", left)
	}
	if got := pgtest.Query(t, p.conn, "SELECT is_called FROM s"); got[0] != "f" {
		t.Error("a sequence was drawn from")
	}
}

// countRows holds that the query of a plan gives the rows of a table of fields.
func (p *place) countRows(t *testing.T, plan *selection.Plan, filtered bool) {
	t.Helper()
	rows := []string{"a", "b", "c", "b"}
	var defs, names []string
	for i, c := range plan.Staging {
		defs = append(defs, pgx.Identifier{c.Name}.Sanitize()+" "+c.TypeSQL())
		if i < len(plan.Fields) {
			names = append(names, "v")
		} else {
			names = append(names, "NULL")
		}
	}
	pgtest.Exec(t, p.conn, "BEGIN", selection.SettingsSQL, "CREATE TEMP TABLE staged ("+strings.Join(defs, ", ")+") ON COMMIT DROP",
		"INSERT INTO staged SELECT "+strings.Join(names, ", ")+" FROM unnest('{"+strings.Join(rows, ",")+"}'::text[]) AS v")
	got := pgtest.Query(t, p.conn, "SELECT count(*), count(DISTINCT "+selection.Place+") FROM ("+plan.SQL("pg_temp.staged", nil, selection.Input+".ctid", true)+") AS all_rows")
	want := "4|4"
	if filtered {
		want = "2|2"
	}
	if got[0] != want {
		t.Errorf("%q where %q gives %s rows, want %s", plan.List, plan.Where, got[0], want)
	}
	pgtest.Exec(t, p.conn, "ROLLBACK")
}
