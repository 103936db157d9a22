package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/pgcopy"
	"shardload/internal/term"
	"shardload/loader/failure"
)

// HeaderColumns returns the columns that a header names. It reports all that is
// wrong with it.
func HeaderColumns(t *catalog.Table, names []string) ([]*catalog.Column, error) {
	var errs []error
	unknown := 0
	seen := map[string]bool{}
	columns := make([]*catalog.Column, 0, len(names))
	for _, name := range names {
		c := t.Column(name)
		switch {
		case c == nil:
			if unknown++; unknown <= maxUnknown {
				errs = append(errs, unknownColumn(t, name))
			}
		case seen[name]:
			errs = append(errs, fmt.Errorf("column %q: is named twice in the header", name))
		case c.Generated:
			errs = append(errs, fmt.Errorf("column %q: %w", name, errGenerated))
		}
		seen[name] = true
		columns = append(columns, c)
	}
	for i := range t.Columns {
		if c := &t.Columns[i]; !seen[c.Name] && c.Required() {
			errs = append(errs, fmt.Errorf("column %q: is missing from the header, is NOT NULL and has no default", c.Name))
		}
	}
	if unknown > maxUnknown {
		errs = append(errs, fmt.Errorf("and %d more unknown columns", unknown-maxUnknown))
	}
	return columns, errors.Join(errs...)
}

// maxUnknown is how many unknown columns are named: a wrong file may have
// thousands.
const maxUnknown = 3

func unknownColumn(t *catalog.Table, name string) error {
	return fmt.Errorf("column %q: %w", name, notIn(t, name))
}

// notIn says of a name that it is none of the table's columns.
func notIn(t *catalog.Table, name string) error {
	if near := t.Near(name); near != "" {
		return fmt.Errorf("is not in table %s; did you mean %q?", t, near)
	}
	return fmt.Errorf("is not in table %s, which has %s", t, strings.Join(t.ColumnNames(), ", "))
}

// MatchHeader returns how a header differs from the columns that COPY takes of t without a list
// of columns, as its HEADER MATCH does.
func MatchHeader(t *catalog.Table, names []string) error {
	var want []string
	for _, c := range t.CopyColumns() {
		want = append(want, c.Name)
	}
	text := ""
	for i := range max(len(names), len(want)) {
		switch {
		case i == len(names):
			text = fmt.Sprintf("the header ends after %s, where %q should follow", term.Plural(len(names), "field"), want[i])
		case i == len(want):
			text = fmt.Sprintf("field %d of the header, %q, is one too many", i+1, names[i])
		case names[i] != want[i]:
			text = fmt.Sprintf("field %d of the header is %q and should be %q", i+1, names[i], want[i])
		}
		if text != "" {
			return fmt.Errorf("%s: the columns of table %s are %s", text, t, strings.Join(want, ", "))
		}
	}
	return nil
}

// Misfit returns a *failure.RowError if the first record of first has a value that its column's
// type cannot hold, which nobody has yet looked at.
func (lay *Layout) Misfit(ctx context.Context, name string, first *input.Chunk, ask *Asker) error {
	s := first.Scanner(lay.Dialect)
	if !s.Next() {
		return nil
	}
	raw := s.Record()
	fields := lay.split(nil, raw)
	if len(fields) != lay.fields() {
		return nil // that is said when it is decoded
	}
	for i, c := range lay.Columns {
		if lay.mapping != nil {
			of := &lay.mapping.sources[i]
			if of.From != FromField || of.NullIf != nil {
				continue
			}
			i = of.Field
		}
		v, _ := fields[i].Value(raw, nil)
		if lay.Nulls.Is(i, fields[i], raw) || holds(c, v) {
			continue
		}
		_, refused, err := ask.hashes(ctx, "CASE WHEN ("+c.ValueSQL("v")+") IS NULL THEN 0 ELSE 1 END", []string{string(v)})
		switch {
		case err == nil:
		case refused < 0:
			return err
		default:
			return &failure.RowError{File: name, Line: s.Line(), Column: c.Name, Err: err, Guessed: true}
		}
	}
	return nil
}

// holds reports whether the type of c certainly has v as a value, its length apart.
func holds(c *catalog.Column, v []byte) bool {
	if IsText(c) {
		return true
	}
	encode, ok := pgcopy.For(c.BaseOID, -1, pgcopy.Options{})
	if ok {
		_, ok = encode(nil, v)
	}
	return ok
}

// IsText reports whether c holds texts.
func IsText(c *catalog.Column) bool {
	return slices.Contains([]uint32{pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID}, c.BaseOID)
}

// TakenFor says by which field the values of a record look like a header's, "" if by none.
func TakenFor(t *catalog.Table, names []string) string {
	i := slices.IndexFunc(names, func(name string) bool { return t.Near(name) != "" })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("field %d, %q, is the name of a column", i+1, names[i])
}

// Doubt returns err, which is what is wrong with a header, with why it was taken for one if it may
// be none.
func Doubt(t *catalog.Table, names []string, err error) error {
	if !slices.ContainsFunc(names, func(name string) bool { return t.Near(name) == "" }) {
		return err
	}
	err = fmt.Errorf("%w; the line was taken for a header, as %s", err, TakenFor(t, names))
	return fault.Advise(err, "if it is no header but a record say so with Config.Header no")
}
