package selection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/server"
)

// A trial makes sure that a server takes the query of a plan: it has the functions, the role may
// call them, and what they return can be assigned to the columns.
type trial struct {
	*analysis
	conn *pgconn.PgConn
	p    *Plan
	node string // "" for the first server
}

// run tries the query on empty tables.
func (t *trial) run(ctx context.Context) error {
	var defs, rows, into []string
	for _, c := range t.p.Staging {
		defs = append(defs, quoted(c.Name)+" "+c.TypeSQL())
	}
	for _, item := range t.p.Items {
		rows = append(rows, definition(t.Table.Column(item.Column)))
		into = append(into, quoted(item.Column))
	}
	err := t.makeTable(ctx, t.conn, stagedTable, defs)
	if err == nil {
		err = t.makeTable(ctx, t.conn, rowsTable, append(rows, Place+" pg_catalog.tid"))
	}
	if err != nil {
		return t.onNode(err)
	}
	for _, begin := range []string{"", "EXPLAIN "} {
		s := t.p.source(begin+"INSERT INTO "+rowsTable+" ("+strings.Join(append(into, Place), ", ")+") ", stagedTable, nil, Input+".ctid", true)
		s.chars = t.chars
		if begin == "" {
			_, err = server.Describe(ctx, t.conn, s.sql)
		} else {
			err = run(ctx, t.conn, s.sql)
		}
		if err != nil {
			return t.pointed(mistaken(s, err, t.node))
		}
	}
	return nil
}

// definition returns a column of a table that has the type of c and none of its constraints.
func definition(c *catalog.Column) string {
	def := quoted(c.Name) + " " + c.TypeSQL()
	if c.Collation != "" {
		def += " COLLATE " + c.Collation
	}
	return def
}

// pointed returns err, and if it is about a column but no place points at the column's item.
func (t *trial) pointed(err error) error {
	e, ok := errors.AsType[*MistakeError](err)
	if !ok || e.At >= 0 || e.Condition {
		return err
	}
	for _, l := range t.items {
		if l.column != nil && strings.Contains(e.Message, `"`+l.name+`"`) {
			e.At = t.source.mistake(l.at, "", "").At
		}
	}
	return e
}

// onNode returns an error of the node.
func (t *trial) onNode(err error) error {
	if t.node == "" {
		return err
	}
	return fmt.Errorf("%s: %w", t.node, err)
}
