package input

import (
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/pgjson"
)

// KeyedColumns returns the columns of t that are loaded of a Keyed whose first records have
// these keys, in the order of the table: those that a key names, and those that become NULL
// where they are left out, so that later records may name them. A column with a default keeps
// it, and is none of them.
func KeyedColumns(t *catalog.Table, keys []string) (columns []*catalog.Column) {
	for _, c := range t.CopyColumns() {
		if slices.Contains(keys, c.Name) || c.Default == "" && c.Identity == 0 {
			columns = append(columns, c)
		}
	}
	return columns
}

// Keys returns the keys that records of a Keyed may have, of which the first ones have these: later
// ones may have those of columns, too.
func Keys(t *catalog.Table, keys []string) []string {
	keys = slices.Clone(keys)
	for _, c := range KeyedColumns(t, keys) {
		if !slices.Contains(keys, c.Name) {
			keys = append(keys, c.Name)
		}
	}
	return keys
}

// ChosenFields returns how values of columns are written; those that text says are texts, whatever
// becomes of them. A field that is unused is a text like others: a record is read as a whole.
func ChosenFields(columns []*catalog.Column, text, _ []bool) []pgjson.Field {
	fields := KeyFields(columns)
	for i := range fields {
		if text[i] {
			fields[i].Kind = pgjson.Text
		}
	}
	return fields
}

// KeyFields returns how values of columns are written.
func KeyFields(columns []*catalog.Column) []pgjson.Field {
	fields := make([]pgjson.Field, len(columns))
	for i, c := range columns {
		fields[i] = KeyField(c.Name, c)
	}
	return fields
}

// NewFields returns how values are written for columns that are made for these keys: those that
// nested has as JSON, all others as texts.
func NewFields(keys []string, nested map[string]bool) []pgjson.Field {
	fields := make([]pgjson.Field, len(keys))
	for i, key := range keys {
		fields[i] = KeyField(key, nil)
		if nested[key] {
			fields[i].Kind = pgjson.JSON
		}
	}
	return fields
}

// KeyField returns how the value of a key is written that goes into column c as it is; nil says
// that it is a text, whatever becomes of that.
func KeyField(key string, c *catalog.Column) pgjson.Field {
	switch {
	case c == nil:
		return pgjson.Field{Name: key, Kind: pgjson.Text}
	case c.ElemOID == 0:
		return pgjson.Field{Name: key, Kind: kindOf(c.BaseOID)}
	}
	f := pgjson.Field{Name: key, Kind: pgjson.List, Element: kindOf(c.ElemOID), Delimiter: ','}
	if c.ElemOID == pgtype.BoxOID {
		f.Delimiter = ';' // the only such type of PostgreSQL's own
	}
	return f
}

// kindOf returns how values of a type are written that is no array.
func kindOf(oid uint32) pgjson.Kind {
	if oid == pgtype.JSONOID || oid == pgtype.JSONBOID {
		return pgjson.JSON
	}
	return pgjson.Scalar
}
