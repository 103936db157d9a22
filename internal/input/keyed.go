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

// KeyFields returns how values of columns are written.
func KeyFields(columns []*catalog.Column) []pgjson.Field {
	fields := make([]pgjson.Field, len(columns))
	for i, c := range columns {
		fields[i] = pgjson.Field{Name: c.Name, Kind: kindOf(c.BaseOID)}
		if c.ElemOID == 0 {
			continue
		}
		fields[i].Kind, fields[i].Element, fields[i].Delimiter = pgjson.List, kindOf(c.ElemOID), ','
		if c.ElemOID == pgtype.BoxOID {
			fields[i].Delimiter = ';' // the only such type of PostgreSQL's own
		}
	}
	return fields
}

// kindOf returns how values of a type are written that is no array.
func kindOf(oid uint32) pgjson.Kind {
	if oid == pgtype.JSONOID || oid == pgtype.JSONBOID {
		return pgjson.JSON
	}
	return pgjson.Scalar
}
