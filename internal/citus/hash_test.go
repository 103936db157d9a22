package citus_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/citus"
	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// serverHashes returns the server's hash of each value, by an SQL expression over
// v of type text.
func serverHashes(t testing.TB, conn *pgx.Conn, expr string, values []string) []int32 {
	t.Helper()
	rows, err := conn.Query(context.Background(), "SELECT "+expr+" FROM unnest($1::text[]) WITH ORDINALITY AS u(v, n) ORDER BY n", values)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// samples returns extreme and random values of each type that has a Hasher.
func samples() map[uint32][]string {
	r := rand.New(rand.NewPCG(1, 2))
	s := map[uint32][]string{
		pgtype.Int2OID: {"0", "1", "-1", "32767", "-32768", "+5", "007", "-0"},
		pgtype.Int4OID: {"0", "1", "-1", "2147483647", "-2147483648", "+5", "007", "-0"},
		pgtype.Int8OID: {"0", "1", "-1", "9223372036854775807", "-9223372036854775808", "4294967296", "-4294967296", "2147483648", "-2147483649", "007"},
		pgtype.TextOID: {"", " ", "a", "日本語", "ß", "007"},
		pgtype.UUIDOID: {"00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-FFFF-ffff-ffffffffffff"},
	}
	for range 500 {
		s[pgtype.Int2OID] = append(s[pgtype.Int2OID], fmt.Sprint(int16(r.Uint32())))
		s[pgtype.Int4OID] = append(s[pgtype.Int4OID], fmt.Sprint(int32(r.Uint32())))
		s[pgtype.Int8OID] = append(s[pgtype.Int8OID], fmt.Sprint(int64(r.Uint64()>>r.IntN(64))))
		id := make([]byte, 16)
		for i := range id {
			id[i] = byte(r.Uint32())
		}
		h := hex.EncodeToString(id)
		s[pgtype.UUIDOID] = append(s[pgtype.UUIDOID], strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"))
	}
	for n := range 200 { // each length takes another way through the last bytes
		s[pgtype.TextOID] = append(s[pgtype.TextOID], strings.Repeat("é", n/2)+strings.Repeat("x", n%26))
	}
	s[pgtype.VarcharOID] = s[pgtype.TextOID]
	return s
}

// TestHashersAgreeWithTheServer compares with the server's own hash functions,
// which plain PostgreSQL has too, and on Citus with worker_hash.
func TestHashersAgreeWithTheServer(t *testing.T) {
	t.Parallel()
	types := map[uint32]string{
		pgtype.Int2OID: "smallint", pgtype.Int4OID: "integer", pgtype.Int8OID: "bigint",
		pgtype.TextOID: "text", pgtype.VarcharOID: "character varying", pgtype.UUIDOID: "uuid",
	}
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		for oid, values := range samples() {
			hash, function, ok := citus.HasherFor(oid, 0, true)
			if !ok {
				t.Fatalf("no Hasher for %s", types[oid])
			}
			if strings.HasSuffix(t.Name(), "/citus") {
				function = "worker_hash"
			}
			want := serverHashes(t, conn, function+"(v::"+types[oid]+")", values)
			for i, v := range values {
				got, sure := hash([]byte(v))
				if !sure || got != want[i] {
					t.Errorf("%s %q: %d (sure: %t), the server says %d", types[oid], v, got, sure, want[i])
				}
			}
		}
	})
}

// TestHashersAreNotSure holds that unusual forms are left to the server.
func TestHashersAreNotSure(t *testing.T) {
	t.Parallel()
	for oid, values := range map[uint32][]string{
		pgtype.Int2OID: {"", "-", " 1", "1 ", "32768", "-32769", "1.0", "0x1", "1_0", "99999999999999999999"},
		pgtype.Int4OID: {"", "2147483648", "-2147483649", "--1", "+-1"},
		pgtype.Int8OID: {"9223372036854775808", "-9223372036854775809", "18446744073709551617", "00000000000000000001"},
		pgtype.UUIDOID: {"", "{00000000-0000-0000-0000-000000000000}", "00000000000000000000000000000000", "0000000-00000-0000-0000-000000000000", "g0000000-0000-0000-0000-000000000000"},
	} {
		hash, _, _ := citus.HasherFor(oid, 0, true)
		for _, v := range values {
			if h, sure := hash([]byte(v)); sure {
				t.Errorf("type %d: %q: sure of %d", oid, v, h)
			}
		}
	}
	short, _, _ := citus.HasherFor(pgtype.VarcharOID, 3, true)
	if _, sure := short([]byte("abc ")); sure {
		t.Error("varchar(3): sure of a value that the server shortens")
	}
	foreign, _, _ := citus.HasherFor(pgtype.TextOID, 0, false)
	if _, sure := foreign([]byte("é")); sure {
		t.Error("sure of text in another encoding than the server's")
	}
	if _, _, ok := citus.HasherFor(pgtype.NumericOID, 0, true); ok {
		t.Error("there is a Hasher for numeric")
	}
}

func TestFinder(t *testing.T) {
	t.Parallel()
	even := func(n int) (shards []citus.Shard) {
		step := int64(1<<32) / int64(n)
		for i := range n {
			low := int64(math.MinInt32) + int64(i)*step
			high := low + step - 1
			if i == n-1 {
				high = math.MaxInt32
			}
			shards = append(shards, citus.Shard{ID: int64(i), Min: int32(low), Max: int32(high)})
		}
		return shards
	}
	uneven := []citus.Shard{{Min: math.MinInt32, Max: -5}, {Min: -4, Max: -4}, {Min: -3, Max: 1000}, {Min: 1001, Max: math.MaxInt32}}
	for name, shards := range map[string][]citus.Shard{"1": even(1), "2": even(2), "3": even(3), "32": even(32), "100": even(100), "uneven": uneven} {
		f := citus.NewFinder(shards)
		for i, s := range shards {
			for _, h := range []int32{s.Min, s.Max, int32((int64(s.Min) + int64(s.Max)) / 2)} {
				if got := f.Find(h); got != i {
					t.Errorf("%s shards: hash %d is in shard %d, want %d", name, h, got, i)
				}
			}
		}
	}
}

// FuzzHasher compares whatever a Hasher is sure of with the server.
func FuzzHasher(f *testing.F) {
	conn := pgtest.Connect(f, pgtest.Plain(f))
	f.Add([]byte("-42"))
	f.Add([]byte("00000000-0000-0000-0000-00000000000a"))
	f.Fuzz(func(t *testing.T, v []byte) {
		for oid, typ := range map[uint32]string{pgtype.Int2OID: "int2", pgtype.Int4OID: "int4", pgtype.Int8OID: "int8", pgtype.UUIDOID: "uuid", pgtype.TextOID: "text"} {
			hash, function, _ := citus.HasherFor(oid, 0, true)
			got, sure := hash(v)
			if !sure || typ == "text" && (bytes.IndexByte(v, 0) >= 0 || !bytes.Equal(v, bytes.ToValidUTF8(v, nil))) {
				continue
			}
			if want := serverHashes(t, conn, function+"(v::"+typ+")", []string{string(v)}); got != want[0] {
				t.Errorf("%s %q: %d, the server says %d", typ, v, got, want[0])
			}
		}
	})
}
