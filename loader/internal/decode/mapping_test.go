package decode

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/input"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// TestMapping holds that each kind of source gives the same value in a binary row and in one
// that is written as text.
func TestMapping(t *testing.T) {
	t.Parallel()
	names := []string{"b", "region", "a", "line", "record", "none"}
	columns := make([]*catalog.Column, len(names))
	encoders := make([]pgcopy.Encoder, len(names))
	for i, name := range names {
		columns[i] = &catalog.Column{Name: name, BaseOID: pgtype.TextOID}
		encoders[i], _ = pgcopy.For(pgtype.TextOID, -1, pgcopy.Options{UTF8: true})
	}
	sources := []Source{
		{Field: 2, NullIf: []string{"N/A"}},
		{From: FromConst, Const: []byte("e\tu")},
		{Field: 0},
		{From: FromLine},
		{From: FromRecord},
		{From: FromConst},
	}
	data := "\"x\ny\",skipped,1\\2\nz,,N/A\n,,\n"
	want := [][]any{
		{`1\2`, "e\tu", "x\ny", "7", "\"x\ny\",skipped,1\\2", nil},
		{nil, "e\tu", "z", "9", "z,,N/A", nil},
		{nil, "e\tu", nil, "10", ",,", nil},
	}
	for _, binary := range []bool{true, false} {
		lay := &Layout{RowForm: RowForm{Columns: columns}, Dialect: pgcsv.CSV.Dialect(), Sent: pgcsv.Text.Dialect(), maxRecord: 1 << 20, Router: router{Lanes: 1}}
		if binary {
			lay.Encoders = encoders
		}
		lay.mapping, _ = newMapping(sources, 3, lay.Encoders)
		d := New(lay, nil, "in.csv")
		c := &input.Chunk{Line: 7, Data: []byte(data), EOL: pgcsv.LF}
		if err := d.Decode(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if len(d.records) != len(want) {
			t.Fatalf("%d records", len(d.records))
		}
		for i, r := range d.records {
			got, expected := d.rows[r.binStart:r.binEnd], textRow(want[i])
			if binary {
				expected = binaryRow(want[i])
			}
			if !bytes.Equal(got, expected) {
				t.Errorf("binary %v, record %d: row %q, want %q", binary, i, got, expected)
			}
		}
	}
}

func textRow(values []any) (row []byte) {
	for i, v := range values {
		if i > 0 {
			row = append(row, '\t')
		}
		if s, ok := v.(string); ok {
			row = pgcsv.AppendText(row, []byte(s))
		} else {
			row = append(row, `\N`...)
		}
	}
	return row
}

func binaryRow(values []any) []byte {
	row := pgcopy.AppendFieldCount(nil, int16(len(values)))
	for _, v := range values {
		if s, ok := v.(string); ok {
			encoder, _ := pgcopy.For(pgtype.TextOID, -1, pgcopy.Options{UTF8: true})
			row, _ = encoder(row, []byte(s))
		} else {
			row = pgcopy.AppendNull(row)
		}
	}
	return row
}
