package pgcopy_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgcopy"
	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A pair is two tables with the same column v: COPY stores text in one of them,
// and what an encoder makes of it in the other.
type pair struct {
	conn *pgx.Conn
	enc  pgcopy.Encoder
}

// newPair makes the two tables anew and finds the encoder by what the catalog says
// of the column.
func newPair(t testing.TB, conn *pgx.Conn, typeName string, opts pgcopy.Options) *pair {
	t.Helper()
	_, err := conn.Exec(t.Context(), `
		DROP TABLE IF EXISTS as_text, as_binary;
		CREATE TABLE as_text (n int, v `+typeName+`);
		CREATE TABLE as_binary (n int, v `+typeName+`)`)
	if err != nil {
		t.Fatal(err)
	}
	var oid uint32
	var typmod int32
	err = conn.QueryRow(t.Context(), `SELECT atttypid, atttypmod FROM pg_attribute
		WHERE attrelid = 'as_text'::regclass AND attname = 'v'`).Scan(&oid, &typmod)
	if err != nil {
		t.Fatal(err)
	}
	enc, ok := pgcopy.For(oid, typmod, opts)
	if !ok {
		t.Fatalf("%s: no encoder", typeName)
	}
	return &pair{conn: conn, enc: enc}
}

// check loads all texts both ways, of which the encoder must be sure, and compares
// the rows as they are stored, byte by byte.
func (p *pair) check(t testing.TB, texts []string) {
	t.Helper()
	var csv []byte
	binary := pgcopy.AppendHeader(nil)
	number, _ := pgcopy.For(23, -1, pgcopy.Options{})
	for i, s := range texts {
		csv = fmt.Appendf(csv, "%d,\"%s\"\n", i, strings.ReplaceAll(s, `"`, `""`))
		var ok, sure bool
		binary = pgcopy.AppendFieldCount(binary, 2)
		binary, ok = number(binary, fmt.Append(nil, i))
		binary, sure = p.enc(binary, []byte(s))
		if !ok || !sure {
			t.Fatalf("%.80q is not sure", s)
		}
	}
	binary = pgcopy.AppendTrailer(binary)
	p.copy(t, csv, "COPY as_text FROM STDIN (FORMAT csv)", len(texts))
	p.copy(t, binary, "COPY as_binary FROM STDIN (FORMAT binary)", len(texts))
	p.compare(t, len(texts))
}

func (p *pair) copy(t testing.TB, data []byte, sql string, want int) {
	t.Helper()
	tag, err := p.conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(data), sql)
	if err != nil {
		t.Fatalf("%s: %+v", sql, err)
	}
	if tag.RowsAffected() != int64(want) {
		t.Fatalf("%s: %d rows, want %d", sql, tag.RowsAffected(), want)
	}
}

// compare reports rows whose values differ in their bytes, where = has
// each type's own opinion.
func (p *pair) compare(t testing.TB, want int) {
	t.Helper()
	rows, _ := p.conn.Query(t.Context(), `
		SELECT n, x.v::text, y.v::text, record_image_eq(ROW(x.v), ROW(y.v))
		  FROM as_text x FULL JOIN as_binary y USING (n)`)
	var n, seen int
	var text, binary *string
	var same bool
	_, err := pgx.ForEachRow(rows, []any{&n, &text, &binary, &same}, func() error {
		seen++
		if !same || *text != *binary {
			t.Errorf("value %d: text stores %.80q, binary %.80q", n, *text, *binary)
		}
		return nil
	})
	if err != nil || seen != want {
		t.Fatalf("%d rows compared, %v; want %d", seen, err, want)
	}
}

// connect returns a connection to a server of encoding UTF8 with these settings.
func connect(t testing.TB, settings ...string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	if _, err := conn.Exec(t.Context(), strings.Join(settings, ";")); err != nil {
		t.Fatal(err)
	}
	var encoding string
	if err := conn.QueryRow(t.Context(), "SHOW server_encoding").Scan(&encoding); err != nil || encoding != "UTF8" {
		t.Fatalf("server encoding %q, %v; these tests want UTF8", encoding, err)
	}
	return conn
}

// known returns the cases whose type the server has.
func known(t testing.TB, conn *pgx.Conn, cases []typeCase) []typeCase {
	t.Helper()
	version := pgtest.Version(t, conn)
	return slices.DeleteFunc(cases, func(c typeCase) bool { return c.since > version })
}

// What is sure must not depend on any setting.
func TestSureIsWhatTextStores(t *testing.T) {
	t.Parallel()
	settings := map[string][]string{
		"default": nil,
		"european": {
			"SET DateStyle = 'SQL, DMY'", "SET TimeZone = 'Asia/Kolkata'", "SET extra_float_digits = -15",
			"SET bytea_output = 'escape'", "SET timezone_abbreviations = 'Australia'", "SET IntervalStyle = 'iso_8601'",
		},
		"american": {
			"SET DateStyle = 'Postgres, MDY'", "SET TimeZone = 'America/New_York'", "SET timezone_abbreviations = 'India'",
		},
		"german": {"SET DateStyle = 'German, YMD'", "SET TimeZone = 'Europe/Berlin'"},
	}
	for name, set := range settings {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, set...)
			cases := scalarCases()
			if set == nil {
				cases = append(cases, arrayCases()...) // settings reach only their elements
			}
			for _, c := range known(t, conn, cases) {
				t.Run(c.name, func(t *testing.T) {
					newPair(t, conn, c.name, allOpts).check(t, c.sure)
				})
			}
		})
	}
}

// With array_nulls off, NULL is a string like others: without the option an
// encoder must not take it for anything.
func TestSureWithoutArrayNulls(t *testing.T) {
	t.Parallel()
	conn := connect(t, "SET array_nulls = off")
	p := newPair(t, conn, "text[]", pgcopy.Options{UTF8: true})
	p.check(t, []string{"{}", "{a}", "{nul,nulls}", `{"NULL",b}`})
	for _, s := range []string{"{NULL}", "{a,null}"} {
		if _, sure := p.enc(nil, []byte(s)); sure {
			t.Errorf("%s is sure", s)
		}
	}
}

// Where the input's encoding is not the server's, bytes change on their way.
func TestSureInOtherEncoding(t *testing.T) {
	t.Parallel()
	conn := connect(t, "SET client_encoding = 'LATIN1'")
	for _, name := range []string{"text", "varchar(3)", "json", "jsonb", "text[]", "varchar(3)[]"} {
		p := newPair(t, conn, name, pgcopy.Options{})
		quoted, plain := `{"a":"%s"}`, "%s"
		if strings.HasSuffix(name, "[]") {
			quoted, plain = "{%s}", "{%s}"
		} else if !strings.HasPrefix(name, "json") {
			quoted = plain
		}
		p.check(t, []string{fmt.Sprintf(quoted, "abc"), fmt.Sprintf(quoted, "x")})
		for _, s := range []string{"\xe9", "é", "\x80"} {
			if _, sure := p.enc(nil, fmt.Appendf(nil, quoted, s)); sure {
				t.Errorf("%s: %q is sure", name, s)
			}
		}
	}
}

// Below a domain its base type is encoded, and the server checks the rest.
func TestDomain(t *testing.T) {
	t.Parallel()
	conn := connect(t, "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)", "CREATE DOMAIN short AS varchar(3)")
	for name, base := range map[string]string{"positive": "integer", "short": "varchar(3)"} {
		enc := newPair(t, conn, base, allOpts).enc
		_, err := conn.Exec(t.Context(), `ALTER TABLE as_text ALTER v TYPE `+name+`; ALTER TABLE as_binary ALTER v TYPE `+name)
		if err != nil {
			t.Fatal(err)
		}
		(&pair{conn: conn, enc: enc}).check(t, []string{"1", "999"})
	}
}

// The server parses JSON in either format, and must refuse it for the same reason.
func TestJSONRefusedAlike(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	for _, name := range []string{"json", "jsonb"} {
		prepare(t, conn, name)
		enc := encoderOf(t, name, allOpts)
		for _, s := range []string{
			" ", "{", "[1,]", "{1:2}", `{"a"}`, "1 2", "nul", "NaN", "'a'", "01", "1.", "\"a\nb\"", `"\x"`, `"\u00g0"`, `"\ud83d"`, `"\u0000"`, `"open`, "[1e99999999]",
		} {
			field, sure := enc(nil, []byte(s))
			if !sure {
				t.Errorf("%s %q is not sure", name, s)
				continue
			}
			compareParameters(t, conn.PgConn(), typeCase{name: name, json: true}, []byte(s), field[4:])
		}
	}
}
