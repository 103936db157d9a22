package verify

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/checksum"
	"shardload/internal/server"
)

// shares is into how many parts a table is divided by the hashes of its keys, to
// find out where it differs.
const shares = 1 << 12

// shareOf returns which part a row with that key belongs to.
func shareOf(key int64) int { return int(key & (shares - 1)) }

// A tally is a number of rows and the sum of their hashes.
type tally struct {
	rows int64
	sum  checksum.Sum
}

func (t *tally) merge(o tally) {
	t.rows += o.rows
	t.sum.Merge(o.sum)
}

// totals is a sink that adds everything up.
type totals struct {
	from       *selection
	sums       *checksum.Accumulator
	shares     [shares]tally
	unloadable Unloadable
	rejected   int64
	left       int64
}

func newTotals(s *selection) *totals {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.Name
	}
	return &totals{from: s, sums: checksum.NewAccumulator(names)}
}

func (t *totals) add(r *row) {
	for i, hash := range r.hashes {
		if r.nulls[i] {
			t.sums.Null()
		} else {
			t.sums.Hash(hash)
		}
	}
	hash := t.sums.EndRow()
	key := hash
	if t.from.key != nil {
		key = t.from.keyOf(r)
	}
	share := &t.shares[shareOf(key)]
	share.rows++
	share.sum.Add(hash)
}

func (t *totals) refuse(u Unloadable) { t.unloadable.merge(u) }

func (t *totals) reject() { t.rejected++ }

func (t *totals) leave() { t.left++ }

func (t *totals) merge(o *totals) {
	t.sums.Merge(o.sums)
	t.unloadable.merge(o.unloadable)
	t.rejected += o.rejected
	t.left += o.left
	for i := range t.shares {
		t.shares[i].merge(o.shares[i])
	}
}

// columnsAtOnce is how many columns one query adds up: a query has at most 1,664
// results.
const columnsAtOnce = 400

// textSQL returns the SQL of a column's value as text. Citus drops the cast of xml and of
// a domain over a text on its way to the nodes.
func textSQL(c *column) string {
	name := pgx.Identifier{c.Name}.Sanitize()
	domain := c.TypeOID != c.BaseOID && (c.BaseOID == pgtype.TextOID || c.BaseOID == pgtype.VarcharOID)
	if c.BaseOID == pgtype.XMLOID || domain {
		return "CASE WHEN " + server.IsNotNull(name) + " THEN pg_catalog.format('%s', " + name + ") END"
	}
	return name
}

// hashSQL returns the SQL of the hash of a column's value.
func hashSQL(c *column) string { return checksum.SQLText(textSQL(c)) }

// sumsSQL returns the SQL of the checksums of columns.
func sumsSQL(columns []column) string {
	var b strings.Builder
	for i := range columns {
		fmt.Fprintf(&b, ", count(%s), sum(%s)", pgx.Identifier{columns[i].Name}.Sanitize(), hashSQL(&columns[i]))
	}
	return b.String()
}

// readTotals reads the checksums of the table, all shards at once.
func (d *deep) readTotals(ctx context.Context) (checksum.Table, error) {
	var t checksum.Table
	for from := 0; from < len(d.columns); from += columnsAtOnce {
		columns := d.columns[from:min(from+columnsAtOnce, len(d.columns))]
		var rows int64
		var rowSum checksum.Sum
		err := d.query(ctx, "SELECT count(*), sum("+d.rowSQL()+")"+sumsSQL(columns)+" FROM "+d.table.SQL(), func(values [][]byte) (err error) {
			if rows, rowSum, err = parseTally(values); err != nil {
				return err
			}
			for i := range columns {
				c := checksum.Column{Name: columns[i].Name}
				if c.Values, c.Sum, err = parseTally(values[2*i+2:]); err != nil {
					return err
				}
				t.Columns = append(t.Columns, c)
			}
			return nil
		})
		if err != nil {
			return t, err
		}
		if from > 0 && (rows != t.Rows || rowSum != t.RowSum) {
			return t, errChanging
		}
		t.Rows, t.RowSum = rows, rowSum
	}
	return t, nil
}

// readShares reads the tallies of the table's parts.
func (d *deep) readShares(ctx context.Context) (*[shares]tally, error) {
	var list [shares]tally
	sql := "SELECT " + d.shareSQL() + ", count(*), sum(" + d.rowSQL() + ") FROM " + d.table.SQL() + " GROUP BY 1"
	err := d.query(ctx, sql, func(values [][]byte) error {
		i, err := strconv.Atoi(string(values[0]))
		if err != nil || i < 0 || i >= shares {
			return fmt.Errorf("the server has a part %.20q of the table", values[0])
		}
		list[i].rows, list[i].sum, err = parseTally(values[1:])
		return err
	})
	return &list, err
}

// parseTally reads a count and a sum, NULL without rows.
func parseTally(values [][]byte) (n int64, sum checksum.Sum, err error) {
	if n, err = strconv.ParseInt(string(values[0]), 10, 64); err == nil && values[1] != nil {
		err = sum.UnmarshalText(values[1])
	}
	return n, sum, err
}

// query runs a query of the table under fixed settings, in a transaction of its
// own, and calls visit with the text of each row of its result, as it comes.
func (d *deep) query(ctx context.Context, sql string, visit func(values [][]byte) error) (err error) {
	conn := d.conn.PgConn()
	if err := d.session.Compare(ctx, conn); err != nil {
		return err
	}
	defer func() {
		if rollbackErr := server.Exec(ctx, conn, "ROLLBACK"); err == nil {
			err = rollbackErr
		}
	}()
	result := conn.ExecParams(ctx, sql, nil, nil, nil, nil)
	for result.NextRow() {
		if err == nil {
			err = visit(result.Values())
		}
	}
	if _, closeErr := result.Close(); closeErr != nil {
		return closeErr
	}
	return err
}
