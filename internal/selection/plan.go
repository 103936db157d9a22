package selection

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
)

// The columns of a staging table beside the input's fields, by the names that a list has
// for them. The table has one only if the list or the condition asks for it.
const (
	File   = "_file"   // text: the input, as errors call it
	Line   = "_line"   // bigint: the line on which the record begins, from 1
	Record = "_record" // jsonb: the whole record, of inputs in JSON alone
)

// Place is the name of the last column of Plan.SQL, if one is asked for.
const Place = "shardload_place"

// Input is the name by which a list, a condition, and the place of Plan.SQL may call the row
// of fields.
const Input = "input"

// SettingsSQL is the settings under which a list is read alike on all nodes, as statements
// for a transaction in which Plan.SQL is to be run.
const SettingsSQL = "SET LOCAL standard_conforming_strings = on; SET LOCAL transform_null_equals = off"

// A Plan is what the server says of a list and a condition: where the value of each
// column comes from. It never changes once it is made.
type Plan struct {
	List  string // as given; "" means that every field is a column of its name
	Where string // as given; "" for none

	// Fields are the names of the input's fields, in the order of a record. They are all
	// different.
	Fields []string

	// Items has one for each column of the target that is loaded, in the order of COPY's
	// list.
	Items []Item

	// Staged tells that an item or the condition is evaluated by the server: rows pass
	// through a staging table. Otherwise every item is a field, a constant, or a field
	// with texts that are NULL, and is read here.
	Staged bool

	// Because is the first item or condition for which Staged is true, as the server
	// writes it: to_date(day, 'DD/MM/YYYY'::text). "" if it is false.
	Because string

	// Staging has the columns of the staging table, if Staged: all fields in their order,
	// then those of File, Line and Record that are asked for. A relation that Plan.SQL reads
	// from must have these and no others, in this order.
	Staging []StagingColumn

	outputs []output // of the list, in its order, as `*` stands in it
}

// An Item is a column of the target, and where its value comes from.
type Item struct {
	Column string // of the target

	// Field is the index in Plan.Fields of the field that is the value, -1 for none.
	Field int

	// Const is the value in every row, as COPY reads it, in the input's encoding, nil for NULL, where Field is -1
	// and Expr false.
	Const *string

	// Beside is File, Line or Record if the value is that one; then Field is -1. Of File,
	// Const is the value.
	Beside string

	// NullIf has texts of the field, in the input's encoding, that are NULL: those of
	// nullif(field, text).
	NullIf []string

	// Expr tells that the server evaluates it, while a row passes through the staging
	// table. A Plan that is staged may have items that are none.
	Expr bool

	// Needs has the indexes, rising, in Plan.Staging of the columns that the item refers
	// to. nil for a constant.
	Needs []int

	// Clock tells of an expression that reads a date or time from a text: "now" in a field
	// is then another one at each moment.
	Clock bool

	// Wavers tells of an expression that may give another value of the same fields later, as
	// now() and random() do.
	Wavers bool
}

// Plain reports whether the values of a row are the fields of its record, in their order.
func (p *Plan) Plain() bool {
	if p.Staged || len(p.Items) != len(p.Fields) {
		return false
	}
	for i, item := range p.Items {
		if item.Field != i || item.NullIf != nil {
			return false
		}
	}
	return true
}

// FieldColumns returns for each field a column of its name: of the type of that into which it goes
// as it stands, and nothing else is made of it; or, where text says so, of text. It
// says which of them neither an item nor the condition refers to.
func (p *Plan) FieldColumns() (columns []*catalog.Column, text, unused []bool) {
	for i, name := range p.Fields {
		c, target := catalog.Column{Type: "text", TypeOID: pgtype.TextOID, BaseOID: pgtype.TextOID, TypMod: -1}, p.Staging[i].Target
		if target != nil {
			c = *target
		}
		c.Name = name
		columns, text, unused = append(columns, &c), append(text, target == nil), append(unused, !p.Staging[i].Used)
	}
	return columns, text, unused
}

// UsesFile reports whether the input's name is in a value, or decides about one.
func (p *Plan) UsesFile() bool {
	return slices.ContainsFunc(p.Staging, func(c StagingColumn) bool { return c.Name == File })
}

// A StagingColumn is a column of the staging table.
type StagingColumn struct {
	Name string

	// Target is the column of the target whose value it is as it stands: the staging
	// column has its type, so that COPY refuses what it cannot be. Nil if it is text (of
	// File, Line and Record: what their comments say).
	Target *catalog.Column

	// Used tells that an item or the condition refers to it. One that is not may be NULL
	// in each row.
	Used bool
}

// TypeSQL returns the column's type as a statement has it.
func (c *StagingColumn) TypeSQL() string {
	switch {
	case c.Target != nil:
		return c.Target.TypeSQL()
	case c.Name == Line:
		return "bigint"
	case c.Name == Record:
		return "pg_catalog.jsonb"
	}
	return "pg_catalog.text"
}

// An output is a column of what the list gives.
type output struct {
	item int  // whose value it is, -1 for a column of `*` that goes
	text bool // it is text, and has to be cast to the column's type
	// column is the target's; nil with item -1.
	column *catalog.Column
}

// SQL returns the query for the items at these indexes, nil for all of them, over a
// relation with the columns of Staging. Its columns are called as the target's, and of
// types that can be assigned to them: of a text the type of the column without its length,
// so that what is too long is refused and not cut. They come in the order of items.
//
// A place, an expression over Input such as input.ctid, is one more column, the last one,
// called Place; "" for none. With filter only rows that meet the condition are returned.
// It is to be run under the search path of the role, and SettingsSQL.
func (p *Plan) SQL(from string, items []int, place string, filter bool) string {
	return p.source("", from, items, place, filter).sql
}

// source returns the query of SQL after a statement's beginning.
func (p *Plan) source(begin, from string, items []int, place string, filter bool) *source {
	if items == nil {
		for i := range p.Items {
			items = append(items, i)
		}
	}
	names := make([]string, len(p.outputs))
	values := make([]string, len(items))
	for n, out := range p.outputs {
		names[n] = fmt.Sprintf("c%d", n+1)
		if i := slices.Index(items, out.item); i >= 0 {
			values[i] = out.sql("q."+names[n]) + " AS " + quoted(out.column.Name)
		}
	}
	if place != "" {
		names = append(names, Place)
		values = append(values, "q."+Place)
		place = ", " + place
	}
	where := ""
	if filter {
		where = p.Where
	}
	return newSource(begin, strings.Join(values, ", "), p.List, where, place, from, names, true)
}

// sql returns the value of a column of the list.
func (o *output) sql(value string) string {
	if !o.text {
		return value
	}
	return o.column.BareSQL(value)
}
