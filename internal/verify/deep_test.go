package verify_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/verify"
)

// visits returns CSV records of 30 tenants with 50 visits each, neighbours of
// different tenants: tenant, id, page, note (NULL in every third), n.
func visits() string {
	var b strings.Builder
	for id := 1; id <= 50; id++ {
		for tenant := 1; tenant <= 30; tenant++ {
			note := []string{"", `""`, "x"}[id%3]
			fmt.Fprintf(&b, "%d,%d,\"page, %d\",%s,%d\n", tenant, id, id*tenant, note, id%7)
		}
	}
	return b.String()
}

const header = "tenant,id,page,note,n\n"

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// visitsTable makes and loads a table of visits; key is "PRIMARY KEY (…)" or "".
func visitsTable(t *testing.T, conn *pgx.Conn, key string) (file string) {
	t.Helper()
	columns := "tenant bigint, id int, page text, note text, n int"
	if key != "" {
		columns += ", " + key
	}
	exec(t, conn, "CREATE TABLE visits ("+columns+")")
	if strings.HasSuffix(t.Name(), "/citus") {
		exec(t, conn, "SELECT create_distributed_table('visits', 'tenant')")
	}
	file = writeFile(t, "visits.csv", header+visits())
	copyFile(t, conn, "visits", file, "FORMAT csv, HEADER")
	return file
}

// A damage is something that was done to a table, and what is to be found.
type damage struct {
	do, undo string
	columns  []string
	tenants  []verify.TenantDifference
}

func tenant(key string, input, database int64, columns ...string) verify.TenantDifference {
	return verify.TenantDifference{Key: strings2(key), InputRows: input, DatabaseRows: database, Columns: columns}
}

func strings2(key string) (list []*string) {
	for v := range strings.SplitSeq(key, "/") {
		list = append(list, &v)
	}
	return list
}

var all = []string{"tenant", "id", "page", "note", "n"}

// find checks that each damage is found, and nothing once it is undone.
func find(t *testing.T, conn *pgx.Conn, file string, damages map[string]damage) {
	t.Helper()
	for name, d := range damages {
		exec(t, conn, d.do)
		check := deep(t, conn, "visits", verify.Reading{}, file)
		if diff := cmp.Diff(d.columns, check.Columns); diff != "" || check.Problem == "" || check.Same() {
			t.Errorf("%s: %q; columns that differ (-want +got):\n%s", name, check.Problem, diff)
		}
		ignore := cmpopts.IgnoreFields(verify.TenantDifference{}, "First", "Query", "Records", "Missing", "Extra", "Searched", "Rows", "Differing")
		if diff := cmp.Diff(d.tenants, check.Tenants, ignore, cmpopts.IgnoreUnexported(verify.TenantDifference{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: tenants (-want +got):\n%s", name, diff)
		}
		exec(t, conn, d.undo)
		if check := deep(t, conn, "visits", verify.Reading{}, file); !check.Same() || check.Problem != "" {
			t.Fatalf("%s, undone: %s\n%s", name, check.Problem, strings.Join(check.Details, "\n"))
		}
	}
}

func TestDeepNamesTenants(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	exec(t, conn, "CREATE TABLE visits (tenant bigint, id int, page text, note text, n int)", "SELECT create_distributed_table('visits', 'tenant')")
	file := writeFile(t, "visits.csv", header+visits())
	copyFile(t, conn, "visits", file, "FORMAT csv, HEADER")
	const row = " WHERE tenant = 7 AND id = 3"
	find(t, conn, file, map[string]damage{
		"a value changed": {
			"UPDATE visits SET n = n + 1" + row, "UPDATE visits SET n = n - 1" + row,
			[]string{"n"},
			[]verify.TenantDifference{tenant("7", 50, 50, "n")},
		},
		"a row is missing": {
			"DELETE FROM visits" + row, "INSERT INTO visits VALUES (7, 3, 'page, 21', NULL, 3)",
			[]string{"tenant", "id", "page", "n"},
			[]verify.TenantDifference{tenant("7", 50, 49, "tenant", "id", "page", "n")},
		},
		"a row is doubled": {
			"INSERT INTO visits SELECT * FROM visits WHERE tenant = 7 AND id = 5",
			"DELETE FROM visits WHERE tenant = 7 AND ctid IN (SELECT max(ctid) FROM visits WHERE tenant = 7 AND id = 5)",
			all,
			[]verify.TenantDifference{tenant("7", 50, 51, all...)},
		},
		"NULL and '' have changed places": {
			"UPDATE visits SET note = CASE id WHEN 3 THEN '' END WHERE tenant = 7 AND id IN (3, 4)",
			"UPDATE visits SET note = CASE id WHEN 4 THEN '' END WHERE tenant = 7 AND id IN (3, 4)",
			nil,
			[]verify.TenantDifference{tenant("7", 50, 50)},
		},
		"NULL became ''": {
			"UPDATE visits SET note = ''" + row, "UPDATE visits SET note = NULL" + row,
			[]string{"note"},
			[]verify.TenantDifference{tenant("7", 50, 50, "note")},
		},
		"two rows have exchanged values": {
			"UPDATE visits SET n = CASE id WHEN 3 THEN 4 ELSE 3 END WHERE tenant = 7 AND id IN (3, 4)",
			"UPDATE visits SET n = id WHERE tenant = 7 AND id IN (3, 4)", nil,
			[]verify.TenantDifference{tenant("7", 50, 50)},
		},
		"two columns have exchanged values": {
			"UPDATE visits SET page = note, note = page WHERE tenant = 7 AND id = 5",
			"UPDATE visits SET page = note, note = page WHERE tenant = 7 AND id = 5",
			[]string{"page", "note"},
			[]verify.TenantDifference{tenant("7", 50, 50, "page", "note")},
		},
		"a value is another tenant's": {
			"UPDATE visits SET page = CASE tenant WHEN 7 THEN 'page, 40' ELSE 'page, 35' END WHERE tenant IN (7, 8) AND id = 5",
			"UPDATE visits SET page = CASE tenant WHEN 8 THEN 'page, 40' ELSE 'page, 35' END WHERE tenant IN (7, 8) AND id = 5",
			nil,
			[]verify.TenantDifference{tenant("7", 50, 50, "page"), tenant("8", 50, 50, "page")},
		},
		"a tenant is missing, and one too many": {
			"DELETE FROM visits WHERE tenant = 30; INSERT INTO visits VALUES (99, 1, 'p', NULL, 1)",
			"DELETE FROM visits WHERE tenant = 99; INSERT INTO visits SELECT 30, i, 'page, ' || 30 * i, CASE i % 3 WHEN 1 THEN '' WHEN 2 THEN 'x' END, i % 7 FROM generate_series(1, 50) i",
			all,
			[]verify.TenantDifference{tenant("30", 50, 0), tenant("99", 0, 1)},
		},
	})
}

// In tenants that differ the records are named that the table does not have.
func TestDeepNamesRecords(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	exec(t, conn, "CREATE TABLE visits (tenant bigint, id int, page text, note text, n int)", "SELECT create_distributed_table('visits', 'tenant')")
	text := header + visits()
	file := writeFile(t, "visits.csv", text+"1,1,\"page, 1\",\"\",1\n") // its first record twice
	copyFile(t, conn, "visits", writeFile(t, "once.csv", text), "FORMAT csv, HEADER")
	exec(t, conn, "UPDATE visits SET n = 77 WHERE tenant = 7 AND id = 3", "DELETE FROM visits WHERE tenant = 8 AND id > 40", "INSERT INTO visits VALUES (9, 1, 'p', NULL, 1)")
	check := deep(t, conn, "visits", verify.Reading{}, file)
	want := []string{
		"tenant 8: 50 rows in the input, 40 in the table; not in the table: FILE:1209, FILE:1239, FILE:1269, FILE:1299, FILE:1329 and 5 more",
		"tenant 1: 51 rows in the input, 50 in the table; not in the table: FILE:2",
		"tenant 9: 50 rows in the input, 51 in the table; not in the input: 1 row",
		"tenant 7: 50 rows in the input, 50 in the table; differs in n; not in the table: FILE:68; not in the input: 1 row",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "FILE", file)
	}
	if diff := cmp.Diff(want, check.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}

// In tenants that differ rows are named by the primary key, if there is one.
func TestDeepNamesRowsOfTenants(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	exec(t, conn, "CREATE TABLE visits (tenant bigint, id int, page text, note text, n int, PRIMARY KEY (tenant, id))", "SELECT create_distributed_table('visits', 'tenant')")
	file := writeFile(t, "visits.csv", header+strings.ReplaceAll(visits(), "7,3,", "7,03,")) // the number is written otherwise
	copyFile(t, conn, "visits", file, "FORMAT csv, HEADER")
	exec(t, conn, "UPDATE visits SET n = 77 WHERE tenant = 7 AND id = 3", "DELETE FROM visits WHERE tenant = 8 AND id > 44", "INSERT INTO visits VALUES (9, 70, 'p', NULL, 1), (9, 71, 'q', NULL, 1)")
	check := deep(t, conn, "visits", verify.Reading{}, file)
	want := []string{
		"tenant 8: 50 rows in the input, 44 in the table; not in the table: id 45 (FILE:1329), id 46 (FILE:1359), id 47 (FILE:1389), id 48 (FILE:1419), id 49 (FILE:1449) and 1 more",
		"tenant 9: 50 rows in the input, 52 in the table; not in the input: id 70, id 71",
		"tenant 7: 50 rows in the input, 50 in the table; differs in n; rows that differ: id 3 (FILE:68)",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "FILE", file)
	}
	if diff := cmp.Diff(want, check.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	rows := []verify.RowDifference{{Key: strings2("7/3"), Record: file + ":68", InTable: true}}
	if diff := cmp.Diff(rows, check.Tenants[2].Rows, cmpopts.IgnoreFields(verify.RowDifference{}, "Query")); diff != "" {
		t.Errorf("rows of tenant 7 (-want +got):\n%s", diff)
	}
	if want := `."visits" WHERE "tenant" = '7' AND "id" = '3'`; !strings.HasSuffix(check.Tenants[2].Rows[0].Query, want) {
		t.Errorf("query: %s\nwant: …%s", check.Tenants[2].Rows[0].Query, want)
	}
	if diff := cmp.Diff([]string{"tenant", "id"}, check.RowKey); diff != "" {
		t.Errorf("their key (-want +got):\n%s", diff)
	}
}

// Where there is no distribution column, rows are named by the primary key.
func TestDeepNamesRows(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	file := visitsTable(t, conn, "PRIMARY KEY (id, tenant)")
	find(t, conn, file, map[string]damage{
		"a value changed": {
			"UPDATE visits SET n = n + 1 WHERE tenant = 7 AND id = 3", "UPDATE visits SET n = n - 1 WHERE tenant = 7 AND id = 3",
			[]string{"n"},
			[]verify.TenantDifference{tenant("3/7", 1, 1, "n")},
		},
		"a key changed": {
			"UPDATE visits SET id = 100 WHERE tenant = 7 AND id = 3", "UPDATE visits SET id = 3 WHERE tenant = 7 AND id = 100",
			[]string{"id"},
			[]verify.TenantDifference{tenant("3/7", 1, 0), tenant("100/7", 0, 1)},
		},
	})
	exec(t, conn, "DELETE FROM visits WHERE tenant = 7 AND id = 3")
	check := deep(t, conn, "visits", verify.Reading{}, file)
	want := []string{"id 3, tenant 7: 1 row in the input, 0 in the table (" + file + ":68)"}
	if diff := cmp.Diff(want, check.Details); diff != "" || check.Problem != "1,500 rows in the input, 1,499 in the table" {
		t.Errorf("%q (-want +got):\n%s", check.Problem, diff)
	}
	if want := `SELECT * FROM "public"."visits" WHERE "id" = '3' AND "tenant" = '7'`; check.Tenants[0].Query != want {
		t.Errorf("query: %s\nwant:  %s", check.Tenants[0].Query, want)
	}
}

// Without any key a row is named by its place in the input.
func TestDeepWithoutKey(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	file := visitsTable(t, conn, "")
	exec(t, conn, "DELETE FROM visits WHERE tenant = 2 AND id = 1", "INSERT INTO visits SELECT * FROM visits WHERE tenant = 4 AND id = 1")
	check := deep(t, conn, "visits", verify.Reading{}, file)
	want := []string{file + ":3: 1 row in the input, 0 in the table", file + ":5: 1 row in the input, 2 in the table"}
	if diff := cmp.Diff(want, check.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}

// Many differences are counted, and some of them named; if there are too many to
// be compared at once, so it is said.
func TestDeepBoundsWhatItNames(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	file := visitsTable(t, conn, "PRIMARY KEY (id, tenant)")
	exec(t, conn, "UPDATE visits SET n = n + 1")
	cfg := verify.DeepConfig{Conn: conn.Config(), Table: "visits", Inputs: []verify.Input{verify.File(file)}, Limit: 3}
	check, err := verify.Deep(context.Background(), cfg)
	if err != nil || len(check.Tenants) != 3 || check.MoreTenants != 1497 || check.Parts.Compared != check.Parts.Differing {
		t.Errorf("%d named, %d more, %+v, %v; want 3, 1497", len(check.Tenants), check.MoreTenants, check.Parts, err)
	}
	check, err = verify.DeepWith(context.Background(), cfg, 200)
	got := int64(len(check.Tenants)) + check.MoreTenants
	if err != nil || got < 1 || got > 250 || check.Parts.Compared >= check.Parts.Differing || check.Parts.Compared < 1 {
		t.Errorf("of at most 200: %d differ, %+v, %v", got, check.Parts, err)
	}
	if last := check.Details[len(check.Details)-1]; !strings.Contains(last, "differing parts of the table that were searched") {
		t.Errorf("the last detail is %q", last)
	}
}

// blocks makes visits in blocks of tenants.
type blocks []string

func (b blocks) Header() []string { return []string{"tenant", "id", "page", "note", "n"} }
func (b blocks) Len() int64       { return int64(len(b)) }
func (b blocks) AppendBlock(dst []byte, i int64) []byte {
	return append(dst, b[i]...)
}

// TestDeepReadsWhatWasLoaded reads the same rows in many forms.
func TestDeepReadsWhatWasLoaded(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	visitsTable(t, conn, "")
	text := visits()
	half := len(text)/2 + strings.IndexByte(text[len(text)/2:], '\n') + 1
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte(text[half:]))
	_ = w.Close()
	turned := strings.NewReplacer("\n", "\r\n", "page, ", "page; ", ",,", `;\N;`, `,"",`, ";;", ",", ";").Replace(header + text)
	turned = strings.ReplaceAll(turned, "page; ", "page, ")
	empty, first := writeFile(t, "empty", ""), writeFile(t, "1.csv", header+text[:half])
	for name, inputs := range map[string][]verify.Input{
		"two files, one packed, one without a header, one empty": {verify.File(first), verify.File(empty), verify.File(writeFile(t, "2.csv.gz", packed.String()))},
		"a header alone": {verify.File(writeFile(t, "0.csv", header)), verify.File(writeFile(t, "all.csv", text))},
		"blocks":         {verify.Blocks("visits", blocks{text[:half], "", text[half:]})},
	} {
		check, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "visits", Inputs: inputs})
		if err != nil || !check.Same() || check.Input.Rows != 1500 || len(check.NotCompared) > 0 {
			t.Errorf("%s: %v, %s, %s", name, err, check.Problem, strings.Join(check.Details, "\n"))
		}
	}
	reading := verify.Reading{Delimiter: ';', Null: `\N`, Header: verify.HeaderYes}
	if check := deep(t, conn, "visits", reading, writeFile(t, "x.csv", turned)); !check.Same() {
		t.Errorf("other format: %s\n%s", check.Problem, strings.Join(check.Details, "\n"))
	}
}

// A column that an input leaves out is not compared, and so it is said.
func TestDeepLeavesColumnsOut(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (a int, b text DEFAULT 'x', c int GENERATED ALWAYS AS (a + 1) STORED, d int)", "INSERT INTO t (a, b, d) VALUES (1, 'x', 2), (3, 'y', 4)")
	one, two := writeFile(t, "1.csv", "d,a\n2,1\n"), writeFile(t, "2.csv", "a,b,d\n3,y,4\n")
	check := deep(t, conn, "t", verify.Reading{}, one, two)
	if diff := cmp.Diff([]string{"b"}, check.NotCompared); diff != "" || !check.Same() {
		t.Errorf("%s; not compared (-want +got):\n%s", check.Problem, diff)
	}
	_, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "t", Inputs: []verify.Input{verify.File(writeFile(t, "3.csv", "a,z\n1,2\n"))}})
	if err == nil || !strings.Contains(err.Error(), `3.csv:1: column "z": is not in table`) {
		t.Errorf("an unknown column: %v", err)
	}
}

// Text in another encoding is converted by the server.
func TestDeepConvertsEncodings(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TABLE t (a text, b varchar(3), c char(2))")
		file := writeFile(t, "latin1.csv", "caf\xe9,\xe9t\xe9,\xe9\nplain,abc,x\n")
		copyFile(t, conn, "t", file, "FORMAT csv, ENCODING 'LATIN1'")
		if check := deep(t, conn, "t", verify.Reading{Encoding: "LATIN1"}, file); !check.Same() || check.Database.Rows != 2 {
			t.Errorf("LATIN1: %s\n%s", check.Problem, strings.Join(check.Details, "\n"))
		}
		check := deep(t, conn, "t", verify.Reading{}, file)
		if check.Unloadable.Records != 1 || !strings.HasSuffix(check.Unloadable.First, "latin1.csv:1: is not valid UTF-8") {
			t.Errorf("as UTF-8: %+v", check.Unloadable)
		}
	})
}

// Records that no table can have are counted, and the first one is named.
func TestDeepCountsUnloadableRecords(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (a int, b date)", "INSERT INTO t VALUES (1, '2025-01-01'), (4, '2025-01-02')")
	file := writeFile(t, "t.csv", "1,2025-01-01\nx,2025-01-01\n1\n3,yesteryear\n4,2025-01-02\n5,\"open\n")
	check := deep(t, conn, "t", verify.Reading{}, file)
	if check.Unloadable.Records != 4 || !strings.HasSuffix(check.Unloadable.First, `t.csv:2: column "a": invalid input syntax for type integer: "x"`) {
		t.Errorf("%+v", check.Unloadable)
	}
	if len(check.Columns) > 0 || check.Input.Rows != 2 || check.Same() {
		t.Errorf("columns %q differ, %d rows in the input, same: %t", check.Columns, check.Input.Rows, check.Same())
	}
}

// What the load has rejected is not expected in the table; a list of other records
// is refused.
func TestDeepLeavesRejectsOut(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (a int PRIMARY KEY, b text)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
	file := writeFile(t, "t.csv", "1,x\n2,y\n1,\"twice\"\nz,\xff\n")
	for name, tt := range map[string]struct{ list, want string }{
		"all": {`{"input":"/elsewhere/t.csv","line":3,"offset":8,"record":"1,\"twice\"","sqlstate":"23505","reason":"duplicate"}` + "\n" +
			`{"input":"t.csv","line":4,"offset":18,"record_base64":"eiz/","sqlstate":"22021","reason":"encoding"}` + "\n", ""},
		"another record": {`{"input":"t.csv","line":2,"record":"2,yy"}`, "of 1 record that were rejected the inputs have 0"},
		"another input":  {`{"input":"u.csv","line":2,"record":"2,y"}`, `is about line 2 of "u.csv", which is not compared here`},
		"no list":        {`1,x`, "entry 1: json"},
	} {
		cfg := verify.DeepConfig{Conn: conn.Config(), Table: "t", Inputs: []verify.Input{verify.File(file)}, Rejects: []string{writeFile(t, "t.rejects.jsonl", tt.list)}}
		check, err := verify.Deep(context.Background(), cfg)
		switch {
		case tt.want == "" && (err != nil || !check.Same() || check.Rejected != 2):
			t.Errorf("%s: %v, %d rejected, %s", name, err, check.Rejected, check.Problem)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// Who may not read the table is told so; who may only read it can verify.
func TestDeepNeedsTheRightToRead(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	file := visitsTable(t, conn, "")
	var role string
	if err := conn.QueryRow(context.Background(), "SELECT 'reader_' || current_database()").Scan(&role); err != nil {
		t.Fatal(err)
	}
	name := pgx.Identifier{role}.Sanitize()
	exec(t, conn, "CREATE ROLE "+name+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() { exec(t, conn, "DROP OWNED BY "+name, "DROP ROLE "+name) })
	cfg := verify.DeepConfig{Conn: conn.Config().Copy(), Table: "visits", Inputs: []verify.Input{verify.File(file)}}
	cfg.Conn.User, cfg.Conn.Password = role, "x"
	_, err := verify.Deep(context.Background(), cfg)
	if err == nil || !strings.Contains(err.Error(), `GRANT SELECT ON public.visits TO `+name) {
		t.Errorf("without SELECT: %v", err)
	}
	exec(t, conn, "GRANT SELECT ON visits TO "+name)
	if check, err := verify.Deep(context.Background(), cfg); err != nil || !check.Same() {
		t.Errorf("with SELECT: %v, %s", err, check.Problem)
	}
}

// What a manifest says of the table decides where the inputs hold records that are
// not meant to be stored, and tells that they have changed.
func TestDeepHoldsToTheManifest(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (a int PRIMARY KEY, b text)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
	file := writeFile(t, "t.csv", "1,x\n2,y\n")
	right := deep(t, conn, "t", verify.Reading{}, file).Database
	dirty, changed := writeFile(t, "dirty.csv", "1,x\nz,z\n2,y\n1,twice\n"), writeFile(t, "changed.csv", "1,x\n2,z\n")
	compare := func(file string) verify.DeepCheck {
		check, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "t", Inputs: []verify.Input{verify.File(file)}, Expected: &right})
		if err != nil {
			t.Fatal(err)
		}
		return check
	}
	for _, tt := range []struct{ name, file, do, want string }{
		{"all as it should be", file, "", ""},
		{"records that are not to be stored", dirty, "", ""},
		{"the file has changed", changed, "", "the files are not what the manifest describes, but the table is"},
		{"and was loaded", changed, "UPDATE t SET b = 'z' WHERE a = 2", "the files are not what the manifest describes"},
		{"the table has changed", file, "", "contents differ in 1 column (b)"},
		{"a row too many", dirty, "INSERT INTO t VALUES (3, '')", "4 rows in the input, 3 in the table; 1 record of the input cannot"},
	} {
		if tt.do != "" {
			exec(t, conn, tt.do)
		}
		if check := compare(tt.file); !strings.HasPrefix(check.Problem, tt.want) || (tt.want == "") != (check.Problem == "") || (check.Next == "") != (tt.want == "") {
			t.Errorf("%s: %q, next %q; want %q", tt.name, check.Problem, check.Next, tt.want)
		}
	}
}
