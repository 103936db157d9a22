package provision

import (
	"fmt"
	"slices"
	"strings"

	"shardload/internal/catalog"
	"shardload/schema"
)

// A ShapeError tells that there is a relation with the name of one of the
// dataset's tables which is not that table, or not distributed like it.
type ShapeError struct {
	Table       string   // quoted, with its schema
	Differences []string // at least one
	Remedy      string   // what to do about it
}

// maxDifferences is how many of the differences an error spells out.
const maxDifferences = 3

func (e *ShapeError) Error() string {
	shown := e.Differences[:min(len(e.Differences), maxDifferences)]
	msg := e.Table + " is not as the dataset's table: " + strings.Join(shown, "; ")
	if more := len(e.Differences) - len(shown); more > 0 {
		msg += fmt.Sprintf("; and %d more", more)
	}
	return msg + ": " + e.Remedy
}

// wider has for a type of the dataset the one that takes all its values, too: so the
// tables of the tutorial as it is published on the web will do, which have bigint ids.
var wider = map[string]string{
	"integer":             "bigint",
	"character varying[]": "text[]",
}

// checkShape returns a *ShapeError if have does not take all rows that want describes,
// as they are. It does not look at the distribution. An unlogged table will do, and so
// will wider types and columns that may be NULL.
func checkShape(want *schema.Table, have *catalog.Table) error {
	diffs := shapeDifferences(want, have)
	if len(diffs) == 0 {
		return nil
	}
	return &ShapeError{
		Table:       have.String(),
		Differences: diffs,
		Remedy:      "rename or drop it, or set search_path to another schema",
	}
}

func shapeDifferences(want *schema.Table, have *catalog.Table) []string {
	if have.Kind != 'r' {
		return []string{"it is a " + have.KindName()} // its columns do not matter then
	}
	var diffs []string
	if have.Persistence == 't' {
		diffs = append(diffs, "it is a temporary table")
	}
	diffs = append(diffs, columnSetDifferences(want, have)...)
	for _, w := range want.Columns {
		if h := have.Column(w.Name); h != nil {
			diffs = append(diffs, columnDifferences(w, *h)...)
		}
	}
	if !slices.Equal(want.PrimaryKey, have.PrimaryKey) {
		diffs = append(diffs, fmt.Sprintf("its primary key is %s, not %s", keyText(have.PrimaryKey), keyText(want.PrimaryKey)))
	}
	return diffs
}

// columnSetDifferences compares which columns there are and, if they are the
// same ones, their order: COPY without a column list relies on it.
func columnSetDifferences(want *schema.Table, have *catalog.Table) []string {
	var diffs []string
	names := want.ColumnNames()
	for _, name := range names {
		if have.Column(name) == nil {
			diffs = append(diffs, "it has no column "+name)
		}
	}
	for _, c := range have.Columns {
		if !slices.Contains(names, c.Name) {
			diffs = append(diffs, fmt.Sprintf("it has a column %s", c.Name))
		}
	}
	if len(diffs) == 0 && !slices.Equal(names, have.ColumnNames()) {
		diffs = append(diffs, "the order of its columns is "+strings.Join(have.ColumnNames(), ", "))
	}
	return diffs
}

func columnDifferences(want schema.Column, have catalog.Column) []string {
	var diffs []string
	differ := func(format string, args ...any) {
		diffs = append(diffs, fmt.Sprintf("column "+want.Name+" "+format, args...))
	}
	if have.Type != want.Type && wider[want.Type] != have.Type {
		differ("is %s, not %s", have.Type, want.Type)
	}
	switch {
	case have.NotNull && !want.NotNull:
		differ("is NOT NULL")
	}
	switch {
	case have.Identity != 0:
		differ("is an identity column")
	case have.Generated:
		differ("is a generated column")
	case have.Default != want.Default && want.Default == "":
		differ("has the default %s", have.Default)
	case have.Default != want.Default && have.Default == "":
		differ("has no default, not %s", want.Default)
	case have.Default != want.Default:
		differ("has the default %s, not %s", have.Default, want.Default)
	}
	return diffs
}

func keyText(columns []string) string {
	if len(columns) == 0 {
		return "missing"
	}
	return "(" + strings.Join(columns, ", ") + ")"
}
