package infer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"shardload/internal/server"
)

// longestName is the length in bytes beyond which PostgreSQL cuts a name off.
const longestName = 63

// maxColumns is how many columns a table can have.
const maxColumns = 1600

// Name returns a name as SQL writes it: in quotes where it needs them.
func Name(name string) string { return server.Shown(name) }

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
