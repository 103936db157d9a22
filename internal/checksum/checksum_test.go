package checksum_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/checksum"
	"shardload/internal/pghash"
	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// texts returns random texts of each length to 100, of one-byte and longer
// characters, and extreme ones.
func texts() []string {
	r := rand.New(rand.NewPCG(1, 2))
	list := []string{"", " ", "\n", "NULL", "日本語", "\u0001", strings.Repeat("\u007f", 1000), strings.Repeat("\U0010ffff", 77)}
	for n := range 101 {
		for range 5 {
			var b strings.Builder
			for b.Len() < n {
				c := rune(1 + r.IntN(127))
				if rest := n - b.Len(); rest >= 4 && r.IntN(3) == 0 {
					c = []rune{0xe9, 0x20ac, 0x1f600}[r.IntN(3)]
				}
				b.WriteRune(c)
			}
			list = append(list, b.String())
		}
	}
	return list
}

func TestTextAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		values := texts()
		rows, err := pgtest.Connect(t, dsn).Query(context.Background(),
			"SELECT "+checksum.SQLText("v")+" FROM unnest($1::text[]) WITH ORDINALITY AS u(v, n) ORDER BY n", values)
		if err != nil {
			t.Fatal(err)
		}
		want, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			for shift := range 8 { // a value may begin at any address
				padded := append(make([]byte, shift, shift+len(v)), v...)
				if got := pghash.Text(padded[shift:]); got != want[i] {
					t.Fatalf("%q at alignment %d: %d, the server says %d", v, shift, got, want[i])
				}
			}
		}
	})
}

// FuzzText compares with the server.
func FuzzText(f *testing.F) {
	conn := pgtest.Connect(f, pgtest.Plain(f))
	f.Add([]byte("a"))
	f.Fuzz(func(t *testing.T, v []byte) {
		text := strings.ReplaceAll(strings.ToValidUTF8(string(v), "?"), "\x00", "?")
		var want int64
		if err := conn.QueryRow(context.Background(), "SELECT "+checksum.SQLText("$1::text"), text).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := pghash.Text([]byte(text)); got != want {
			t.Errorf("%q: %d, the server says %d", text, got, want)
		}
	})
}

// A row is a row of the tests; nil is NULL.
type row []*string

func value(s string) *string { return &s }

// rows are what joining with commas, or taking NULL for an empty text, confuses.
var rows = []row{
	{value("a"), value("b"), nil},
	{value("a"), nil, value("b")},
	{nil, value("a"), value("b")},
	{value("a,b"), value(""), value("")},
	{value("a"), value(",b"), value("")},
	{nil, nil, nil},
	{value("NULL"), value(""), nil},
	{nil, nil, value("")},
	{value(""), nil, nil},
}

func accumulate(rows []row) (a *checksum.Accumulator, hashes []int64) {
	a = checksum.NewAccumulator([]string{"x", "y", "z"})
	for _, r := range rows {
		for _, v := range r {
			if v == nil {
				a.Null()
			} else {
				a.Value([]byte(*v))
			}
		}
		hashes = append(hashes, a.EndRow())
	}
	return a, hashes
}

func TestTableAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	a, hashes := accumulate(rows)
	seen := map[int64]bool{}
	for _, h := range hashes {
		seen[h] = true
	}
	if len(seen) != len(rows) {
		t.Errorf("%d rows have %d hashes", len(rows), len(seen))
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		query := "SELECT count(*), sum(" + checksum.SQLRow([]string{"hx", "hy", "hz"}) + ")::text"
		for _, c := range []string{"x", "y", "z"} {
			query += fmt.Sprintf(", count(%s), sum(h%[1]s)::text", c)
		}
		query += " FROM (SELECT x, y, z"
		for _, c := range []string{"x", "y", "z"} {
			query += ", " + checksum.SQLText(c) + " AS h" + c
		}
		query += " FROM unnest($1::text[], $2::text[], $3::text[]) AS u(x, y, z)) AS h"
		var columns [3][]*string
		for _, r := range rows {
			for i, v := range r {
				columns[i] = append(columns[i], v)
			}
		}
		var got checksum.Table
		got.Columns = []checksum.Column{{Name: "x"}, {Name: "y"}, {Name: "z"}}
		sums := make([]string, 4)
		c := got.Columns
		err := conn.QueryRow(context.Background(), query, columns[0], columns[1], columns[2]).Scan(&got.Rows, &sums[0],
			&c[0].Values, &sums[1], &c[1].Values, &sums[2], &c[2].Values, &sums[3])
		if err != nil {
			t.Fatal(err)
		}
		for i, sum := range []*checksum.Sum{&got.RowSum, &c[0].Sum, &c[1].Sum, &c[2].Sum} {
			if err := sum.UnmarshalText([]byte(sums[i])); err != nil {
				t.Fatal(err)
			}
		}
		if want := a.Table(); !cmp.Equal(got, want, cmp.Comparer(func(a, b checksum.Sum) bool { return a == b })) {
			t.Errorf("the server has %+v, want %+v", got, want)
		}
	})
}

func TestMergeAndJSON(t *testing.T) {
	t.Parallel()
	whole, _ := accumulate(rows)
	first, _ := accumulate(rows[5:])
	second, _ := accumulate(rows[:5])
	first.Merge(second)
	text, err := json.Marshal(first.Table())
	if err != nil {
		t.Fatal(err)
	}
	var got checksum.Table
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole.Table(), got, cmp.Comparer(func(a, b checksum.Sum) bool { return a == b })); diff != "" {
		t.Errorf("two parts, through JSON (-want +got):\n%s", diff)
	}
	parts, _ := accumulate(rows[5:])
	sum := parts.Table()
	if !sum.Merge(second.Table()) || !sum.Equal(got) || sum.Equal(second.Table()) {
		t.Errorf("two tables: %+v, want %+v", sum, got)
	}
	if other := checksum.NewAccumulator([]string{"x"}).Table(); sum.Merge(other) || !sum.Equal(got) {
		t.Error("tables of other columns are added")
	}
}

func TestSum(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	want := new(big.Int)
	var got, taken checksum.Sum
	for i := range 10_000 {
		h := int64(r.Uint64())
		if i%4 == 0 {
			h = []int64{math.MaxInt64, math.MinInt64, -1, 0, 1}[r.IntN(5)]
		}
		want.Add(want, big.NewInt(h))
		got.Add(h)
		if i%3 == 0 {
			taken.Add(h)
			got.Subtract(taken)
			got.Merge(taken)
		}
		if got.String() != want.String() {
			t.Fatalf("after %d hashes: %s, want %s", i+1, got, want)
		}
		var back checksum.Sum
		if err := back.UnmarshalText([]byte(got.String())); err != nil || back != got {
			t.Fatalf("%s is read as %s, %v", got, back, err)
		}
	}
	for _, bad := range []string{"", "x", "1.5", strings.Repeat("9", 40)} {
		if err := new(checksum.Sum).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read as a sum", bad)
		}
	}
}

func BenchmarkText(b *testing.B) {
	for _, n := range []int{1, 8, 19, 80, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			text := []byte(strings.Repeat("x", n))
			b.SetBytes(int64(n))
			b.ReportAllocs()
			var sum checksum.Sum
			for b.Loop() {
				sum.Add(pghash.Text(text))
			}
		})
	}
}

func BenchmarkAccumulator(b *testing.B) {
	a := checksum.NewAccumulator(make([]string, 10))
	text := []byte("2025-01-01 12:34:56")
	b.SetBytes(10 * int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for range 10 {
			a.Value(text)
		}
		a.EndRow()
	}
}
