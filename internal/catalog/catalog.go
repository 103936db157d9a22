// Package catalog says what a table, a role's rights and a server are, as the
// server's own catalog has it. It only reads, needs one round trip for each
// question, and knows no table by name. All of it works on plain PostgreSQL 13
// and later, and on any node of a Citus cluster; what Citus adds to a table is
// not its business.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// A Table is a relation that Lookup found. It need not be a table: Kind says
// what it is, and Loadable whether rows can be copied into it.
type Table struct {
	OID    uint32
	Schema string
	Name   string

	// Kind is pg_class.relkind: 'r' for a table, 'p' for a partitioned one, 'v'
	// for a view and so on.
	Kind byte

	// Persistence is pg_class.relpersistence: 'p' permanent, 'u' unlogged, 't'
	// temporary.
	Persistence byte

	// Columns has the columns in the table's order, without dropped ones.
	Columns []Column

	// PrimaryKey has the names of the key's columns in the order of its index.
	// It is nil without a primary key.
	PrimaryKey []string

	// Keys has what ON CONFLICT can name, the primary key first: unique constraints
	// and indexes that hold at once and for all rows, of columns alone.
	Keys []Key

	// Checks has the CHECK constraints. BeforeInsert tells that triggers, of the table
	// or of a partition, may change a row before they are checked, or drop it.
	Checks       []Check
	BeforeInsert bool

	// RelFileNode changes when the table is truncated or rewritten here. It is 0
	// for what has no storage of its own, such as a partitioned table.
	RelFileNode uint32

	// Files has the file of each table that has the rows, by its OID: of the table
	// itself, or of its partitions.
	Files map[uint32]uint32

	// RowSecurity tells that row security policies apply to the current role:
	// COPY then refuses the table.
	RowSecurity bool

	// EstimatedRows is the planner's estimate, -1 if the table has never been
	// analyzed (before PostgreSQL 14: 0). On a Citus coordinator it says nothing about the shards.
	EstimatedRows int64
}

// A Key is columns whose values together are those of one row at most.
type Key struct {
	Columns []string // in the order of the index
	Primary bool
	// NullsDistinct tells that rows with a NULL in one of the columns are alike to
	// no other.
	NullsDistinct bool
	// Equal has for each column the operator by which the index tells that keys are
	// alike, with its schema, as a statement has it.
	Equal []string
}

// A Check is a CHECK constraint of a Table.
type Check struct {
	Name    string
	Columns []string // that it looks at
	SQL     string   // from the word CHECK on
}

// A Column is a column of a Table.
type Column struct {
	Name string
	Num  int16 // pg_attribute.attnum; dropped columns leave gaps

	// Type is the declared type as SQL writes it: "character varying(20)[]". It
	// is qualified with its schema unless it is the server's own.
	Type    string
	TypeOID uint32 // of the declared type, which may be a domain

	// BaseOID is the type below all domains, TypeOID if it is no domain. TypMod
	// is the base type's modifier, -1 for none.
	BaseOID uint32
	TypMod  int32

	// BareType is the base type without its modifier, as any statement may name it:
	// pg_catalog.bpchar.
	BareType string

	// ElemOID is the element type if BaseOID is an array type, else 0. It may be
	// a domain.
	ElemOID uint32

	// NotNull is the column's own constraint. A domain may refuse NULL as well.
	NotNull bool

	// Default is the SQL expression that fills the column where it is left out,
	// "" if that is NULL. A domain's default counts. It is "" for identity and
	// generated columns.
	Default string

	Identity  byte // pg_attribute.attidentity: 'a' always, 'd' by default, 0 for none
	Generated bool // computed from other columns; COPY cannot name it

	// Collation is the column's collation as SQL writes it, "" if it is that of
	// its type.
	Collation string

	// CastsText tells that a cast from text to the base type calls a function of its own,
	// which is not the one by which the type reads text.
	CastsText bool

	// UsesSequence tells that a sequence fills the column where it is left out:
	// it is an identity column or its default calls nextval. The shards of a
	// Citus table do not do that.
	UsesSequence bool
}

// Required reports whether every row must have a value for c.
func (c *Column) Required() bool {
	return c.NotNull && c.Default == "" && c.Identity == 0 && !c.Generated
}

// SQL returns the table's name for use in a statement: quoted and qualified with
// its schema.
func (t *Table) SQL() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// String returns the table's name as people read it: with its schema, and in quotes where it needs
// them.
func (t *Table) String() string { return server.Shown(t.Schema, t.Name) }

// Column returns the column of that exact name, or nil.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// CopyColumns returns the columns of a record without a header: all that COPY takes, in
// the table's order.
func (t *Table) CopyColumns() []*Column {
	var columns []*Column
	for i := range t.Columns {
		if !t.Columns[i].Generated {
			columns = append(columns, &t.Columns[i])
		}
	}
	return columns
}

// Near returns the column that name may mean, blanks and case apart, "" for none.
func (t *Table) Near(name string) string {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, strings.TrimSpace(name)) {
			return t.Columns[i].Name
		}
	}
	return ""
}

// LooksLikeHeader reports whether the values of a record seem to name columns: one of
// them does, or nearly; or, where records hardly ever are a header, every one.
func (t *Table) LooksLikeHeader(values []string, every bool) bool {
	named := func(v string) bool { return t.Near(v) != "" }
	if every {
		return !slices.ContainsFunc(values, func(v string) bool { return !named(v) })
	}
	return slices.ContainsFunc(values, named)
}

// ColumnNames returns the names of all columns in the table's order.
func (t *Table) ColumnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// KindName returns what t is in words: "table", "materialized view".
func (t *Table) KindName() string {
	switch t.Kind {
	case 'r':
		return "table"
	case 'p':
		return "partitioned table"
	case 'v':
		return "view"
	case 'm':
		return "materialized view"
	case 'S':
		return "sequence"
	case 'f':
		return "foreign table"
	case 'i', 'I':
		return "index"
	case 'c':
		return "composite type"
	case 't':
		return "TOAST table"
	}
	return fmt.Sprintf("relation of kind %q", t.Kind)
}

// Loadable returns an error that says why several connections cannot copy rows
// into t, or nil if its kind allows it. It does not look at rights.
func (t *Table) Loadable() error {
	switch {
	case t.Kind != 'r' && t.Kind != 'p':
		return fmt.Errorf("%s is no table but of kind %s: only tables can be loaded", t, t.KindName())
	case t.Persistence == 't':
		return fmt.Errorf("%s is a temporary table: other connections cannot see it", t)
	case len(t.Columns) == 0:
		return fmt.Errorf("%s has no columns", t)
	}
	return nil
}
