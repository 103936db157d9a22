package parquettext

import (
	"errors"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/fault"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// As says for which kind of column a value is written.
type As byte

// The kinds of columns. Those of which it makes no difference are AsValue.
const (
	AsValue   As = iota
	AsBytea      // bytea: bytes of which nothing is known are written in hexadecimal
	AsZoned      // timestamptz, timetz: times in UTC say so
	AsUUID       // uuid: sixteen bytes of which nothing is known are one
	AsJSON       // json, jsonb
	AsArray      // an array of any kind
	AsAny        // nobody knows: lists of values are arrays, and what else is nested is JSON
	AsNothing    // nobody reads it: it is NULL in each row, whatever the column holds
)

// A Field is a column of a file as a field of the records.
type Field struct {
	Name string // of the column of the file
	As   As
	// Element is how an element is written, of an AsArray.
	Element As
	// Type is what the column it goes to is called, for errors.
	Type string
}

// A cell writes one field of a row.
type cell struct {
	node   *node
	as     As
	name   string
	writer writer // of a flat column
	plain  bool
	isText bool // writer is utf8Text
	nested bool
	elem   As
	leaves int // of the column

	encode     encoder        // of a flat column, nil if rows have no binary form
	encodeText pgcopy.Encoder // of the text of a nested one
}

// cellOf returns the cell of a field.
func (f *File) cellOf(field Field) (cell, error) {
	for _, n := range f.columns {
		if n.name == field.Name && field.As == AsNothing {
			return cell{node: n, as: AsNothing, name: n.name}, nil
		}
		if n.name == field.Name {
			c := cell{node: n, as: field.As, name: n.name, elem: field.Element, leaves: len(n.leaves)}
			return c, c.prepare(field)
		}
	}
	return cell{}, fmt.Errorf("column %q: is not in the file", field.Name)
}

func (c *cell) prepare(field Field) error {
	for _, l := range c.node.leaves {
		if l.values.refused != "" {
			return fault.Advise(fmt.Errorf("column %q: %s, which is not loaded", l.path, l.values.refused), "write the file anew without it")
		}
	}
	n := c.node
	if n.holdsVariant() {
		return fault.Advise(fmt.Errorf("column %q: holds values of the type VARIANT, which is not loaded", n.path), "write the file anew without it")
	}
	if n.leaf != nil && !n.repeated {
		c.writer, c.plain = n.leaf.values.as(c.as)
		c.isText = n.leaf.values.text != nil && n.leaf.values.document && !n.leaf.values.uuid && c.as != AsBytea && !n.leaf.isRaw()
		return nil
	}
	c.nested = true
	if c.as == AsAny {
		if c.as = AsJSON; n.isArray() {
			c.as = AsArray
		}
	}
	if c.as == AsJSON || c.as == AsArray && n.isArray() {
		return nil
	}
	place := "a json or jsonb column"
	if n.isArray() {
		place = "an array column, or " + place
	}
	return fault.Advise(fmt.Errorf("column %q: is %s in the file, and %s in the table; its place is %s", n.name, n.kindName(), field.Type, place),
		"load it into such a column, or write the file anew without it")
}

// holdsVariant reports whether n or what is in it is a VARIANT, the leaves of which mean nothing
// by themselves.
func (n *node) holdsVariant() bool {
	if _, ok := n.element.LogicalType.Value.(*format.VariantType); ok {
		return true
	}
	return slices.ContainsFunc(n.children, (*node).holdsVariant)
}

// isRaw reports whether nothing is known of the bytes of l.
func (l *leaf) isRaw() bool { return l.values.bytea != nil }

// isArray reports whether n is a list of values, or of such lists.
func (n *node) isArray() bool {
	_, element := n.list()
	switch {
	case element == nil:
		return false
	case element.leaf != nil:
		return true
	case element == n:
		return false
	}
	return element.isArray()
}

// A cursor goes over the entries of a leaf.
type cursor struct {
	leaf  *leaf
	pages []*page // after pg
	pg    *page   // nil behind the last entry
	i     int     // entry in pg
	v     int     // value in pg
}

// seek goes to the beginning of a row, which is in one of the pages.
func (c *cursor) seek(pages []*page, row int64) {
	for len(pages) > 0 && row >= pages[0].before+int64(pages[0].starts) {
		pages = pages[1:]
	}
	if len(pages) == 0 || row < pages[0].before {
		c.pg, c.pages = nil, nil
		return
	}
	c.pg, c.pages = pages[0], pages[1:]
	c.i = int(row - c.pg.before)
	if c.pg.reps != nil {
		left := c.i
		for c.i = 0; c.i < c.pg.n && (left > 0 || c.pg.reps[c.i] != 0); c.i++ {
			if c.pg.reps[c.i] == 0 {
				left--
			}
		}
	}
	c.v = c.i
	if c.pg.defs != nil {
		c.v = countOf(c.pg.defs[:c.i], c.leaf.def)
	}
	c.settle()
}

// settle goes to the next page at the end of one.
func (c *cursor) settle() {
	for c.pg != nil && c.i == c.pg.n {
		c.pg, c.i, c.v = nil, 0, 0
		if len(c.pages) > 0 {
			c.pg, c.pages = c.pages[0], c.pages[1:]
		}
	}
}

// def returns the level at which the entry is there.
func (c *cursor) def() byte {
	switch {
	case c.pg == nil:
		return 0
	case c.pg.defs == nil:
		return c.leaf.def
	}
	return c.pg.defs[c.i]
}

// rep returns the level at which the entry repeats, 0 if it begins a row, and behind the last
// one.
func (c *cursor) rep() byte {
	if c.pg == nil || c.pg.reps == nil {
		return 0
	}
	return c.pg.reps[c.i]
}

// value returns the value of the entry, which is there.
func (c *cursor) value() []byte { return c.pg.values.at(c.v) }

func (c *cursor) advance() {
	if c.pg == nil {
		return
	}
	if c.pg.defs == nil || c.pg.defs[c.i] == c.leaf.def {
		c.v++
	}
	c.i++
	c.settle()
}

// errRows is of columns that do not fit together.
var errRows = errors.New("its columns do not have the same rows and elements")

// append appends the field of the row on which the cursors stand, and goes on to the next.
// A fault is of the row alone.
func (c *cell) append(dst []byte, at []cursor, scratch *[]byte) (out []byte, bad, err error) {
	switch {
	case c.nested:
		return c.appendNested(dst, at, scratch)
	case c.as == AsNothing:
		return append(dst, '\\', 'N'), nil, nil
	}
	cur := &at[0]
	if cur.pg != nil && cur.i == cur.pg.n {
		cur.settle()
	}
	pg := cur.pg
	if pg == nil {
		return dst, nil, errRows
	}
	i, v := cur.i, cur.v
	cur.i++
	if pg.defs != nil && pg.defs[i] != cur.leaf.def {
		return append(dst, '\\', 'N'), nil, nil
	}
	cur.v++
	if d := pg.values.dict; d != nil && d.texts != nil {
		t := &d.texts[pg.values.index[v]]
		return append(dst, d.joined[t.start:t.end]...), t.err, nil
	}
	return c.appendValue(dst, pg.values.at(v), scratch)
}

// appendValue appends a value of a flat column as a field.
func (c *cell) appendValue(dst, v []byte, scratch *[]byte) (out []byte, bad, err error) {
	switch {
	case c.plain:
		out, bad = c.writer(dst, v)
		return out, bad, nil
	case c.isText && isPlain(v):
		return append(dst, v...), nil, nil
	}
	*scratch, bad = c.writer((*scratch)[:0], v)
	if bad != nil {
		*scratch = append((*scratch)[:0], v...)
	}
	return pgcsv.AppendText(dst, *scratch), bad, nil
}

// appendNested is append for a column that is nested.
func (c *cell) appendNested(dst []byte, at []cursor, scratch *[]byte) (out []byte, bad, err error) {
	null, bad, err := c.nestedText(at, scratch)
	if null {
		return append(dst, '\\', 'N'), nil, nil
	}
	return pgcsv.AppendText(dst, *scratch), bad, err
}

// nestedText makes scratch the text of the row on which the cursors stand, unless it is NULL.
func (c *cell) nestedText(at []cursor, scratch *[]byte) (null bool, bad, err error) {
	for i := range at {
		if at[i].pg == nil || at[i].rep() != 0 {
			return false, nil, errRows
		}
	}
	w := nesting{at: at, first: c.node.leaves[0].index, elem: c.elem}
	n := c.node
	if n.optional && at[0].def() < n.def {
		w.consume(n)
		return true, nil, nil
	}
	if c.as == AsArray {
		*scratch = w.array((*scratch)[:0], n)
	} else {
		*scratch = w.json((*scratch)[:0], n)
	}
	return false, w.bad, w.err
}
