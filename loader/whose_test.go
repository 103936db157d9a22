package loader_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// An oddity is a record that the server refuses under a SQLSTATE that may as well be
// of the statement, of the table or of the connection.
type oddity struct {
	name   string
	column string // of odd, and the value that is bad
	value  string
	state  string
	parsed bool // it is found where values are read
}

var oddities = []oddity{
	{"ltree", "path", "a..b", "42601", true},
	{"tsvector", "words", "'x", "42601", true},
	{"jsonpath", "jp", "$.", "42601", true},
	{"jsonpath's regex", "jp", `"$ ? (@ like_regex ""a"" flag ""z"")"`, "42601", true},
	{"no such table", "rel", "no_such_table", "42P01", true},
	{"no such role", "who", "no_such_role", "42704", true},
	{"no such function", "fn", "no_such_function(int)", "42883", true},
	{"a deep value", "doc", strings.Repeat("[", 50_000), "54001", true},
	{"a domain's check", "pos", "-5", "23514", true},
	{"a check that raises P0001", "n", "1", "P0001", false},
	{"a check that raises 42501", "n", "2", "42501", false},
	{"a check that raises 57014", "n", "3", "57014", false},
	{"a check that raises 40001", "n", "4", "40001", false},
	{"a check that divides by zero", "n", "5", "22012", false},
	{"a check with a code of its own", "n", "6", "U0001", false},
	{"a check that reads a table that is not there", "n", "7", "42P01", false},
	{"an exclusion", "span", "\"[1,3)\"", "23P01", false},
	{"a key that is too long for its index", "big", "", "54000", false},
}

const oddColumns = "id,tenant,path,words,jp,rel,who,fn,doc,n,pos,span,big"

// makeOdd makes the table odd, with everything that may refuse a row.
func makeOdd(t *testing.T, conn *pgx.Conn, table string) {
	t.Helper()
	for _, sql := range []string{
		"CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public", "CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public",
		"DROP TABLE IF EXISTS " + table, "DROP DOMAIN IF EXISTS positive", "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
		`CREATE OR REPLACE FUNCTION odd_check(n int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
			CASE n WHEN 1 THEN RAISE 'no ones'; WHEN 2 THEN RAISE 'no twos' USING ERRCODE = '42501';
			WHEN 3 THEN RAISE 'canceling statement' USING ERRCODE = '57014'; WHEN 4 THEN RAISE 'no fours' USING ERRCODE = '40001';
			WHEN 5 THEN RETURN 1 / (n - 5) = 0; WHEN 6 THEN RAISE 'no sixes' USING ERRCODE = 'U0001';
			WHEN 7 THEN PERFORM 1 FROM pg_catalog.no_such_table; ELSE RETURN true; END CASE; RETURN true; END$$`,
		"CREATE TABLE " + table + ` (id int, tenant int NOT NULL, path public.ltree, words tsvector, jp jsonpath, rel regclass, who regrole, fn regprocedure, doc json,
			n int CHECK (odd_check(n)), pos positive, span int4range, big text, PRIMARY KEY (id, tenant), EXCLUDE USING gist (tenant WITH OPERATOR(pg_catalog.=), span WITH &&))`,
		"CREATE INDEX ON " + table + " (big)",
	} {
		exec(t, conn, sql)
	}
	distribute(t, conn, table, "tenant")
}

// oddRecord returns a record; bad is nil for a good one.
func oddRecord(i int, bad *oddity) string {
	fields := []string{fmt.Sprint(i), fmt.Sprint(i % 7), "a.b", "x", "$.a", "pg_class", "pg_monitor", "now()", "{}", "100", "5", fmt.Sprintf(`"[%d,%d)"`, 10*i, 10*i+9), "z"}
	if bad != nil {
		value := bad.value
		switch {
		case bad.column == "big":
			value = noise(9000)
		case bad.column == "span":
			value = fmt.Sprintf(`"[%d,%d)"`, 10*(i-7), 10*(i-7)+5) // as the last one of the tenant has it
		}
		fields[slices.Index(strings.Split(oddColumns, ","), bad.column)] = value
	}
	return strings.Join(fields, ",") + "\n"
}

// noise returns text of that length which does not get smaller by compression.
func noise(n int) string {
	var b strings.Builder
	state := uint64(88172645463325252)
	for b.Len() < n {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		fmt.Fprintf(&b, "%x", state)
	}
	return b.String()[:n]
}

// TestWhoseError holds that of a load exactly the records are rejected that the server
// refuses, whatever SQLSTATE it gives, and that a load which stops names the record.
func TestWhoseError(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		makeOdd(t, conn, "odd")
		onCitus := strings.Contains(t.Name(), "/citus/")
		for _, how := range []string{"pieces", "merged", "whole"} {
			if onCitus && (how == "whole") != (route == loader.RouteCoordinator) || how == "merged" && route == loader.RouteNode {
				continue // these take the way of another one
			}
			if testing.Short() && onCitus && how == "merged" {
				continue
			}
			t.Run(how, func(t *testing.T) { rejectsOddities(t, dsn, conn, route, how) })
		}
		for i, bad := range oddities {
			if onCitus && (route == loader.RouteNode || i%5 != 0 || testing.Short()) {
				continue // values are read as they are on a plain server
			}
			t.Run(bad.name, func(t *testing.T) { stopsAt(t, dsn, conn, route, &bad) })
		}
	})
}

func rejectsOddities(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route, how string) {
	exec(t, conn, "TRUNCATE odd")
	in := oddColumns + "\n"
	want := map[int64]*oddity{}
	for i := range 400 {
		var bad *oddity
		if i >= 20 && i%20 == 0 {
			bad = &oddities[(i/20-1)%len(oddities)]
			want[int64(i+2)] = bad
		}
		in += oddRecord(i, bad)
	}
	cfg := loader.Config{Conn: parse(t, dsn), Table: "odd", Route: route, MaxErrors: loader.ErrorLimit{Records: 100}, RejectsDir: t.TempDir(), RetryFor: 10 * time.Second}
	switch how {
	case "whole":
		cfg.Route = loader.RouteAuto
	case "pieces":
		cfg.Batch = 8 << 10
	case "merged":
		cfg.OnConflict = loader.ConflictSkip
	}
	res, err := open(t, cfg).Load(context.Background(), loader.File(writeInput(t, []byte(in))))
	if err != nil {
		t.Fatal(err)
	}
	if n := query(t, conn, "SELECT count(*) FROM odd")[0]; n != fmt.Sprint(400-len(want)) || res.Rejected != int64(len(want)) {
		t.Errorf("%s rows are stored, %d rejected, want %d and %d", n, res.Rejected, 400-len(want), len(want))
	}
	got := readRejects(t, res.Rejects)
	for line, r := range got {
		if bad := want[line]; bad == nil || r.SQLState != bad.state && r.SQLState != "XX000" {
			t.Errorf("line %d is rejected with %s: %s", line, r.SQLState, r.Reason)
		}
	}
	for line, bad := range want {
		if _, ok := got[line]; !ok {
			t.Errorf("line %d is not rejected: %s", line, bad.name)
		}
	}
}

// stopsAt holds that a load which stops says where.
func stopsAt(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route, bad *oddity) {
	exec(t, conn, "TRUNCATE odd")
	in := oddColumns + "\n"
	for i := range 60 {
		var b *oddity
		if i == 40 {
			b = bad
		}
		in += oddRecord(i, b)
	}
	cfg := loader.Config{Conn: parse(t, dsn), Table: "odd", Route: route, RetryFor: time.Second}
	_, err := open(t, cfg).Load(context.Background(), loader.File(writeInput(t, []byte(in))))
	row, ok := errors.AsType[*loader.RowError](err)
	if !ok {
		t.Fatalf("error %v names no record", err)
	}
	exact := bad.parsed || route == loader.RouteShard || !strings.Contains(t.Name(), "/citus/")
	if exact && bad.state != "54000" && (row.Line != 42 || row.LastLine != 0) || row.Line > 42 || row.LastLine != 0 && row.LastLine < 42 {
		t.Errorf("lines %d to %d, want 42: %v", row.Line, row.LastLine, err)
	}
	if refused, ok := errors.AsType[*loader.RefusedError](err); !ok || refused.SQLState != bad.state && (exact || refused.SQLState != "XX000") {
		t.Errorf("SQLSTATE of %v, want %s", err, bad.state)
	}
}

// TestStatementsError holds that an error of the statement, which no row can mend, is
// not tried again for each row, and names none.
func TestStatementsError(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE broken (id int, n int); CREATE SEQUENCE refusals")
	for _, sql := range []string{
		`CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('refusals'); RAISE 'closed for today' USING ERRCODE = '42501'; END$$`,
		`CREATE TRIGGER fails BEFORE INSERT ON broken FOR EACH STATEMENT EXECUTE FUNCTION fails()`,
	} {
		exec(t, conn, sql)
	}
	var in strings.Builder
	in.WriteString("id,n\n")
	for i := range 50_000 {
		fmt.Fprintf(&in, "%d,1\n", i)
	}
	cfg := loader.Config{Conn: parse(t, dsn), Table: "broken", MaxErrors: loader.ErrorLimit{Percent: 100}, RejectsDir: t.TempDir()}
	for _, each := range []string{"STATEMENT", "ROW"} {
		exec(t, conn, "DROP TRIGGER fails ON broken; CREATE TRIGGER fails BEFORE INSERT ON broken FOR EACH "+each+" EXECUTE FUNCTION fails()")
		res, err := open(t, cfg).Load(context.Background(), loader.File(writeInput(t, []byte(in.String()))))
		if err == nil || !strings.Contains(err.Error(), "closed for today") || res.Rejected != 0 {
			t.Errorf("for each %s: %+v, %v", each, res, err)
		}
		if _, named := errors.AsType[*loader.RowError](err); named != (each == "ROW") {
			t.Errorf("for each %s: %v", each, err)
		}
	}
	if n := query(t, conn, "SELECT last_value FROM refusals WHERE last_value > 200"); len(n) > 0 {
		t.Errorf("the server was asked %s times", n[0])
	}
	if diff := gocmp.Diff([]string{"0"}, query(t, conn, "SELECT count(*) FROM broken")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
