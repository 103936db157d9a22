package stage

import (
	"encoding/hex"
	"slices"
	"strings"

	"shardload/internal/catalog"
	"shardload/internal/server"
)

// row is what statements call a row of the table. No name of the user's is looked up in it:
// the fields are nearer.
const row = `"shardload row"`

// A Range is rows of a table that follow each other, by their ctids: from From on, and before
// To; "" for the first, and for the end.
type Range struct{ From, To string }

// sql returns the condition of the rows in r, "" for all.
func (r Range) sql() string {
	var all []string
	if r.From != "" {
		all = append(all, row+".ctid OPERATOR(pg_catalog.>=) '"+r.From+"'::pg_catalog.tid")
	}
	if r.To != "" {
		all = append(all, row+".ctid OPERATOR(pg_catalog.<) '"+r.To+"'::pg_catalog.tid")
	}
	return strings.Join(all, " AND ")
}

// Nothing is a range without rows.
var Nothing = Range{From: "(0,0)", To: "(0,0)"}

// Source returns what stands after FROM for the rows of r as the target wants them: a column
// of its name for each of Loaded, assignable to it, and ctid, which numbers them. Rows that
// the condition leaves out must be gone: see FilterSQL. Under the role's search path it is
// looked up what the user names, and nothing else.
func (t *Table) Source(r Range) string {
	return t.source(r.sql(), nil, false)
}

// source returns what Source does, for the rows for which a condition holds, and the columns
// at these indexes of Loaded, nil for all; with filter without those that are left out.
func (t *Table) source(where string, of []int, filter bool) string {
	if of == nil {
		for i := range t.Loaded {
			of = append(of, i)
		}
	}
	items, values := []int{}, []string{row + ".ctid"}
	for _, i := range of {
		c := t.Loaded[i]
		if t.decides != nil && c.Name == t.decides.Name {
			values = append(values, row+"."+quote(c.Name))
			continue
		}
		items = append(items, i)
		values = append(values, t.value(c)+" AS "+quote(c.Name))
	}
	sql := "(SELECT " + strings.Join(values, ", ") + " FROM " + t.SQL() + " AS " + row +
		" CROSS JOIN LATERAL (" + t.plan.SQL(t.fields(), items, "", filter) + ") AS q"
	if where != "" {
		sql += " WHERE " + where
	}
	return sql + ")"
}

// value returns the value of a column of the target among those that the list gives. Where
// rows are compared by it, it is what will be stored.
func (t *Table) value(c *catalog.Column) string {
	v := "q." + quote(c.Name)
	if !slices.Contains(t.keys, c.Name) {
		return v
	}
	v = c.StoredSQL(v)
	if c.Collation != "" {
		v += " COLLATE " + c.Collation
	}
	return v
}

// fields returns the relation of the fields of a row: a column for each of plan.Staging.
func (t *Table) fields() string {
	values := make([]string, len(t.plan.Staging))
	for i := range t.plan.Staging {
		s := &t.plan.Staging[i]
		value := "NULL::" + s.TypeSQL()
		if t.isFile(i) {
			value = Text(t.file)
		} else if at := slices.IndexFunc(t.Columns, func(c Column) bool { return c.From == i }); at >= 0 {
			value = row + "." + quote(t.Columns[at].Name)
		}
		values[i] = value + " AS " + quote(s.Name)
	}
	return "(SELECT " + strings.Join(values, ", ") + ")"
}

// Text returns a text as a statement has it, whatever the encodings of client and server.
func Text(s string) string {
	if isASCII(s) {
		return server.Literal(s) + "::pg_catalog.text"
	}
	return "pg_catalog.convert_from('\\x" + hex.EncodeToString([]byte(s)) + "'::pg_catalog.bytea, 'UTF8')"
}

// FilterSQL returns the statement that drops the rows of r which the condition leaves out.
// It has them evaluated once and for all: what is left can be counted.
func (t *Table) FilterSQL(r Range) string {
	out := "NOT EXISTS (" + t.plan.SQL(t.fields(), []int{}, "", true) + ")"
	if t.decides != nil { // which was not evaluated of a record that the condition leaves out
		out = "(" + server.IsNull(row+"."+quote(t.decides.Name)) + " OR " + out + ")"
	}
	sql := "DELETE FROM " + t.SQL() + " AS " + row + " WHERE " + out
	if where := r.sql(); where != "" {
		sql += " AND " + where
	}
	return sql
}

// RowsSQL returns the query for the ctids of all rows, in the order in which they came.
func (t *Table) RowsSQL() string {
	return "SELECT " + row + ".ctid FROM " + t.SQL() + " AS " + row + " ORDER BY 1"
}

// DropSQL returns the statement that drops rows by their ctids.
func (t *Table) DropSQL(ctids []string) string {
	return "DELETE FROM " + t.SQL() + " AS " + row + " WHERE " + row + `.ctid OPERATOR(pg_catalog.=) ANY ('{"` + strings.Join(ctids, `","`) + `"}'::pg_catalog.tid[])`
}
