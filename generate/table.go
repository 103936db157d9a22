package generate

import (
	"fmt"

	"shardload/schema"
)

// A kind is one of the dataset's tables.
type kind int

const (
	companies kind = iota
	campaigns
	ads
	kinds
)

func (k kind) String() string { return schema.Tables()[k].Name }

// A Table is one table of a Dataset or a part of it: a sequence of blocks, each a
// pure function of its number. It may be used by several goroutines at once.
type Table struct {
	d     *Dataset
	kind  kind
	order order
	lo    int64 // the first block
	hi    int64 // and the one behind the last
}

// Table returns the table of that name.
func (d *Dataset) Table(name string) (*Table, error) {
	for k := range kinds {
		if k.String() == name {
			return d.table(k), nil
		}
	}
	return nil, fmt.Errorf("table %q: the dataset has %s, %s and %s", name, companies, campaigns, ads)
}

func (d *Dataset) table(k kind) *Table {
	o := newOrder(d.counts()[k])
	return &Table{d: d, kind: k, order: o, hi: o.blocks()}
}

// Part returns the i-th of n pieces of t, counted from 1. The pieces in order are
// t, and differ by at most one block. There is no row in a piece that is not one
// of 1 to n.
func (t *Table) Part(i, n int) *Table {
	part := *t
	if i < 1 || i > n {
		part.hi = part.lo
		return &part
	}
	whole, rest := t.Len()/int64(n), t.Len()%int64(n)
	before := int64(i - 1)
	part.lo = t.lo + before*whole + min(before, rest)
	part.hi = part.lo + whole
	if before < rest {
		part.hi++
	}
	return &part
}

// Name returns the table's name.
func (t *Table) Name() string { return t.kind.String() }

// Header returns the names of the columns, in order.
func (t *Table) Header() []string { return schema.Tables()[t.kind].ColumnNames() }

// Len returns the number of blocks.
func (t *Table) Len() int64 { return t.hi - t.lo }

// Rows returns the number of rows.
func (t *Table) Rows() int64 { return t.order.rowsBefore(t.hi) - t.order.rowsBefore(t.lo) }

// Stored returns how many of the rows a server with the dataset's tables stores:
// all, but those that are damaged and not just orphans. For a dirty dataset it looks
// at every row.
func (t *Table) Stored() int64 {
	rows := t.Rows()
	if !t.d.flaws.any() {
		return rows
	}
	t.each(func(c *cursor) bool {
		if f := t.d.flaws.of(t.kind, c); f != nil && f.damage.Refused() {
			rows--
		}
		return true
	})
	return rows
}

// BlockRows returns the number of rows of block i.
func (t *Table) BlockRows(i int64) int64 {
	if i < 0 || i >= t.Len() {
		return 0
	}
	return t.order.rowsBefore(t.lo+i+1) - t.order.rowsBefore(t.lo+i)
}

// AppendBlock appends the rows of block i as CSV records, without a header. There
// are none in a block that is not one of 0 to Len()-1.
func (t *Table) AppendBlock(dst []byte, i int64) []byte {
	p := printer{t: t, form: &t.d.dialects[CSV]}
	return p.appendBlock(dst, i)
}

// each calls visit for each row until it returns false.
func (t *Table) each(visit func(*cursor) bool) {
	var b block
	for i := range t.Len() {
		b.open(t, i)
		for c := b.next(); c != nil; c = b.next() {
			if !visit(c) {
				return
			}
		}
	}
}
