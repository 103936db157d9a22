package pgcsv

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Nulls say which fields of a record are NULL.
type Nulls struct {
	Null string // what stands for it, unquoted
	// Force and ForceNot have for each field whether COPY's FORCE_NULL and FORCE_NOT_NULL are
	// said of it: the null string is NULL in quotes, too, or is none without them. They are nil
	// if nothing is said of any.
	Force, ForceNot []bool
	fields          []string // their names
}

// Named returns the names of those fields that have a flag.
func (n *Nulls) Named(flags []bool) (names []string) {
	for i, is := range flags {
		if is {
			names = append(names, n.fields[i])
		}
	}
	return names
}

// Some reports whether anything is said of a field.
func (n *Nulls) Some() bool { return n.Force != nil || n.ForceNot != nil }

// Is reports whether field i of record, which is f, is NULL.
func (n *Nulls) Is(i int, f Field, record []byte) bool {
	if !n.Some() {
		return f.IsNull(record, n.Null)
	}
	return n.is(i, f, record)
}

func (n *Nulls) is(i int, f Field, record []byte) bool {
	if f.Quote == 0 {
		return f.IsNull(record, n.Null) && !n.Kept(i)
	}
	v, _ := f.Value(record, nil)
	return n.Forced(i, v)
}

// Kept reports whether the null string, unquoted, is the value of field i.
func (n *Nulls) Kept(i int) bool { return n.ForceNot != nil && n.ForceNot[i] }

// Forced reports whether v, which was quoted, is NULL as the value of field i.
func (n *Nulls) Forced(i int, v []byte) bool {
	return n.Force != nil && n.Force[i] && string(v) == n.Null
}

// Forced names the columns of which COPY's FORCE_NULL and FORCE_NOT_NULL are said. "*" names all
// of the input's.
type Forced struct{ Null, NotNull []string }

// Nulls says which fields of records with these columns are NULL in dialect d. As for COPY it is
// an error to name a column that the input has not.
func (f Forced) Nulls(columns []string, d Dialect) (n Nulls, err error) {
	n.Null, n.fields = d.Null, columns
	var err1, err2 error
	n.Force, err1 = named(columns, f.Null)
	n.ForceNot, err2 = named(columns, f.NotNull)
	return n, errors.Join(err1, err2)
}

// named has for each column whether it is one of names, nil if there are none.
func named(columns, names []string) ([]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var errs []error
	flags := make([]bool, len(columns))
	for _, name := range names {
		i := slices.Index(columns, name)
		switch {
		case name == "*":
			for i := range flags {
				flags[i] = true
			}
		case i < 0:
			errs = append(errs, fmt.Errorf("column %q: its NULLs are to be forced, but it is none of the input's, which are %s", name, strings.Join(columns, ", ")))
		default:
			flags[i] = true
		}
	}
	return flags, errors.Join(errs...)
}
