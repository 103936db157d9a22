package pgtext_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/pgtext"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A typeCase has values of a type: those of which a Form must be sure, and those of
// which it need not be.
type typeCase struct{ sure, other []string }

var cases = map[string]typeCase{
	"int2":             {[]string{"0", "1", "-1", "32767", "-32768"}, []string{"007", "+7", " 7", "-0", "32768", "", "7 "}},
	"int4":             {[]string{"0", "2147483647", "-2147483648", "10"}, []string{"2147483648", "-00", "0x1"}},
	"int8":             {[]string{"9223372036854775807", "-9223372036854775808"}, []string{"9223372036854775808", "1e3"}},
	"float4":           {[]string{"0", "1.5", "-3.25", "0.0001", "999999", "0.123456"}, []string{"1000000", "1.50", "1e10", "NaN", "16777217", "0.00001", "-0", ".5"}},
	"float8":           {[]string{"0", "1.5", "0.0001", "123456789012345", "-0.000123456789012345"}, []string{"1234567890123456", "0.1000000000000000055", "infinity", "1.0", "0.30000000000000004"}},
	"numeric":          {[]string{"0", "1.50", "-0.001", "0.00", "12345678901234567890.5"}, []string{"-0.0", "1e5", ".5", "5.", "NaN", "+1", "001"}},
	"numeric(6,2)":     {[]string{"1.5", "1", "-1234.56", "0", "9999.9"}, []string{"1.555", "12345", "0.005", "9999.999"}},
	"numeric(3,-2)":    {nil, []string{"12345", "50", "0"}},
	"bool":             {[]string{"t", "true", "1", "yes", "f", "FALSE", "no", "off"}, []string{"tr", " t ", "oN"}},
	"text":             {[]string{"", " a ", "é日本\U0001f600", `\x`, "a\nb"}, nil},
	"varchar(3)":       {[]string{"abc", "日本語", "abc  ", "ab "}, []string{"abcd", ""}},
	"char(4)":          {[]string{"ab", "ab  ", "日本語 ", "", "    "}, []string{"abcde"}},
	"json":             {[]string{`{"b":1,  "a": 2}`, `[]`}, nil},
	"jsonb":            {[]string{`{}`, `[]`, `{"a": 1, "b": [1, -2.50, null]}`, `"é\n"`, `true`, `{"b": {}, "aa": "x\"y"}`}, []string{`{"a":1}`, `{"b": 1, "a": 2}`, `{"aa": 1, "b": 2}`, `{"a": 1, "a": 2}`, ` 1`, `1e2`, `-0`, `"\u0041"`, `"\/"`, `[1,2]`, `{"a\n": 1, "b": 2}`, `[1, 2`}},
	"bytea":            {[]string{`\x`, `\x00ff`}, []string{`\xFF`, `abc`, `\000`, `\x0`, `\x0 1`}},
	"uuid":             {[]string{"00000000-0000-0000-0000-00000000000a", "ABCDEF00-0000-0000-0000-00000000000A"}, []string{"{00000000-0000-0000-0000-00000000000a}", "0000000000000000000000000000000a"}},
	"date":             {[]string{"2025-12-31", "2024-02-29", "0001-01-01"}, []string{"2023-02-29", "12/31/2025", "0000-01-01", "2025-1-1", "infinity", "20251231", "2025-12-31 BC"}},
	"time":             {[]string{"12:34:56", "12:34:56.120", "00:00:00.000001"}, []string{"24:00:00", "12:34", "12:34:60", "12:34:56.1234567", "1:2:3"}},
	"time(2)":          {[]string{"12:34:56.10"}, []string{"12:34:56.125", "23:59:59.999"}},
	"timestamp":        {[]string{"2025-01-01 12:34:56", "2025-01-01T12:34:56.500", "9999-12-31 23:59:59.999999", "2025-01-01 00:00:00.0"}, []string{"2025-01-01", "2025-01-01 24:00:00", "2025-01-01 12:34:56Z", "2025-01-01 12:34:56+02", "-infinity", "1 Jan 2025 12:00"}},
	"timestamp(0)":     {[]string{"2025-01-01 12:34:56"}, []string{"2025-01-01 12:34:56.5", "2025-12-31 23:59:59.5"}},
	"timestamptz":      {[]string{"2025-01-01 12:34:56+00", "2025-01-01T00:34:56.50Z", "2025-01-01 01:00:00+02", "2025-12-31 23:30:00-03:30", "2025-01-01 01:00:00.25+0530", "2025-01-01 12:34:56"}, []string{"2025-01-01 12:34:56 CET", "2025-01-01 12:34:56+16:00:01", "0001-01-01 00:00:00+05", "9999-12-31 23:00:00-05", "2025-01-01 12:34:56+15:30"}},
	"int4[]":           {[]string{"{}", "{1,2,NULL}", "{-5}"}, []string{"{01}", "{1, 2}", "{{1,2},{3,4}}", "[0:1]={1,2}", `{"1"}`, "{null}", "{1,}"}},
	"text[]":           {[]string{`{a,b}`, `{"a b","",NULL,"null"}`, `{é,"x{y"}`}, []string{`{"a"}`, `{a b}`, `{null}`, `{"a\"b"}`, `{a,{b}}`, `{,}`, "{\"a\\b\"}", `{"a}`, `{"a"b}`, `{ab"c"}`}},
	"varchar(2)[]":     {[]string{`{ab,日本}`}, []string{`{"ab "}`}},
	"numeric[]":        {[]string{"{1.50,0}"}, []string{"{1.}"}},
	"numeric(6,2)[]":   {[]string{"{1.50}"}, []string{"{1.5}"}},
	"uuid[]":           {[]string{"{00000000-0000-0000-0000-00000000000a}"}, []string{"{00000000-0000-0000-0000-00000000000A}"}},
	"date[]":           {[]string{"{2025-01-01}"}, []string{`{"2025-01-01"}`}},
	"timestamp[]":      {[]string{`{"2025-01-01 00:00:00"}`}, []string{`{"2025-01-01 00:00:00.10"}`, "{2025-01-01T00:00:00}"}},
	"float8[]":         {[]string{"{1.5}"}, []string{"{1.50}"}},
	"smallint[]":       {[]string{"{1}"}, []string{"{40000}"}},
	"double precision": {[]string{"100"}, nil},
}

const alphabet = "0123456789.,:-+eETZ {}[]\"\\NULnutrx aé\n"

// mutate returns texts near those given.
func mutate(r *rand.Rand, texts []string) []string {
	var list []string
	letters := []rune(alphabet)
	for range max(400, len(texts)) {
		v := []rune(texts[r.IntN(len(texts))])
		for range 1 + r.IntN(2) {
			at := r.IntN(len(v) + 1)
			switch c := letters[r.IntN(len(letters))]; {
			case r.IntN(3) == 0 || at == len(v):
				v = append(v[:at:at], append([]rune{c}, v[at:]...)...)
			case r.IntN(2) == 0:
				v = append(v[:at:at], v[at+1:]...)
			default:
				v[at] = c
			}
		}
		list = append(list, string(v))
	}
	return list
}

// prepare fixes how conn writes, and makes the function try: how the server writes
// a value, NULL if it refuses it.
func prepare(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	_, err := conn.Exec(context.Background(), `
		SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET extra_float_digits = 1; SET bytea_output = 'hex';
		CREATE FUNCTION pg_temp.try(v text, type text) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE out text;
		BEGIN
			EXECUTE format('SELECT $1::%s::text', type) INTO out USING v;
			RETURN out;
		EXCEPTION WHEN OTHERS THEN
			RETURN NULL;
		END $$`)
	if err != nil {
		t.Fatal(err)
	}
}

// known returns the cases whose types conn's server has: a scale below 0 is PostgreSQL 15's.
func known(t testing.TB, conn *pgx.Conn) map[string]typeCase {
	t.Helper()
	list := maps.Clone(cases)
	if pgtest.Version(t, conn) < 15 {
		delete(list, "numeric(3,-2)")
	}
	return list
}

// written returns how the server writes each value, nil for those it refuses.
func written(t testing.TB, conn *pgx.Conn, typ string, values []string) []*string {
	t.Helper()
	rows, err := conn.Query(context.Background(), "SELECT pg_temp.try(v, $2) FROM unnest($1::text[]) WITH ORDINALITY AS u(v, n) ORDER BY n", values, typ)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func form(t testing.TB, conn *pgx.Conn, typ string) pgtext.Form {
	t.Helper()
	var oid uint32
	var typmod int32
	_, err := conn.Exec(context.Background(), "DROP TABLE IF EXISTS pg_temp.typed; CREATE TEMP TABLE typed (v "+typ+")")
	if err == nil {
		err = conn.QueryRow(context.Background(), "SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = 'pg_temp.typed'::regclass AND attnum = 1").Scan(&oid, &typmod)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, ok := pgtext.For(oid, typmod, pgtext.Options{UTF8: true, UTC: true, ArrayNulls: true})
	if !ok {
		t.Fatalf("no Form of %s", typ)
	}
	return f
}

// tooLong reports whether a cast makes of v what COPY would refuse.
func tooLong(typ, v string) bool {
	_, length, ok := strings.Cut(typ, "char(")
	if !ok {
		return false
	}
	limit := int(length[0] - '0')
	return strings.HasSuffix(typ, "[]") && len(v) > limit+2 || utf8.RuneCountInString(strings.TrimRight(v, " ")) > limit
}

// TestFormsAgreeWithTheServer holds whatever a Form is sure of against the server.
func TestFormsAgreeWithTheServer(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	prepare(t, conn)
	r := rand.New(rand.NewPCG(5, 6))
	for typ, c := range known(t, conn) {
		form := form(t, conn, typ)
		values := append(append([]string{}, c.sure...), c.other...)
		values = append(values, mutate(r, values)...)
		for i, want := range written(t, conn, typ, values) {
			got, sure := form([]byte(values[i]), make([]byte, 0, 8))
			switch {
			case i < len(c.sure) && !sure:
				t.Errorf("%s %q: not sure", typ, values[i])
			case !sure || want == nil || tooLong(typ, values[i]):
			case string(got) != *want:
				t.Errorf("%s %q: sure of %q, the server writes %q", typ, values[i], got, *want)
			}
		}
	}
}

// TestLengths holds what COPY does with a text that is longer than its type: blanks
// are cut off, anything else is refused, so that no table has it.
func TestLengths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		oid     uint32
		v, want string
	}{{1043, "abc  ", "abc"}, {1043, "abcd", "abcd"}, {1043, "日本語 ", "日本語"}, {1042, "abcd  ", "abcd"}, {1042, "ab  ", "ab"}} {
		form, _ := pgtext.For(tt.oid, 3+4, pgtext.Options{UTF8: true})
		if got, sure := form([]byte(tt.v), nil); !sure || string(got) != tt.want {
			t.Errorf("type %d, length 3: %q becomes %q (sure: %t), want %q", tt.oid, tt.v, got, sure, tt.want)
		}
	}
}

// TestFormsAreNotSure holds that what depends on the server is left to it.
func TestFormsAreNotSure(t *testing.T) {
	t.Parallel()
	for oid, v := range map[uint32]string{25: "é", 1043: "é", 1042: "é", 114: `"é"`, 3802: `"é"`, 1009: "{é}", 1184: "2025-01-01 00:00:00"} {
		form, _ := pgtext.For(oid, -1, pgtext.Options{})
		if got, sure := form([]byte(v), nil); sure {
			t.Errorf("type %d: sure of %q for %q", oid, got, v)
		}
	}
	if _, ok := pgtext.For(790, -1, pgtext.Options{UTF8: true}); ok {
		t.Error("there is a Form of money")
	}
}

// FuzzForms compares with the server.
func FuzzForms(f *testing.F) {
	conn := pgtest.Connect(f, pgtest.Plain(f))
	prepare(f, conn)
	forms := map[string]pgtext.Form{}
	for typ, c := range known(f, conn) {
		forms[typ] = form(f, conn, typ)
		for _, v := range append(append([]string{}, c.sure...), c.other...) {
			f.Add(typ, v)
		}
	}
	f.Fuzz(func(t *testing.T, typ, v string) {
		form := forms[typ]
		if form == nil || !utf8.ValidString(v) || strings.ContainsRune(v, 0) || tooLong(typ, v) {
			return
		}
		got, sure := form([]byte(v), nil)
		if want := written(t, conn, typ, []string{v})[0]; sure && want != nil && string(got) != *want {
			t.Errorf("%s %q: sure of %q, the server writes %q", typ, v, got, *want)
		}
	})
}
