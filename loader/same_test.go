package loader_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// assortedTypes has the columns, in the input's order. c and n have no binary
// encoding.
var assortedTypes = []struct{ name, typ string }{
	{"i2", "int2"},
	{"i4", "int4"},
	{"i8", "int8"},
	{"f4", "real"},
	{"f8", "float8"},
	{"b", "bool"},
	{"t", "text"},
	{"v", "varchar(6)"},
	{"by", "bytea"},
	{"d", "date"},
	{"ts", "timestamp"},
	{"tz", "timestamptz"},
	{"u", "uuid"},
	{"j", "json"},
	{"jb", "jsonb"},
	{"ia", "int[]"},
	{"ta", "text[]"},
	{"c", "char(4)"},
	{"n", "numeric"},
}

// forms are spellings of values, the usual and the unusual, by column.
var forms = map[string][]string{
	"i2": {"0", "-1", "32767", "-32768", " 7", "007", "", "+3"},
	"i4": {"0", "2147483647", "-2147483648", "7 ", "", "00012"},
	"i8": {"9223372036854775807", "-9223372036854775808", "1", ""},
	"f4": {"1.5", "-0", "1e10", "NaN", "Infinity", "-inf", "1e-40", "3.4028235e38", "0.1", ""},
	"f8": {"1.5", "-0", "1e300", "nan", "Infinity", "1e-310", "0.1", "123456789.123456789", ""},
	"b":  {"t", "f", "true", "FALSE", "yes", "off", "1", "0", " t ", ""},
	"t":  {"", `""`, "plain", `"quoted ""text"""`, `"a,b"`, "\"two\nlines\"", "ünïcödé", "日本", ` spaces `, `back\slash`, `\N`, "NULL"},
	"v":  {"", "abc", "abcdef", `"abc      "`, "日本語日本語", `""`},
	"c":  {"a", "abcd", `"ab  "`, ""},
	"by": {`\x00ff`, `\xABCD`, "text", `a\\b`, `\000`, ""},
	"d":  {"2020-02-29", "1999-12-31", "infinity", "epoch", "0044-03-15 BC", `"Jan 8, 1999"`, "20200101", ""},
	"ts": {"2020-02-29 23:59:59", "2020-01-01 00:00:00.123456", "2020-01-01T01:02:03", "1999-01-08", "infinity", "2020-01-01 24:00:00", "2020-01-01 00:00:60", "2020-01-01 00:00:00.1234567", "10000-01-01 00:00:00", ""},
	"tz": {"2020-02-29 23:59:59+00", "2020-01-01 00:00:00.5-05:30", "2020-01-01 00:00:00Z", "2020-01-01 00:00:00", "2020-06-01 00:00:00 Europe/Berlin", ""},
	"u":  {"00000000-0000-0000-0000-00000000000a", "{00000000-0000-0000-0000-00000000000b}", "0000000000000000000000000000000c", ""},
	"j":  {`{}`, `"{""a"": [1, 2.50, null]}"`, `[]`, `"""x"""`, " 1 ", ""},
	"jb": {`{}`, `"{""a"": [1, 2.50, null], ""a"": 2}"`, "[]", "1e5", ""},
	"ia": {"{}", `"{1,2,NULL}"`, `"{ 1 , 2 }"`, `"{{1,2},{3,4}}"`, `"[2:3]={1,2}"`, ""},
	"ta": {"{}", `"{a,""b c"",NULL,""NULL""}"`, `"{a\\b, c}"`, `"{""""}"`, ""},
	"n":  {"1.50", "1e3", "NaN", "-0.000", ""},
}

// TestSameAsCopy loads the same input by one COPY, as psql's \copy does it, and by
// the loader, and compares what is stored. Distribution columns of types that are
// hashed here and of types that the server is asked for take turns; with numeric
// and char columns rows go as CSV, without them in binary.
func TestSameAsCopy(t *testing.T) {
	t.Parallel()
	keys := map[string][]string{
		"int":         {"1", " 2", "03", "+4", "-5", "60000"},
		"text":        {"", `""`, "a", `"b,c"`, "日本", strings.Repeat("long", 9)},
		"varchar(3)":  {"a", "abc", `"abc   "`},
		"bigint":      {"1", "-9223372036854775808", "4294967296"},
		"uuid":        {"00000000-0000-0000-0000-00000000000a", "{00000000-0000-0000-0000-00000000000b}"},
		"date":        {"2020-01-01", `"Jan 8, 1999"`},
		"numeric":     {"1", "1.0", "2.5"},
		"timestamptz": {"2020-01-01 00:00:00", "2020-01-01 00:00:00+02"},
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		n := 0
		for typ, values := range keys {
			if n++; testing.Short() && typ != "int" && typ != "varchar(3)" && typ != "date" {
				continue
			}
			for _, binary := range []bool{true, false} {
				if testing.Short() && binary == (typ == "int") {
					continue
				}
				t.Run(fmt.Sprintf("%s, binary %t", typ, binary), func(t *testing.T) {
					want, got := fmt.Sprintf("want%d_%t", n, binary), fmt.Sprintf("got%d_%t", n, binary)
					columns := assortedTypes
					if binary {
						columns = columns[:len(columns)-2]
					}
					for _, table := range []string{want, got} {
						ddl := "CREATE TABLE " + table + " (id int, k " + typ
						for _, c := range columns {
							ddl += ", " + c.name + " " + c.typ
						}
						exec(t, conn, ddl+")")
						distribute(t, conn, table, "k")
					}
					in := assortedInput(n, columns, values)
					sql := fmt.Sprintf("COPY %s FROM STDIN (FORMAT csv, HEADER)", want)
					if _, err := conn.PgConn().CopyFrom(context.Background(), strings.NewReader(in), sql); err != nil {
						t.Fatal(err)
					}
					if _, err := load(t, dsn, got, in, func(c *loader.Config) { c.Batch = 8 << 10 }); err != nil {
						t.Fatal(err)
					}
					all := func(table string) []string {
						return query(t, conn, fmt.Sprintf("SELECT * FROM %s ORDER BY id", table))
					}
					if diff := cmp.Diff(all(want), all(got)); diff != "" {
						t.Errorf("rows (-COPY +loader):\n%s", diff)
					}
				})
			}
		}
	})
}

// assortedInput returns CSV with the columns in an order of its own. A fifth of
// the records has one value in any of its forms, the others usual values alone, so
// that CSV and binary rows mix.
func assortedInput(seed int, columns []struct{ name, typ string }, keys []string) string {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	var b strings.Builder
	b.WriteString("id,k")
	for _, c := range columns {
		b.WriteString("," + c.name)
	}
	b.WriteString("\n")
	key := func() string {
		for {
			if k := keys[r.IntN(len(keys))]; k != "" { // NULL has no shard
				return k
			}
		}
	}
	for id := range 1500 {
		odd := ""
		if r.IntN(5) == 0 {
			odd = columns[r.IntN(len(columns))].name
		}
		fmt.Fprintf(&b, "%d,%s", id, key())
		for _, c := range columns {
			form := forms[c.name][0]
			if c.name == odd {
				form = forms[c.name][r.IntN(len(forms[c.name]))]
			}
			b.WriteString("," + form)
		}
		b.WriteString("\n")
	}
	return b.String()
}
