// Package checksum computes checksums of a table's contents that do not depend
// on the order of its rows, the same here and in SQL.
//
// A value's hash is PostgreSQL's own hashtextextended(value::text COLLATE "C", 0).
// A column's checksum is the number of its values that are not NULL and the sum of
// their hashes. A row's hash is made of its values' hashes one after the other, so
// that it changes if two rows exchange the values of one column, which no column's
// checksum notices. The sums are exact: 128 bits here, numeric there.
//
// The checksums find accidents. They are no defence against somebody who wants two
// tables to look alike.
package checksum

import (
	"slices"

	"shardload/internal/pghash"
)

// Null stands for NULL in the hash of a row.
const Null int64 = 0x4e554c4c4e554c4c

// Row returns the hash of a row of which the values before have the hash row, 0 if
// there are none, and the next value has this hash, or Null. SQLRow is the same in
// SQL.
func Row(row, hash int64) int64 { return pghash.Int4Extended(0, uint64(row^hash)) }

// An Accumulator adds up the rows of a table, value by value. It stays with one
// goroutine; the sums of several are put together with Merge.
type Accumulator struct {
	names   []string
	columns []column
	next    int   // index of the column of the next value
	row     int64 // hash of the values before it
	rows    int64
	rowSum  Sum
}

type column struct {
	values int64
	sum    Sum
}

// NewAccumulator returns an Accumulator of rows with columns of these names, in
// this order. The hash of a row depends on the order.
func NewAccumulator(names []string) *Accumulator {
	return &Accumulator{names: names, columns: make([]column, len(names))}
}

// Value adds the row's next value, as the server writes it: value::text.
func (a *Accumulator) Value(text []byte) { a.Hash(pghash.Text(text)) }

// Hash adds the row's next value, of which the hash is known.
func (a *Accumulator) Hash(hash int64) {
	c := &a.columns[a.next]
	c.values++
	c.sum.Add(hash)
	a.row = Row(a.row, hash)
	a.next++
}

// Null adds NULL as the row's next value.
func (a *Accumulator) Null() {
	a.row = Row(a.row, Null)
	a.next++
}

// EndRow ends the row, which must have a value for each column, and returns its
// hash.
func (a *Accumulator) EndRow() (row int64) {
	if a.next != len(a.columns) {
		panic("checksum: a row has fewer values than the table has columns")
	}
	row = a.row
	a.rowSum.Add(row)
	a.rows++
	a.row, a.next = 0, 0
	return row
}

// Merge adds the rows of b, which has the same columns.
func (a *Accumulator) Merge(b *Accumulator) {
	a.rows += b.rows
	a.rowSum.Merge(b.rowSum)
	for i := range b.columns {
		a.columns[i].values += b.columns[i].values
		a.columns[i].sum.Merge(b.columns[i].sum)
	}
}

// Table returns the checksums of the rows so far.
func (a *Accumulator) Table() Table {
	t := Table{Rows: a.rows, RowSum: a.rowSum, Columns: make([]Column, len(a.columns))}
	for i, c := range a.columns {
		t.Columns[i] = Column{Name: a.names[i], Values: c.values, Sum: c.sum}
	}
	return t
}

// A Table has the checksums of a table, or of a part of its rows.
type Table struct {
	Rows    int64    `json:"rows"`
	RowSum  Sum      `json:"row_sum"`
	Columns []Column `json:"columns"` // in the order in which rows were hashed
}

// Equal reports whether t and o are checksums of the same columns, and the same.
func (t Table) Equal(o Table) bool {
	return t.Rows == o.Rows && t.RowSum == o.RowSum && slices.Equal(t.Columns, o.Columns)
}

// Merge adds the rows of o, and reports whether it has the same columns; if it has
// not, t is left as it is.
func (t *Table) Merge(o Table) bool {
	if !slices.EqualFunc(t.Columns, o.Columns, func(a, b Column) bool { return a.Name == b.Name }) {
		return false
	}
	t.Rows += o.Rows
	t.RowSum.Merge(o.RowSum)
	t.Columns = slices.Clone(t.Columns)
	for i := range o.Columns {
		t.Columns[i].Values += o.Columns[i].Values
		t.Columns[i].Sum.Merge(o.Columns[i].Sum)
	}
	return true
}

// A Column has the checksum of a column.
type Column struct {
	Name   string `json:"name"`
	Values int64  `json:"values"` // that are not NULL
	Sum    Sum    `json:"sum"`
}
