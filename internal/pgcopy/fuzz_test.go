package pgcopy_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/pgcopy"
	"shardload/internal/pgtest"
)

func FuzzNumber(f *testing.F) { fuzzOnServer(f, numberCases()) }
func FuzzText(f *testing.F)   { fuzzOnServer(f, textCases()) }
func FuzzTime(f *testing.F)   { fuzzOnServer(f, timeCases()) }
func FuzzArray(f *testing.F)  { fuzzOnServer(f, arrayCases()) }

// seeds is about how many inputs a fuzz test starts with: the fuzzer runs all of
// them before it makes its own. The other tests know all the values.
const seeds = 80

// sample returns about n of texts, evenly spaced.
func sample(texts []string, n int) []string {
	var some []string
	for i := 0; i < len(texts); i += max(1, len(texts)/max(1, n)) {
		some = append(some, texts[i])
	}
	return some
}

// fuzzOnServer gives values of which the encoders are sure to a server both ways.
// Parameters of a prepared statement go through the same functions as the fields
// of a COPY, and need no table.
func fuzzOnServer(f *testing.F, cases []typeCase) {
	// A parameter has no modifier.
	cases = slices.DeleteFunc(cases, func(c typeCase) bool { return strings.Contains(c.name, "(") })
	dsn := pgtest.Plain(f)
	f.Setenv("SHARDLOAD_TEST_DSN", dsn) // the fuzzer's processes share the server
	conn := pgtest.Connect(f, dsn)
	encoders := make([]pgcopy.Encoder, len(cases))
	for i, c := range cases {
		encoders[i] = encoderOf(f, c.name, allOpts)
		prepare(f, conn, c.name)
		for _, s := range slices.Concat(sample(c.sure, seeds/len(cases)/2), sample(c.unsure, seeds/len(cases)/2)) {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, v []byte) {
		c, enc := cases[int(i)%len(cases)], encoders[int(i)%len(cases)]
		got, sure := enc([]byte("before"), v)
		if !sure {
			if string(got) != "before" {
				t.Errorf("%q is not sure, but appended %q", v, got)
			}
			return
		}
		checkField(t, got, "before")
		compareParameters(t, conn.PgConn(), c, v, got[len("before")+4:])
	})
}

// prepare makes the statement of the type that parameter executes.
func prepare(t testing.TB, conn *pgx.Conn, typeName string) {
	t.Helper()
	if _, err := conn.Prepare(t.Context(), typeName, "SELECT $1::"+typeName); err != nil {
		t.Fatal(err)
	}
}

// compareParameters gives the server a value in both formats and wants the same
// back.
func compareParameters(t *testing.T, conn *pgconn.PgConn, c typeCase, text, binary []byte) {
	t.Helper()
	want, refused := parameter(t, conn, c.name, text, pgx.TextFormatCode)
	got, err := parameter(t, conn, c.name, binary, pgx.BinaryFormatCode)
	switch {
	case refused != nil && c.json:
		if err == nil || err.Code != refused.Code || err.Message != refused.Message || err.Detail != refused.Detail {
			t.Errorf("%s %q: text is refused with %v, binary with %v", c.name, text, refused, err)
		}
	case refused != nil || err != nil:
		t.Errorf("%s %q is sure; as text %v, as binary %v", c.name, text, refused, err)
	case !bytes.Equal(want, got):
		t.Errorf("%s %q is %x, but through binary %x", c.name, text, want, got)
	}
}

// parameter returns what the server makes of the parameter, or the reason why it
// refuses it.
func parameter(t *testing.T, conn *pgconn.PgConn, statement string, v []byte, format int16) ([]byte, *pgconn.PgError) {
	t.Helper()
	result := conn.ExecPrepared(t.Context(), statement, [][]byte{v}, []int16{format}, []int16{pgx.BinaryFormatCode}).Read()
	if refused, ok := errors.AsType[*pgconn.PgError](result.Err); ok {
		return nil, refused
	}
	if result.Err != nil || len(result.Rows) != 1 {
		t.Fatalf("%d rows, %v", len(result.Rows), result.Err)
	}
	return result.Rows[0][0], nil
}

// What is sure must be an array that another implementation reads, and writing
// its elements as that one does must give the same field again.
func FuzzArraySyntax(f *testing.F) {
	enc := encoderOf(f, "text[]", allOpts)
	syntax := arrayCases()[0]
	for _, s := range slices.Concat(syntax.sure, syntax.unsure) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		field, sure := enc(nil, v)
		if !sure {
			return
		}
		checkField(t, field, "")
		m := pgtype.NewMap()
		var elements []*string
		if err := m.Scan(pgtype.TextArrayOID, pgx.BinaryFormatCode, field[4:], &elements); err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		text, err := m.Encode(pgtype.TextArrayOID, pgx.TextFormatCode, elements, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, sure := enc(nil, text)
		if !sure || !bytes.Equal(field, again) {
			t.Errorf("%q, written as %q: sure %t\n%q\n%q", v, text, sure, field, again)
		}
	})
}
