package decode

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// TestSortKeys holds that keys order as the values do.
func TestSortKeys(t *testing.T) {
	t.Parallel()
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
		lay := &Layout{RowForm: RowForm{Columns: []*catalog.Column{{Name: "b", BaseOID: tt.b}, {Name: "a", BaseOID: tt.a}}}}
		if lay.SortBy, lay.sortSizes = sortFields(table, lay.Columns); len(lay.SortBy) != tt.n {
			t.Errorf("%d columns in the key, want %d", len(lay.SortBy), tt.n)
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
	t.Parallel()
	columns := []*catalog.Column{{Name: "a", BaseOID: pgtype.Int8OID}}
	lay := &Layout{RowForm: RowForm{Columns: columns}, SortBy: []int{0}, sortSizes: []int{8}, Encoders: []pgcopy.Encoder{nil}, maxRecord: 1}
	d := &decoder{fieldValues: fieldValues{lay: lay, fields: []pgcsv.Field{{}}, ends: make([]int32, 1)}}
	var r record
	d.encode(&subject{}, &r)
	if want := pgcopy.AppendNull(pgcopy.AppendFieldCount(nil, 1)); r.key != 0 || !bytes.Equal(d.rows, want) {
		t.Errorf("row %x with key %d", d.rows, r.key)
	}
}
