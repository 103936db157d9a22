package loader

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// TestPartIsSorted holds that rows are sent in the order of their keys, those of
// equal keys in the order of the input, whole wherever they lie on the pages.
func TestPartIsSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, maxKey := range []uint64{1, 50, 1 << 63} {
		l := newLanes(1, 8<<20, 8<<20, 1, 1)
		l.sorted = true
		type row struct {
			key  uint64
			data []byte
		}
		var rows []row
		for i := range 3000 {
			data := fmt.Appendf(nil, "%d:%s;", i, bytes.Repeat([]byte{'x'}, r.IntN(60)))
			if i%500 == 0 {
				data = append(data, bytes.Repeat([]byte{'y'}, 3*maxPage)...)
			}
			rows = append(rows, row{r.Uint64N(maxKey), data})
			if err := l.add(context.Background(), 0, formatBinary, data, origin{line: int64(i)}, rows[i].key); err != nil {
				t.Fatal(err)
			}
		}
		l.end()
		b, err := l.next(context.Background(), 0)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(rows, func(a, b row) int { return bytes.Compare(big(a.key), big(b.key)) })
		want := pgcopy.AppendHeader(nil)
		for _, row := range rows {
			want = append(want, row.data...)
		}
		want = pgcopy.AppendTrailer(want)
		var s sorter
		order := s.sort(&b.parts[0])
		for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader} {
			got, err := io.ReadAll(wrap(newPartReader(&b.parts[0], order)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("keys below %d, %s: %d bytes, %v; want %d others", maxKey, name, len(got), err, len(want))
			}
		}
	}
}

func big(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// TestSortKeys holds that keys order as the values do.
func TestSortKeys(t *testing.T) {
	table := &catalog.Table{PrimaryKey: []string{"a", "b"}}
	for _, tt := range []struct {
		a, b uint32
		rows [][2]string // in their order
		n    int         // columns in the key
	}{
		{pgtype.Int4OID, pgtype.Int4OID, [][2]string{{"-5", "9"}, {"-1", "-2"}, {"-1", "0"}, {"0", "-9"}, {"7", "-1"}, {"7", "1"}}, 2},
		{pgtype.Int2OID, pgtype.Int4OID, [][2]string{{"-5", "9"}, {"0", "-9"}, {"0", "8"}}, 2},
		{pgtype.Int8OID, pgtype.Int4OID, [][2]string{{"-9223372036854775808", "9"}, {"-1", "-2"}, {"0", "1"}, {"9223372036854775807", "0"}}, 1},
		{pgtype.TextOID, pgtype.Int4OID, nil, 0},
	} {
		lay := &layout{columns: []*catalog.Column{{Name: "b", BaseOID: tt.b}, {Name: "a", BaseOID: tt.a}}}
		if lay.sortBy = sortFields(table, lay.columns); len(lay.sortBy) != tt.n {
			t.Errorf("%d columns in the key, want %d", len(lay.sortBy), tt.n)
		}
		before := uint64(0)
		for i, values := range tt.rows {
			encodeA, _ := pgcopy.For(tt.a, -1, pgcopy.Options{})
			encodeB, _ := pgcopy.For(tt.b, -1, pgcopy.Options{})
			row, _ := encodeB(nil, []byte(values[1]))
			ends := []int32{int32(len(row))}
			row, _ = encodeA(row, []byte(values[0]))
			key := lay.sortKey(row, append(ends, int32(len(row))))
			if i > 0 && key <= before {
				t.Errorf("key of %v is %x, not above %x", values, key, before)
			}
			before = key
		}
	}
}

// TestSortKeyOfNull holds that a key without a value, which only the server may
// refuse, is looked for nowhere.
func TestSortKeyOfNull(t *testing.T) {
	columns := []*catalog.Column{{Name: "a", BaseOID: pgtype.Int8OID}}
	lay := &layout{columns: columns, sortBy: []int{0}, encoders: []pgcopy.Encoder{nil}, maxRecord: 1}
	d := &decoder{lay: lay, fields: []pgcsv.Field{{}}, ends: make([]int32, 1)}
	var r record
	d.encode(nil, &r)
	if want := pgcopy.AppendNull(pgcopy.AppendFieldCount(nil, 1)); r.key != 0 || !bytes.Equal(d.rows, want) {
		t.Errorf("row %x with key %d", d.rows, r.key)
	}
}
