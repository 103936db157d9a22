package infer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"
)

// longestName is the length in bytes beyond which PostgreSQL cuts a name off.
const longestName = 63

// maxColumns is how many columns a table can have.
const maxColumns = 1600

// Name returns a name as SQL writes it: in quotes where it needs them.
func Name(name string) string {
	plain := func(i int, c rune) bool { return c == '_' || 'a' <= c && c <= 'z' || i > 0 && '0' <= c && c <= '9' }
	for i, c := range name {
		if !plain(i, c) {
			return pgx.Identifier{name}.Sanitize()
		}
	}
	if _, reserved := slices.BinarySearch(keywords, name); reserved || name == "" {
		return pgx.Identifier{name}.Sanitize()
	}
	return name
}

// systemColumns are names that each table has for columns of its own.
var systemColumns = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// CheckNames returns what is wrong with the names of a table's columns.
func CheckNames(names []string) error {
	if len(names) > maxColumns {
		return fmt.Errorf("has %d columns, and a table can have %d", len(names), maxColumns)
	}
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		switch {
		case name == "":
			return fmt.Errorf("column %d of %d has no name", i+1, len(names))
		case seen[name]:
			return fmt.Errorf("column %q: is named twice in the header", name)
		case len(name) > longestName:
			return fmt.Errorf("column %q: the name is longer than %d bytes, and PostgreSQL would cut it off", Shortened(name), longestName)
		case slices.Contains(systemColumns, name):
			return fmt.Errorf("column %q: each table has a column of that name already", name)
		case strings.ContainsRune(name, 0):
			return errors.New("a column's name holds a zero byte")
		}
		seen[name] = true
	}
	return nil
}

// Shortened returns a name as errors have it: what is taken for one may be any text.
func Shortened(name string) string {
	const most = 100 // bytes
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// Numbered returns names for n columns that have none: c1, c2, and so on.
func Numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i+1)
	}
	return names
}

// LooksLikeHeader reports whether a first record may name columns: all of its fields that
// are not empty are texts with a letter in them. They need not be names that columns can have: a
// header with such a name is no record either, and CheckNames says what is wrong with it.
func LooksLikeHeader(fields []string) bool {
	scratch := make([]byte, 0, 64)
	return !slices.ContainsFunc(fields, func(v string) bool {
		typed := kindOf([]byte(v), scratch)&^(aText|aBoolean|aWord) != 0
		return v != "" && (typed || !strings.ContainsFunc(v, isLetter))
	}) && strings.Join(fields, "") != ""
}

// isLetter takes whatever is not ASCII for a letter: the encoding may be any.
func isLetter(c rune) bool { return c >= 0x80 || unicode.IsLetter(c) }

// keywords are those of SQL that cannot everywhere be a name without quotes, of PostgreSQL
// 14 to 18: pg_get_keywords() has them, in all categories but U.
var keywords = strings.Fields(`
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char
character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do
else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in
initially inner inout int integer intersect interval into is isnull join json json_array json_arrayagg json_exists
json_object json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading least left like
limit localtime localtimestamp merge_action national natural nchar none normalize not notnull null nullif numeric offset on
only or order out outer overlaps overlay placing position precision primary real references returning right row select
session_user setof similar smallint some substring symmetric system_user table tablesample then time timestamp to trailing
treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`)
