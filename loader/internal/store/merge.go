package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/route"
)

// A landing is where COPY puts rows: the target of their lane, or the staging table
// from which they get there.
func (of *Store) landing(t route.Destination) (table, relation string) {
	if of.Merge != nil {
		name := of.Merge.name()
		return "pg_temp." + name, name
	}
	return t.Table, t.Relation
}

// mergeBatch moves the staged rows of b, as many as it has, into its table.
func (x *tx) mergeBatch(ctx context.Context) error {
	if x.load.Merge.stage != nil {
		return newStagedRows(x).storeAll(ctx)
	}
	merged, err := x.merge(ctx, x.b.Rows, stagingTable)
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, errDropped):
		return x.droppedByTrigger()
	case !ok || ctx.Err() != nil:
		x.b.Merged = merged
		return err
	}
	if err := x.noRows(ctx, pgErr); err != nil {
		return err
	}
	if !metRows(pgErr) {
		return x.fail(ctx, x.load.Layout.Refused(pgErr))
	}
	row := batchError(pgErr, x.load.Input, x.load.Layout, x.b)
	row.Keepable = true
	if fault.Duplicate(pgErr) && x.load.Target.Key != nil {
		told := x.load.Layout.Refused(pgErr)
		told.Hint = "conflicts are decided by (" + strings.Join(x.load.Target.Key.Columns, ", ") + "); Config.ConflictKey names another key"
		row.Err = told
	}
	return row
}

// errDropped says that the server did not store what it was to.
var errDropped = errors.New("rows were dropped")

// merge moves the rows of from, which are n, into the target's table, and returns how many of
// them met a row of the same key.
func (x *tx) merge(ctx context.Context, n int64, from string) (m ledger.Merged, err error) {
	mg := x.load.Merge
	if mg.skips && !mg.plain && x.load.Triggers.Drop.Load() {
		return x.mergeChecked(ctx, n, from)
	}
	truly := x.t.Direct || x.load.Target.Distribution.Kind == citus.Local
	if mg.plain && (truly || !x.load.Triggers.Drop.Load()) {
		x.received = x.received || !truly
		return m, x.insert(ctx, mg.insertSQL(x.t.Table, from), n)
	}
	counts, err := x.numbers(ctx, mg.sql(x.t.Table, from, ""))
	if err != nil {
		return m, err
	}
	if mg.plain && counts[0] != n {
		return m, errDropped
	}
	if mg.skips {
		m.Skipped = n - counts[0]
		return m, nil
	}
	added, stored, each := counts[0], counts[1], counts[2]
	if stored != each {
		return m, errDropped
	}
	m.Updated = n - added
	return m, nil
}

// insert runs the INSERT of n rows. A server that stores them itself counts those that it has
// stored; Citus counts what it has received, as of a COPY, and is ten times as fast as where it
// is to say what became of them.
func (s *stream) insert(ctx context.Context, sql string, n int64) error {
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	switch pgErr, ok := errors.AsType[*pgconn.PgError](err); {
	case ok:
		return pgErr
	case err != nil:
		return s.fail(ctx, err)
	case len(results) != 1 || results[0].CommandTag.RowsAffected() != n:
		return errDropped
	}
	return nil
}

// mergeChecked does what merge does where conflicts are skipped and a trigger may drop
// rows: those that are not stored must have been in the way of others.
func (x *tx) mergeChecked(ctx context.Context, n int64, from string) (m ledger.Merged, err error) {
	mg := x.load.Merge
	free, where := int64(0), "" // rows that are in nobody's way
	if mg.free != "" {
		counts, err := x.numbers(ctx, mg.freeSQL(x.t.Table, from))
		if err != nil {
			return m, err
		}
		if free = counts[0]; free != counts[1] {
			return m, errDropped
		}
		where = "NOT (" + mg.free + ")"
	}
	counts, err := x.numbers(ctx, mg.sql(x.t.Table, from, where)+"; "+missingSQL(x.t.Table, from, x.load.Target.Key))
	if err != nil {
		return m, err
	}
	if counts[1] != counts[2] {
		return m, errDropped
	}
	m.Skipped = n - free - counts[0]
	return m, nil
}

// numbers runs statements of ours on staged rows, and returns the numbers that each gives
// in its only row. A refusal of rows is returned as it is.
func (s *stream) numbers(ctx context.Context, sql string) ([]int64, error) {
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return nil, pgErr
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	counts, err := numbers(results)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return counts, nil
}

// numbers returns the numbers in the only row of each result.
func numbers(results []*pgconn.Result) (list []int64, err error) {
	for _, r := range results {
		for _, text := range r.Rows[0] {
			n, err := strconv.ParseInt(string(text), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("the count of merged rows: %w", err)
			}
			list = append(list, n)
		}
	}
	return list, nil
}

// ofTable makes an error of the staging table one of the target's.
func (s *stream) ofTable(err error) error {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || s.load.Merge == nil {
		return err
	}
	renamed := *pgErr
	renamed.Message = strings.ReplaceAll(pgErr.Message, `"`+s.load.Merge.name()+`"`, `"`+s.load.Layout.Table.Name+`"`)
	return &renamed
}

// droppedByTrigger reports that not all rows of b were stored, without an error.
func (x *tx) droppedByTrigger() error {
	row := &failure.RowError{
		Err: fmt.Errorf("the server has dropped rows, and so none of these is kept; does a trigger of %s do that? disable it for the load", x.load.Layout.Table),
	}
	placeAt(row, x.b.Span(), x.load.Input)
	return row
}
