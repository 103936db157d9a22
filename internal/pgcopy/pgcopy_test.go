package pgcopy_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/pgcopy"
)

func TestFrame(t *testing.T) {
	t.Parallel()
	var got []byte
	got = pgcopy.AppendHeader(got)
	got = pgcopy.AppendFieldCount(got, 258)
	got = pgcopy.AppendNull(got)
	got = pgcopy.AppendTrailer(got)
	want := "PGCOPY\n\377\r\n\000" + "\000\000\000\000" + "\000\000\000\000" + "\001\002" + "\377\377\377\377" + "\377\377"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// The bytes of a field of each kind, by the protocol's documentation.
func TestFields(t *testing.T) {
	t.Parallel()
	tests := []struct {
		oid      uint32
		in, want string
	}{
		{pgtype.Int2OID, "-2", "\x00\x00\x00\x02\xff\xfe"},
		{pgtype.Int4OID, "258", "\x00\x00\x00\x04\x00\x00\x01\x02"},
		{pgtype.Int8OID, "-1", "\x00\x00\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff"},
		{pgtype.Float4OID, "-1.5", "\x00\x00\x00\x04\xbf\xc0\x00\x00"},
		{pgtype.Float8OID, "1", "\x00\x00\x00\x08\x3f\xf0\x00\x00\x00\x00\x00\x00"},
		{pgtype.NumericOID, "-12345.60", "\x00\x00\x00\x0e\x00\x03\x00\x01\x40\x00\x00\x02\x00\x01\x09\x29\x17\x70"},
		{pgtype.BoolOID, "yes", "\x00\x00\x00\x01\x01"},
		{pgtype.TextOID, "é", "\x00\x00\x00\x02\xc3\xa9"},
		{pgtype.JSONOID, "[]", "\x00\x00\x00\x02[]"},
		{pgtype.JSONBOID, "[]", "\x00\x00\x00\x03\x01[]"},
		{pgtype.ByteaOID, `\x00Ff`, "\x00\x00\x00\x02\x00\xff"},
		{pgtype.DateOID, "1999-12-31", "\x00\x00\x00\x04\xff\xff\xff\xff"},
		{pgtype.TimestampOID, "2000-01-01 00:00:00.000258", "\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x01\x02"},
		{pgtype.TimestamptzOID, "2000-01-01 01:00:00+01", "\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00"},
		{pgtype.Int2ArrayOID, "{}", "\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x15"},
		{
			pgtype.Int2ArrayOID, `{7,NULL}`, "\x00\x00\x00\x1e\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x15" +
				"\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02\x00\x07\xff\xff\xff\xff",
		},
	}
	for _, test := range tests {
		enc, ok := pgcopy.For(test.oid, -1, allOpts)
		if !ok {
			t.Errorf("type %d: no encoder", test.oid)
			continue
		}
		got, sure := enc([]byte("before"), []byte(test.in))
		if diff := cmp.Diff("before"+test.want, string(got)); !sure || diff != "" {
			t.Errorf("%s: sure %t %s", test.in, sure, diff)
		}
	}
}

// Types whose pg_type.typelem is set are no arrays, and blanks make char(n) the
// server's own business.
func TestTypesWithoutEncoder(t *testing.T) {
	t.Parallel()
	for _, oid := range []uint32{
		0, pgtype.BPCharOID, pgtype.BPCharArrayOID, pgtype.NameOID, pgtype.PointOID, pgtype.QCharOID, pgtype.XMLOID,
		pgtype.IntervalOID, pgtype.TimeOID, pgtype.TimetzOID, pgtype.InetOID, pgtype.RecordOID, 22, 30, 90_000,
	} {
		if enc, ok := pgcopy.For(oid, -1, allOpts); ok || enc != nil {
			t.Errorf("type %d has an encoder", oid)
		}
	}
}

// encoderOf returns the encoder of a case's type without asking a server.
func encoderOf(t testing.TB, name string, opts pgcopy.Options) pgcopy.Encoder {
	t.Helper()
	spec, ok := map[string]struct {
		oid    uint32
		typmod int32
	}{
		"smallint": {21, -1}, "integer": {23, -1}, "bigint": {20, -1}, "real": {700, -1}, "double precision": {701, -1},
		"numeric": {1700, -1}, "numeric(6,2)": {1700, 6<<16 + 2 + 4}, "numeric(3,5)": {1700, 3<<16 + 5 + 4},
		"numeric(2,-3)": {1700, 2<<16 + (-3 & 0x7ff) + 4}, "boolean": {16, -1}, "text": {25, -1}, "varchar": {1043, -1},
		"varchar(5)": {1043, 5 + 4}, "json": {114, -1}, "jsonb": {3802, -1}, "bytea": {17, -1}, "uuid": {2950, -1},
		"date": {1082, -1}, "timestamp": {1114, -1}, "timestamp(0)": {1114, 0}, "timestamp(3)": {1114, 3},
		"timestamptz": {1184, -1}, "timestamptz(2)": {1184, 2},
		"smallint[]": {1005, -1}, "integer[]": {1007, -1}, "bigint[]": {1016, -1}, "real[]": {1021, -1}, "double precision[]": {1022, -1},
		"numeric[]": {1231, -1}, "numeric(6,2)[]": {1231, 6<<16 + 2 + 4}, "numeric(3,5)[]": {1231, 3<<16 + 5 + 4},
		"numeric(2,-3)[]": {1231, 2<<16 + (-3 & 0x7ff) + 4}, "boolean[]": {1000, -1}, "text[]": {1009, -1}, "varchar[]": {1015, -1},
		"varchar(3)[]": {1015, 3 + 4}, "varchar(5)[]": {1015, 5 + 4}, "json[]": {199, -1}, "jsonb[]": {3807, -1}, "bytea[]": {1001, -1},
		"uuid[]": {2951, -1}, "date[]": {1182, -1}, "timestamp[]": {1115, -1}, "timestamp(0)[]": {1115, 0}, "timestamp(3)[]": {1115, 3},
		"timestamptz[]": {1185, -1}, "timestamptz(2)[]": {1185, 2},
	}[name]
	if !ok {
		t.Fatalf("no OID is known for %s", name)
	}
	enc, ok := pgcopy.For(spec.oid, spec.typmod, opts)
	if !ok {
		t.Fatalf("%s: no encoder", name)
	}
	return enc
}

func TestSure(t *testing.T) {
	t.Parallel()
	for _, c := range append(scalarCases(), arrayCases()...) {
		t.Run(c.name, func(t *testing.T) {
			enc := encoderOf(t, c.name, allOpts)
			for _, s := range c.sure {
				got, sure := enc([]byte("before"), []byte(s))
				if !sure {
					t.Errorf("%.80q is not sure", s)
					continue
				}
				checkField(t, got, "before")
			}
			for _, s := range c.unsure {
				if got, sure := enc([]byte("before"), []byte(s)); sure || string(got) != "before" {
					t.Errorf("%.80q: sure %t, %q", s, sure, got)
				}
			}
		})
	}
}

// checkField fails t unless what follows before is one field, and before is as it
// was.
func checkField(t testing.TB, got []byte, before string) {
	t.Helper()
	field := got[len(before):]
	if string(got[:len(before)]) != before || len(field) < 4 || int(binary.BigEndian.Uint32(field)) != len(field)-4 {
		t.Errorf("%.80q is not %q and a field", got, before)
	}
}

func TestNoAllocation(t *testing.T) {
	dst := make([]byte, 0, 1<<20)
	for _, c := range append(scalarCases(), arrayCases()...) {
		enc := encoderOf(t, c.name, allOpts)
		for _, s := range c.sure {
			v := []byte(s)
			if n := testing.AllocsPerRun(3, func() { enc(dst, v) }); n > 0 {
				t.Errorf("%s: %v allocations for %.80q", c.name, n, s)
			}
		}
	}
}

// TestIntegersAmongOthers holds that the bytes behind a value change nothing.
func TestIntegersAmongOthers(t *testing.T) {
	t.Parallel()
	enc := encoderOf(t, "bigint", allOpts)
	r := rand.New(rand.NewPCG(5, 6))
	const around = "0123456789,/:-+ \x00\x7f\x80\xba\xff"
	for range 200_000 {
		buf := make([]byte, 1+r.IntN(19))
		for i := range buf {
			buf[i] = around[r.IntN(len(around))]
			if r.IntN(3) > 0 {
				buf[i] = byte('0' + r.IntN(10))
			}
		}
		v := buf[:r.IntN(len(buf)+1)]
		want, err := strconv.ParseInt(string(v), 10, 64)
		got, sure := enc(nil, v)
		if sure != (err == nil) || sure && !bytes.Equal(got, binary.BigEndian.AppendUint64([]byte{0, 0, 0, 8}, uint64(want))) {
			t.Fatalf("%q in front of %q: %x, %v; strconv says %d, %v", v, buf[len(v):], got, sure, want, err)
		}
	}
}
