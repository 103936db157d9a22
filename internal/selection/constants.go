package selection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// An evaluation asks for the values of the items of p that are the same in all records.
type evaluation struct {
	*analysis
	p *Plan
}

// all asks for them, if all other items are read here: else the server evaluates them, too.
func (e *evaluation) all(ctx context.Context) error {
	staged := e.Where != "" || slices.ContainsFunc(e.p.Items, func(item Item) bool { return item.Expr })
	var found []int
	for i := range e.p.Items {
		item := &e.p.Items[i]
		switch {
		case item.Field >= 0 || item.Expr, item.Beside == Line, item.Beside == Record:
		case staged:
			if item.Expr = true; item.Clock && slices.Contains(e.Steady, item.Column) { // it is read whenever it is asked for
				return e.ofItem(fmt.Errorf("column %q: decides in which shard a row is stored, and %s", item.Column, constantMoment), item.Column)
			}
		default:
			if err := e.store(ctx, i); err != nil {
				return e.ofItem(err, item.Column)
			}
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return nil
	}
	if err := server.WritePlain(ctx, e.conn); err != nil {
		return err
	}
	for _, i := range found {
		if err := e.read(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// table is where the value of item i is.
func (e *evaluation) table(i int) string { return fmt.Sprintf("%s_%d", rowsTable, i) }

// store stores the value of item i in a table of the column's type, as it would be stored in the
// target.
func (e *evaluation) store(ctx context.Context, i int) error {
	c := e.Table.Column(e.p.Items[i].Column)
	if err := e.makeTable(ctx, e.conn, e.table(i), []string{definition(c)}); err != nil {
		return err
	}
	fields := []string{"NULL AS none"}
	for at, c := range e.p.Staging {
		value := "NULL::pg_catalog.text" // the types of the target may refuse NULL
		switch {
		case at < len(e.Fields):
		case c.Name == File:
			value = server.Literal(e.File) + "::pg_catalog.text"
		default:
			value = "NULL::" + c.TypeSQL()
		}
		fields = append(fields[:at], value+" AS "+quoted(c.Name))
	}
	from := "(SELECT " + strings.Join(fields, ", ") + ")"
	return run(ctx, e.conn, e.p.source("INSERT INTO "+e.table(i)+" ("+quoted(c.Name)+") ", from, []int{i}, "", false).sql)
}

// read reads the value of item i.
func (e *evaluation) read(ctx context.Context, i int) error {
	item := &e.p.Items[i]
	result := e.conn.ExecParams(ctx, "SELECT * FROM "+e.table(i), nil, nil, nil, nil).Read()
	switch {
	case result.Err != nil:
		return fmt.Errorf("the constant for column %q: %w", item.Column, result.Err)
	case len(result.Rows) != 1:
		return fmt.Errorf("the constant for column %q: the server returned %d", item.Column, len(result.Rows))
	}
	if v := result.Rows[0][0]; v != nil {
		s := string(v)
		item.Const, item.Expr = &s, !e.same(s)
	} else if c := e.Table.Column(item.Column); c.NotNull && !e.Table.BeforeInsert {
		return e.ofItem(fmt.Errorf("column %q: is NOT NULL, and the item is NULL", item.Column), item.Column)
	}
	return nil
}

// ofItem returns an error of the server, or of ours, about the value of a column.
func (e *evaluation) ofItem(err error, column string) error {
	m := e.source.mistake(-1, err.Error(), "")
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		if fault.Of(err) == fault.Passing {
			return err
		}
		m.Message, m.Hint = pgErr.Message, strings.TrimSuffix(pgErr.Hint, ".")
	}
	if !strings.Contains(m.Message, fmt.Sprintf("%q", column)) {
		m.Message = fmt.Sprintf("column %q: %s", column, m.Message)
	}
	for _, l := range e.items {
		if l.column != nil && l.name == column {
			m.At = e.source.mistake(l.at, "", "").At
		}
	}
	return m
}
