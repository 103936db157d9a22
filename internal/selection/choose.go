package selection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/fault"
)

// Found is what was found of the names of an input's fields.
type Found struct {
	// Names are those that the input gives its fields, or, unless Named, the values of its
	// first record.
	Names []string
	Named bool
	// Guess says that nobody has said whether the first record names the fields.
	Guess bool
}

// Choose makes the plan as Make does, for fields that need not have names: they are then called as
// the table's columns, in their order, as COPY takes them, and behind these by their number.
//
// Where it may guess, a first record that names no column is taken for a header, too, if the
// list is one of fields that it names, and is none of fields that are called as above. named
// tells whether the names are the input's in the end.
func Choose(ctx context.Context, conn *pgx.Conn, r Request, f Found) (p *Plan, named bool, err error) {
	if r.Fields = f.Names; f.Named {
		p, err = Make(ctx, conn, r)
		return p, true, err
	}
	r.Fields = unnamed(r.Table, len(f.Names))
	p, err = Make(ctx, conn, r)
	called, mistaken := errors.AsType[*MistakeError](err)
	if !mistaken || !f.Guess {
		return p, false, err
	}
	names := strings.Join(r.Fields, ", ")
	r.Fields = f.Names
	p, other := Make(ctx, conn, r)
	if other == nil {
		return p, true, nil
	}
	if e, ok := errors.AsType[*MistakeError](other); ok && e.comesFurther(called) {
		return nil, true, other
	}
	if called.code == fault.UndefinedColumn {
		err = errors.Join(err, fmt.Errorf("none of the values in the first record is a column's name, and so its fields are called %s", names))
	}
	return nil, false, err
}

// unnamed returns what n fields without names are called; those without a column have none.
func unnamed(t *catalog.Table, n int) []string {
	names := make([]string, n)
	for i, c := range t.CopyColumns() {
		if i < n {
			names[i] = c.Name
		}
	}
	return names
}

// comesFurther reports whether more of a list was understood than where o was found: o is about a
// name that is none, and e about a later one, or about something else.
func (e *MistakeError) comesFurther(o *MistakeError) bool {
	return o.code == fault.UndefinedColumn && (e.code != fault.UndefinedColumn || e.At > o.At)
}
