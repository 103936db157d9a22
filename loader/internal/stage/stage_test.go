package stage_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/pgtest"
	"shardload/internal/selection"
	"shardload/internal/server"
	"shardload/loader/internal/stage"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newTable returns the staging table of a list and a condition over fields id, b, c and d,
// for a table of a new schema.
func newTable(t *testing.T, conn *pgx.Conn, list, where string, change func(*stage.Options, *catalog.Table)) *stage.Table {
	t.Helper()
	ctx := context.Background()
	pgtest.Exec(t, conn, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (id int, at date, note varchar(3), source text, line bigint)")
	table, err := catalog.Lookup(ctx, conn, "kept")
	if err != nil {
		t.Fatal(err)
	}
	session, err := server.ReadSession(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	r := selection.Request{List: list, Where: where, File: "é'.csv", Encoding: "UTF8", Table: table, Session: &session}
	plan, _, err := selection.Choose(ctx, conn, r, selection.Found{Names: []string{"id", "b", "c", "d"}, Named: true})
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Staged {
		t.Fatalf("%s: is read here", list)
	}
	opt := stage.Options{File: "é'.csv", Encoding: session.Encoding}
	if change != nil {
		change(&opt, table)
	}
	st, err := stage.New(plan, table, opt)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

const evaluated = `id, to_date(b, 'DD/MM/YYYY') AS at, nullif(c, '-') || '' AS note, _file AS source, _line * 10 AS line -- $shardload$`

// fill makes st in a transaction and puts rows into it: values for each of its columns.
func fill(t *testing.T, conn *pgx.Conn, st *stage.Table, pooled bool, rows ...string) {
	t.Helper()
	var names []string
	for i := range st.Columns {
		names = append(names, pgx.Identifier{st.Columns[i].Name}.Sanitize())
	}
	pgtest.Exec(t, conn, st.CreateSQL(pooled)+selection.SettingsSQL)
	for _, row := range rows {
		pgtest.Exec(t, conn, "INSERT INTO "+st.SQL()+" ("+strings.Join(names, ", ")+") VALUES ("+row+")")
	}
}

// TestSource holds that rows are what the list makes of them, whatever their fields and the input
// are called, in a table that each transaction finds empty, also after one that was undone.
func TestSource(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	st := newTable(t, conn, evaluated, `"d" <> 'out'`, nil)
	for _, pooled := range []bool{false, true, true, false} {
		for _, end := range []string{"ROLLBACK", "COMMIT"} {
			pgtest.Exec(t, conn, "BEGIN")
			fill(t, conn, st, pooled, "1, '01/02/2026', 'abc', 'in', 2", "2, 'none', 'abc', 'out', 3", "3, '03/02/2026', '-', 'in', 4")
			pgtest.Exec(t, conn, st.FilterSQL(stage.Range{}))
			got := pgtest.Query(t, conn, "SELECT id, at, note, source, line FROM "+st.Source(stage.Range{})+" AS s ORDER BY s.ctid")
			if diff := cmp.Diff([]string{"1|2026-02-01|abc|é'.csv|20", "3|2026-02-03|NULL|é'.csv|40"}, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			ctids := pgtest.Query(t, conn, st.RowsSQL())
			got = pgtest.Query(t, conn, "SELECT id FROM "+st.Source(stage.Range{From: ctids[1]})+" AS s")
			if diff := cmp.Diff([]string{"3"}, got); diff != "" || len(ctids) != 2 {
				t.Errorf("%v; rows from the second on (-want +got):\n%s", ctids, diff)
			}
			if n := pgtest.Query(t, conn, "SELECT count(*) FROM "+st.Source(stage.Nothing)+" AS s")[0]; n != "0" {
				t.Errorf("%s rows in nothing", n)
			}
			pgtest.Exec(t, conn, end)
		}
		pgtest.Exec(t, conn, "DROP TABLE IF EXISTS "+st.SQL())
	}
}

// TestEvaluate holds that all rows that cannot be evaluated or assigned are found, with their
// columns, and no others; those that are left out are none of them.
func TestEvaluate(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	st := newTable(t, conn, evaluated, `"d" <> 'out' AND 1 / length(d) > -1`, nil)
	pgtest.Exec(t, conn, "BEGIN")
	rows := []string{"1, '01/02/2026', 'abc', 'in', 1", "2, 'none', 'abc', 'out', 2", "3, '31/02/2026', '-', 'in', 3", "4, '01/02/2026', 'abcd', 'in', 4", "5, NULL, NULL, '', 5"}
	for range 120 { // more than are fetched at once
		rows = append(rows, "6, '01/02/2026', 'abc', 'in', 6")
	}
	fill(t, conn, st, false, append(rows, "7, '', 'abc', 'in', 7", "8, '01/13/2026', 'abc', 'in', 8")...)
	for limit, want := range map[int][]string{
		100: {"3 22008 at", "4 22001 note", "5 22012 ", "8 22008 at"},
		2:   {"3 22008 at", "4 22001 note"},
	} {
		pgtest.Exec(t, conn, st.EvaluateSQL(limit, limit == 2))
		found, err := st.ParseFound(pgtest.Query(t, conn, stage.FoundSQL)[0])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			id := pgtest.Query(t, conn, "SELECT id FROM "+st.SQL()+" WHERE ctid = '"+f.Ctid+"'")[0]
			got = append(got, id+" "+f.SQLState+" "+f.Column)
			if f.Message == "" {
				t.Errorf("%+v has no message", f)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
		if limit == 2 {
			continue
		}
		var ctids []string
		for _, f := range found {
			ctids = append(ctids, f.Ctid)
		}
		defer func() {
			pgtest.Exec(t, conn, st.DropSQL(ctids)+"; "+st.FilterSQL(stage.Range{}))
			if n := pgtest.Query(t, conn, "SELECT count(*) FROM "+st.Source(stage.Range{})+" AS s")[0]; n != "122" {
				t.Errorf("%s rows are left, want 122", n)
			}
		}()
	}
}

// TestCompute holds that the values of a column that decides a row's shard are those that the
// column stores, and that a record that is left out is not evaluated.
func TestCompute(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	decides := func(name string) func(*stage.Options, *catalog.Table) {
		return func(o *stage.Options, of *catalog.Table) { o.Decides = of.Column(name) }
	}
	for _, tt := range []struct {
		column, where string
		want          []string
	}{
		{"at", `c <> 'out'`, []string{"v2026-02-01", "n", "NULL"}},
		{"at", `b LIKE '0%'`, []string{"v2026-02-01", "NULL", "NULL"}},
		{"source", `c <> 'out'`, []string{"vé'.csv", "vé'.csv", "NULL"}},
		{"note", ``, []string{"vlonger", "n", "vout"}},
	} {
		st := newTable(t, conn, evaluated, tt.where, decides(tt.column))
		sql, needs := st.ComputeSQL()
		values := map[int][]string{1: {"01/02/2026", "", "none"}, 2: {"longer", "-", "out"}}
		values[1][1] = "\x00"
		var args []any
		for _, i := range needs {
			var column []*string
			for _, v := range values[i] {
				if v == "\x00" {
					column = append(column, nil)
				} else {
					column = append(column, &v)
				}
			}
			if column == nil {
				column = make([]*string, 3)
			}
			args = append(args, column)
		}
		if args == nil {
			args = append(args, make([]*string, 3))
		}
		rows, err := conn.Query(context.Background(), sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			var v *string
			if err := row.Scan(&v); err != nil || v == nil {
				return "NULL", err
			}
			return *v, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s where %s (-want +got):\n%s", tt.column, tt.where, diff)
		}
	}
}

// TestOrder holds that rows lie in the table in the order in which COPY brought them, whatever
// room their pages have, in each transaction.
func TestOrder(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	st := newTable(t, conn, "id, b || '' AS note", "", nil)
	var in strings.Builder
	for i := range 400 {
		length := 90
		if i%100 < 8 {
			length = 1900 // four of them leave room on their page
		}
		fmt.Fprintf(&in, "%d\t%s\n", i, strings.Repeat("x", length))
	}
	for range 3 {
		pgtest.Exec(t, conn, "BEGIN")
		fill(t, conn, st, false)
		if _, err := conn.PgConn().CopyFrom(context.Background(), strings.NewReader(in.String()), "COPY "+st.SQL()+" FROM STDIN"); err != nil {
			t.Fatal(err)
		}
		if n := pgtest.Query(t, conn, "SELECT count(*) FROM (SELECT id, row_number() OVER (ORDER BY ctid) - 1 AS n FROM "+st.SQL()+") AS s WHERE id <> n")[0]; n != "0" {
			t.Errorf("%s rows are not where they belong", n)
		}
		pgtest.Exec(t, conn, "COMMIT")
	}
}
