package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/server"
	"shardload/internal/term"
)

// Expected says how many rows a table should have, and who says so.
type Expected struct {
	Table  string // as SQL writes it
	Rows   int64
	Source string // "manifest.json", or the names of files
}

// A Count is how many rows a table has, and how many it should have.
type Count struct {
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`
	Expected int64  `json:"expected"`
	Source   string `json:"source"`
	Problem  string `json:"problem,omitempty"` // how they differ, "" if they do not
}

// Counts counts the rows of each table. On Citus the shards are counted at once,
// but not in one snapshot: nothing should be writing meanwhile.
func Counts(ctx context.Context, conn *pgx.Conn, expected []Expected) ([]Count, error) {
	var counts []Count
	for _, e := range expected {
		c := Count{Table: e.Table, Expected: e.Rows, Source: e.Source}
		err := catalog.Steady(ctx, func() *pgx.Conn { return conn }, e.Table, func() (*catalog.Table, error) { return c.count(ctx, conn) })
		if notFound, ok := errors.AsType[*catalog.NotFoundError](err); ok {
			c.Problem = notFound.Error()
		} else if err != nil {
			return counts, err
		}
		counts = append(counts, c)
	}
	return counts, nil
}

// count counts the rows of c's table, which it returns.
func (c *Count) count(ctx context.Context, conn *pgx.Conn) (*catalog.Table, error) {
	table, err := catalog.Lookup(ctx, conn, c.Table)
	if err != nil {
		return nil, err
	}
	if err := server.Value(ctx, conn, &c.Rows, "SELECT count(*) FROM "+table.SQL()); err != nil {
		return table, fmt.Errorf("count %s: %w", c.Table, err)
	}
	c.Problem = countProblem(*c)
	return table, nil
}

func countProblem(c Count) string {
	switch diff := c.Rows - c.Expected; {
	case diff < 0:
		return fmt.Sprintf("%s, %s fewer than %s has (%s)", term.Plural(c.Rows, "row"), term.Count(-diff), c.Source, term.Count(c.Expected))
	case diff > 0:
		return fmt.Sprintf("%s, %s more than %s has (%s)", term.Plural(c.Rows, "row"), term.Count(diff), c.Source, term.Count(c.Expected))
	}
	return ""
}
