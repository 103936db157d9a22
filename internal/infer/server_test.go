package infer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/infer"
	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// corpus has values that are of a type, or nearly.
var corpus = []string{
	"", " ", "0", "-0", "1", "-1", "007", "+5", "2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808",
	"1.5", "1.50", "-0.0", "0.0", ".5", "5.", "1e5", "1e-7", "1E+10", "1.5e300", "1.5e308", "1.8e+308", "4.9e-324", "2.2250738585072014e-308", "1e-400", "0.1234567890123456789",
	"12345678901234567", "12345678901234568", "123456789012345678901234567890.123456789", "1_000", "0x1F", "1,5", "NaN", "nan", "Infinity", "-Infinity", "inf",
	"t", "f", "true", "false", "TRUE", "False", "yes", "no", "on", "T",
	"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "6ba7b8109dad11d180b400c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
	"2026-01-31", "2026-02-30", "0001-01-01", "9999-12-31", "0000-01-01", "01/02/2026", "infinity", "2026-01-31 10:00", "2026-01-31 10:00:00", "2026-01-31T10:00:00.123456", "2026-01-31 10:00:00.1234567",
	"2026-01-31 10:00:00Z", "2026-01-31 10:00:00+02", "2026-01-31T10:00:00-03:30", "2026-01-31 10:00:00+0530", "0001-01-01 00:00:00+14", "9999-12-31 23:59:59.999999-14", "2026-01-31 24:00:00", "2026-01-31 23:59:60", "2026-01-31 10:00:00 UTC",
	"10.0.0.1", "255.255.255.255", "0.0.0.0", "10.0.0.1/8", "::", "::1", "2001:db8::1", "2001:db8:0:0:1::1", "1:0:0:2:0:0:0:3", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "::1.2.3.4", "fe80::1%eth0", "1:0:2:3:4:5:6:7", "10:00:00",
	"{}", "[]", `{"a":1}`, `{"b":1, "a":[1.50,1e5,true,null,"\n\u00e9\ud83d\ude00"]}`, `{"a":1,"a":1}`, `["\u0000"]`, `["\ud800"]`, `["\udc00\ud800"]`, `[1e300]`, `[1e400]`, "[" + strings.Repeat("9", 500) + "]", `{1,2}`, "[1", "{\"a\":1}\n", "[\"\x01\"]", `[-0]`,
	strings.Repeat("[", 64) + strings.Repeat("]", 64), "text", "NULL", `\N`, `\.`, "é", "a\nb", `"`, strings.Repeat("9", 1000), strings.Repeat("x", 100_000),
}

// alike reports whether a value that the server prints means what was given.
func alike(is infer.Type, given, printed string) bool {
	switch is {
	case infer.Boolean:
		return printed[:1] == strings.ToLower(given[:1])
	case infer.UUID:
		return printed == strings.ToLower(given)
	case infer.Double:
		a, err1 := strconv.ParseFloat(given, 64)
		b, err2 := strconv.ParseFloat(printed, 64)
		return err1 == nil && err2 == nil && (a == b || a != a && b != b)
	case infer.Timestamp, infer.Timestamptz:
		return strings.HasPrefix(printed, "10000-01-01 ") && strings.HasPrefix(given, "9999-12-31") || moment(given).Equal(moment(printed))
	case infer.JSONB:
		var a, b any
		return decodeJSON(given, &a) == nil && decodeJSON(printed, &b) == nil && reflect.DeepEqual(exact(a), exact(b))
	}
	return given == printed
}

func decodeJSON(s string, v any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	return d.Decode(v)
}

// exact makes one number of those that are equal.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := strconv.ParseFloat(string(v), 64)
		return f
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}

// moment reads what the server prints, and what is given.
func moment(s string) time.Time {
	s = strings.Replace(s, "T", " ", 1)
	before := strings.HasSuffix(s, " BC")
	s = strings.TrimSuffix(s, " BC")
	for _, zone := range []string{"", "Z07", "Z07:00", "Z0700"} {
		for _, clock := range []string{"15:04:05", "15:04"} {
			if t, err := time.Parse("2006-01-02 "+clock+zone, s); err == nil {
				if before {
					t = t.AddDate(1-2*t.Year(), 0, 0)
				}
				return t
			}
		}
	}
	panic("no time: " + s)
}

// roundTrip gives the values, in a column of the type that is found for them, to the server,
// and compares what it prints.
func roundTrip(t testing.TB, conn *pgx.Conn, values []string) infer.Type {
	t.Helper()
	columns := infer.NewColumns(1)
	var csv []byte
	for i, v := range values {
		columns[0].Add([]byte(v))
		csv = append(fmt.Appendf(csv, "%d,\"", i), strings.ReplaceAll(v, `"`, `""`)...)
		csv = append(csv, "\"\n"...)
	}
	is := columns[0].Finding("v").Type
	pgtest.Exec(t, conn, "DROP TABLE IF EXISTS t", "CREATE TEMP TABLE t (n int, v "+string(is)+" NOT NULL)")
	if _, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(csv), "COPY t FROM STDIN (FORMAT csv)"); err != nil {
		t.Fatalf("%s does not take all of %.200q: %v", is, values, err)
	}
	printed := pgtest.Query(t, conn, "SELECT format('%s', v) FROM t ORDER BY n")
	if len(printed) != len(values) {
		t.Fatalf("%d rows of %d", len(printed), len(values))
	}
	for i, v := range values {
		if !alike(is, v, printed[i]) {
			t.Errorf("%s: %.100q is printed %.100q", is, v, printed[i])
		}
	}
	return is
}

// The server takes every value for the type that is found, and gives it back: of each value
// alone, of each two, and of all that are of one type.
func TestServerTakesAll(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	byType := map[infer.Type][]string{}
	for _, v := range corpus {
		is := roundTrip(t, conn, []string{v})
		byType[is] = append(byType[is], v)
	}
	for _, want := range []infer.Type{
		infer.Boolean, infer.Integer, infer.Bigint, infer.Numeric, infer.UUID, infer.Date, infer.Timestamp, infer.Timestamptz, infer.Inet, infer.JSONB, infer.Text, infer.Double,
	} {
		if len(byType[want]) == 0 {
			t.Errorf("no value is %s", want)
		}
	}
	for is, list := range byType {
		if got := roundTrip(t, conn, list); got != is {
			t.Errorf("together they are %s, want %s: %.200q", got, is, list)
		}
	}
	// Two kinds in one column, a value of each.
	types := slices.Sorted(func(yield func(infer.Type) bool) {
		for is := range byType {
			if !yield(is) {
				return
			}
		}
	})
	for i, a := range types {
		for j, b := range types {
			if testing.Short() && i > j {
				continue // in one of both orders
			}
			roundTrip(t, conn, append(slices.Clone(byType[a]), byType[b]...))
		}
	}
}

// The server takes every value of JSON for the type that is found for it, and beside others, down
// to the depth to which records are read. What is jsonb means the same there.
func TestServerTakesDocuments(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	deep := strings.Repeat("[", 999) + strings.Repeat("]", 999)
	all := []string{deep}
	for _, v := range append(slices.Clone(corpus), `"x"`, `"\u0000"`, `"\ud800"`, "1e400000", `{"\u0000":1}`, `{"a":1,"\u0061":2}`, deep) {
		if json.Valid([]byte(v)) {
			all = append(all, v)
		}
	}
	takes := func(values ...string) infer.Type {
		c := &infer.NewColumns(1)[0]
		c.Document()
		for _, v := range values {
			c.Add([]byte(v))
		}
		is := c.Finding("v").Type
		for _, v := range values {
			var printed string
			if err := conn.QueryRow(t.Context(), "SELECT format('%s', $1::text::"+string(is)+")", v).Scan(&printed); err != nil {
				t.Errorf("%s does not take %.100q: %v", is, v, err)
			} else if !alike(is, v, printed) && v != printed {
				t.Errorf("%s: %.100q is printed %.100q", is, v, printed)
			}
		}
		return is
	}
	count := map[infer.Type]int{}
	for _, v := range all {
		count[takes(v)]++
	}
	if takes(all...) != infer.JSON || count[infer.JSON] < 8 || count[infer.JSONB] < 8 || len(count) != 2 {
		t.Errorf("%v", count)
	}
}

// Names that need quotes have them: those that the server takes for words of its own.
func TestKeywords(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	for _, word := range pgtest.Query(t, conn, "SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'") {
		if infer.Name(word) == word {
			t.Errorf("%s is a name without quotes", word)
		}
	}
	for _, name := range []string{"id", "value", "a_1", "_", "type", "name"} {
		if infer.Name(name) != name {
			t.Errorf("%s is in quotes", infer.Name(name))
		}
	}
}

// FuzzColumn gives columns of any values, one a line, to a server.
func FuzzColumn(f *testing.F) {
	for i := range corpus {
		if len(corpus[i]) < 1000 {
			f.Add(corpus[i] + "\n" + corpus[(i+1)%len(corpus)])
		}
	}
	conn := pgtest.Connect(f, pgtest.Plain(f))
	f.Fuzz(func(t *testing.T, lines string) {
		if strings.ContainsRune(lines, 0) || strings.ToValidUTF8(lines, "") != lines || len(lines) > 10_000 {
			t.Skip()
		}
		roundTrip(t, conn, strings.Split(lines, "\n"))
	})
}
