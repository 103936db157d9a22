package loader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/ledger"
)

// A landing is where COPY puts rows: the target of their lane, or the staging table
// from which they get there.
func (s *stream) landing(t target) (table, relation string) {
	if s.load.lay.merge != nil {
		return stagingTable, staging
	}
	return t.table, t.relation
}

// mergeBatch moves the staged rows of b, as many as it has, into its table.
func (s *stream) mergeBatch(ctx context.Context, t target, b *batch) error {
	merged, err := s.merge(ctx, t, b.rows)
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, errDropped):
		return s.droppedByTrigger(b)
	case !ok || ctx.Err() != nil:
		b.merged = merged
		return err
	}
	if err := s.noRows(ctx, t, pgErr); err != nil {
		return err
	}
	row := batchError(pgErr, s.load.name, b)
	row.Keepable = true
	if isDuplicate(pgErr) {
		told := refused(pgErr)
		told.Hint = "conflicts are decided by (" + strings.Join(s.load.l.key.Columns, ", ") + "); --conflict-key names another key"
		row.Err = told
	}
	return row
}

// gone reports whether err says that the target is not where it was.
func (t target) gone(err *pgconn.PgError) bool {
	return errors.Is(t.lost, errGone) && citus.Gone(err) || citus.ShardGone(err)
}

// errDropped says that the server did not store what it was to.
var errDropped = errors.New("rows were dropped")

// merge moves n staged rows into the target's table, and returns how many of them
// met a row of the same key.
func (s *stream) merge(ctx context.Context, t target, n int64) (m ledger.Merged, err error) {
	mg := s.load.lay.merge
	results, err := s.conn.Exec(ctx, mg.sql(t.table)).ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return m, pgErr
	}
	if err != nil {
		return m, s.fail(ctx, err)
	}
	counts, err := numbers(results)
	if err != nil {
		return m, s.fail(ctx, err)
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
	if !ok || s.load.lay.merge == nil {
		return err
	}
	renamed := *pgErr
	renamed.Message = strings.ReplaceAll(pgErr.Message, `"`+staging+`"`, `"`+s.load.lay.table.Name+`"`)
	return &renamed
}

// droppedByTrigger reports that not all rows of b were stored, without an error.
func (s *stream) droppedByTrigger(b *batch) error {
	first, last := b.lines()
	return &RowError{File: s.load.name, Line: first, LastLine: last,
		Err: fmt.Errorf("the server has dropped rows, and so none of these is kept; does a trigger of %s do that? disable it for the load", s.load.lay.table.SQL())}
}
