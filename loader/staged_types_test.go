package loader_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// stagedTypes has values of each type, most of them not as the server writes them.
var stagedTypes = []struct {
	typ    string
	values [2]string
}{
	{"smallint", [2]string{"7", " 007 "}},
	{"bigint", [2]string{"9223372036854775807", "-1"}},
	{"numeric", [2]string{"1e3", "NaN"}},
	{"numeric(8,2)", [2]string{"1.005", "-.005"}},
	{"real", [2]string{"0.1", "1e10"}},
	{"double precision", [2]string{"0.30000000000000004", "Infinity"}},
	{"boolean", [2]string{"yes", " OFF"}},
	{"text", [2]string{" a ", "é\"quoted\"\n\\N"}},
	{"varchar(5)", [2]string{"abc", "abcde   "}},
	{"char(5)", [2]string{"ab", "abc     "}},
	{`"char"`, [2]string{"a", ""}},
	{"name", [2]string{"x", strings.Repeat("n", 70)}},
	{"bytea", [2]string{`\x00FF`, `\000\\a`}},
	{"uuid", [2]string{"{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11"}},
	{"date", [2]string{"03/04/2025", "infinity"}},
	{"time(1)", [2]string{"12:34:56.25", "1:02 PM"}},
	{"timetz", [2]string{"12:34:56", "12:34:56+05:30"}},
	{"timestamp(2)", [2]string{"2025-12-31 23:59:59.999", "03/04/2025 1:00 PM"}},
	{"timestamptz", [2]string{"2025-07-01 12:34:56", "2025-10-26 02:30:00+01"}},
	{"interval", [2]string{"1 day 2:03", "P1Y2M"}},
	{"interval day to second(1)", [2]string{"1 day 2:03:04.56", "-1 2:03:04"}},
	{"json", [2]string{`{"b":1,  "a": [ ]}`, "1"}},
	{"jsonb", [2]string{`{"b":1,  "a": [ ]}`, `{"a":1,"a":2}`}},
	{"jsonpath", [2]string{"$.a[*]", "strict $"}},
	{"xml", [2]string{"<a>1</a>", "<a/><b/>"}},
	{"int[]", [2]string{"[0:1]={1,2}", "{{1,2},{3,NULL}}"}},
	{"text[]", [2]string{`{a,"b c",NULL,""}`, "{}"}},
	{"varchar(4)[]", [2]string{`{abcd,"ab  "}`, "{}"}},
	{"numeric(6,2)[]", [2]string{"{1.005,2}", "{}"}},
	{"inet", [2]string{"192.168.0.1", "10.1.2.3/8"}},
	{"cidr", [2]string{"10/8", "192.168.0.0/24"}},
	{"macaddr", [2]string{"08-00-2B-01-02-03", "08002b010203"}},
	{"macaddr8", [2]string{"08-00-2B-01-02-03", "08002b0102030405"}},
	{"money", [2]string{"1234.5", "$7"}},
	{"bit(4)", [2]string{"1010", "X5"}},
	{"bit varying(6)", [2]string{"101", ""}},
	{"point", [2]string{"1,2", "( 1.50 , 2)"}},
	{"circle", [2]string{"<(1,2),3>", "1,2,3"}},
	{"polygon", [2]string{"((0,0),(1,1))", "0,0,1,1"}},
	{"int4range", [2]string{"[1,5]", "empty"}},
	{"tstzrange", [2]string{"[2025-01-01,2025-07-01)", "(,)"}},
	{"tsvector", [2]string{"the quick  fox the", "'a':1A"}},
	{"tsquery", [2]string{"a & b", "!x"}},
	{"oid", [2]string{"42", " 7"}},
	{"regclass", [2]string{"-", "pg_class"}},
	{"regtype", [2]string{"0", "int4"}},
	{"regproc", [2]string{"-", "pg_catalog.pi"}},
	{"pg_lsn", [2]string{"0/16B3748", "F/0"}},
	{"xid8", [2]string{"42", "7"}},
	{"tid", [2]string{"(1,2)", "(0,1)"}},
	{"mood", [2]string{"ok", "happy"}},
	{"code", [2]string{"abc", "ab  "}},
	{"code[]", [2]string{"{abc,ab}", "{}"}},
	{"amount", [2]string{"1.005", "7"}},
	{"span", [2]string{"(1,2020-01-01)", `(,"2020-01-01 00:00:00")`}},
}

// TestStagedTypes holds that a value of each type becomes the same by way of an expression
// over its text, and by way of a staging table as it stands, as without one.
func TestStagedTypes(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, `CREATE TYPE mood AS ENUM ('ok', 'happy'); CREATE DOMAIN code AS varchar(3) CHECK (VALUE <> 'bad'); CREATE DOMAIN amount AS numeric(6,2); CREATE TYPE span AS (a int, b timestamptz)`)
		var names, defs, expressions []string
		records := make([][]string, 3) // the last one has NULLs
		for n := range records {
			records[n] = []string{fmt.Sprint(n)}
		}
		for i, of := range stagedTypes {
			name := fmt.Sprintf("c%d", i)
			names, defs = append(names, name), append(defs, name+" "+of.typ)
			expressions = append(expressions, fmt.Sprintf("coalesce(%[1]s, %[1]s) AS %[1]s", name))
			for n := range records {
				v := `\null`
				if n < len(of.values) {
					v = of.values[n]
				}
				records[n] = append(records[n], v)
			}
		}
		var in bytes.Buffer
		w := csv.NewWriter(&in)
		if err := w.WriteAll(append([][]string{append([]string{"id"}, names...)}, records...)); err != nil {
			t.Fatal(err)
		}
		lists := map[string]string{
			"typed_plain":      "",
			"typed_computed":   "id, " + strings.Join(expressions, ", "),
			"typed_direct":     "*, id || '' AS id",
			"typed_conditions": "*",
		}
		want := []string(nil)
		for _, table := range []string{"typed_plain", "typed_computed", "typed_direct", "typed_conditions"} {
			exec(t, conn, "CREATE TABLE "+table+" (id text PRIMARY KEY, "+strings.Join(defs, ", ")+")")
			distribute(t, conn, table, "id")
			_, err := load(t, dsn, table, in.String(), func(c *loader.Config) {
				c.Null, c.Select = `\null`, lists[table]
				if table == "typed_conditions" {
					c.Where = "id <> 'x'"
				}
			})
			if err != nil {
				t.Fatalf("%s: %v", table, err)
			}
			got := query(t, conn, "SELECT * FROM "+table+" ORDER BY id")
			if want == nil {
				want = got
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%s: rows (-want +got):\n%.3000s", table, diff)
			}
		}
	})
}
