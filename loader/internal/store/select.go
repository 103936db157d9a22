package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/stage"
)

// storeAll moves all rows, as the list and the condition of the load want them, into their table.
// No record may be rejected: the error names the first that is bad.
func (r *stagedRows) storeAll(ctx context.Context) error {
	if err := server.Exec(ctx, r.x.conn, "SAVEPOINT "+savepoint); err != nil {
		return r.x.fail(ctx, err)
	}
	r.x.b.Merged = ledger.Merged{}
	s := &sifter{x: r.x, of: r}
	return s.store(ctx)
}

// stagedRows are the rows of a batch that wait in the staging table, in the order in which
// they lie there.
type stagedRows struct {
	x     *tx
	stage *stage.Table
	n     int

	list []stagedRow // once they are spread
}

// A stagedRow is a row in the staging table, and in the batch.
type stagedRow struct {
	ctid    string
	section int
	row     lane.RowRef
}

// newStagedRows returns those of x's batch that are staged: all but those that COPY was
// refused.
func newStagedRows(x *tx) *stagedRows {
	return &stagedRows{x: x, stage: x.load.Merge.stage, n: int(x.b.Rows - x.b.Rejects())}
}

func (r *stagedRows) len() int { return r.n }

func (r *stagedRows) clean() string { return "" }

func (r *stagedRows) named(*pgconn.PgError, int, int) int { return -1 }

func (r *stagedRows) ref(i int) (section int, row lane.RowRef) {
	return r.list[i].section, r.list[i].row
}

// put evaluates rows, and stores those that the condition does not leave out.
func (r *stagedRows) put(ctx context.Context, lo, hi int) (merged ledger.Merged, err error) {
	of, n := r.span(lo, hi), int64(hi-lo)
	filtered := int64(0)
	if r.stage.Filters() {
		if filtered, err = r.filter(ctx, of); err != nil {
			return merged, err
		}
	}
	merged, err = r.x.merge(ctx, n-filtered, r.x.load.Merge.from(of))
	if errors.Is(err, errDropped) {
		return merged, r.x.droppedByTrigger()
	}
	merged.Filtered = filtered
	return merged, err
}

// span returns where rows [lo, hi) lie.
func (r *stagedRows) span(lo, hi int) (of stage.Range) {
	if lo == hi {
		return stage.Nothing
	}
	if r.list == nil { // all
		return of
	}
	of.From = r.list[lo].ctid
	if hi < len(r.list) {
		of.To = r.list[hi].ctid
	}
	return of
}

// filter drops the rows in a range that the condition leaves out, and returns how many they
// were.
func (r *stagedRows) filter(ctx context.Context, of stage.Range) (int64, error) {
	results, err := r.x.conn.Exec(ctx, r.stage.FilterSQL(of)).ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return 0, pgErr
	}
	if err != nil {
		return 0, r.x.fail(ctx, err)
	}
	return results[0].CommandTag.RowsAffected(), nil
}

// prepare finds rows that cannot be evaluated where it is known that there may be some.
func (r *stagedRows) prepare(ctx context.Context, s *sifter) error {
	if !r.x.b.Bad {
		return nil
	}
	_, err := r.find(ctx, s)
	return err
}

// spread finds rows that cannot be evaluated. Where Citus has sent rows on to other nodes that
// is done before it has, in another transaction: it tells all of them of each step.
func (r *stagedRows) spread(ctx context.Context, s *sifter) (fewer bool, err error) {
	switch {
	case r.x.b.Bad:
		return false, nil
	case r.x.load.Keeper != nil && !r.x.t.Direct && r.x.load.Target.Distribution.Kind != citus.Local:
		r.x.b.Bad = true
		return false, r.x.rollback(ctx, errBad)
	}
	return r.find(ctx, s)
}

// find finds out where the rows lie, and has those found that cannot be evaluated: in one
// pass on the server.
func (r *stagedRows) find(ctx context.Context, s *sifter) (fewer bool, err error) {
	r.list = r.sent()
	ctids, err := r.texts(ctx, r.stage.RowsSQL())
	if err != nil {
		return false, err
	}
	if len(ctids) != len(r.list) {
		return false, r.x.fail(ctx, fmt.Errorf("%d rows are staged, and %d were sent", len(ctids), len(r.list)))
	}
	for i := range ctids {
		r.list[i].ctid = ctids[i]
	}
	for {
		found, err := r.evaluate(ctx, s)
		if err != nil || len(found) == 0 {
			return fewer, err
		}
		if err := r.drop(ctx, s, found); err != nil {
			return false, err
		}
		if fewer = true; len(found) < stage.MaxFound {
			return true, nil
		}
	}
}

// sent returns the rows of the batch as they were sent, without those that COPY was refused.
func (r *stagedRows) sent() []stagedRow {
	type at struct{ section, start int }
	refused := map[at]bool{}
	for _, f := range r.x.b.Refused {
		refused[at{f.Section, f.Row.Start}] = true
	}
	list := make([]stagedRow, 0, r.n)
	for i := range r.x.b.Sections {
		p := &r.x.b.Sections[i]
		refs := p.Refs()
		add := func(row lane.RowRef) {
			if !refused[at{i, row.Start}] {
				list = append(list, stagedRow{section: i, row: row})
			}
		}
		if order := r.x.sorter.Sort(p); order != nil {
			for _, placed := range order.Rows {
				add(refs[placed.Index])
			}
			continue
		}
		for _, row := range refs {
			add(row)
		}
	}
	return list
}

// evaluate has the server evaluate the rows one by one, and returns those for which that
// fails, for what is certainly a row's fault. It finds none where the server has not the
// language for it: then they are looked for as those that a constraint refuses are.
func (r *stagedRows) evaluate(ctx context.Context, s *sifter) ([]stage.Fault, error) {
	limit := stage.MaxFound
	if r.x.load.Keeper == nil {
		limit = 1
	}
	evaluated := false
	for _, bare := range []bool{false, true} {
		pgErr, err := s.refusal(ctx, server.Exec(ctx, r.x.conn, r.stage.EvaluateSQL(limit, bare)))
		if err != nil {
			return nil, err
		}
		if evaluated = pgErr == nil; evaluated {
			break
		}
	}
	if !evaluated {
		return nil, nil
	}
	texts, err := r.texts(ctx, stage.FoundSQL)
	if err != nil {
		return nil, err
	}
	found, err := r.stage.ParseFound(texts[0])
	if err != nil {
		return nil, r.x.fail(ctx, err)
	}
	certain := found[:0]
	for _, f := range found {
		if fault.Of(&pgconn.PgError{Code: f.SQLState, Message: f.Message}) == fault.Row {
			certain = append(certain, f)
		}
	}
	return certain, nil
}

// drop keeps rows aside, and takes them out of the staging table.
func (r *stagedRows) drop(ctx context.Context, s *sifter, found []stage.Fault) error {
	index := make(map[string]int, len(found))
	for i := range found {
		index[found[i].Ctid] = i
	}
	left, ctids := r.list[:0], make([]string, 0, len(found))
	for _, row := range r.list {
		i, bad := index[row.ctid]
		if !bad {
			left = append(left, row)
			continue
		}
		f := found[i]
		told := r.x.load.Layout.Refused(&pgconn.PgError{Code: f.SQLState, Message: f.Message, Detail: f.Detail})
		if err := s.reject(row.section, row.row, f.Column, told); err != nil {
			return err
		}
		ctids = append(ctids, row.ctid)
	}
	if len(ctids) != len(found) {
		return r.x.fail(ctx, fmt.Errorf("%d rows were found that cannot be evaluated, and %d of them are staged", len(found), len(ctids)))
	}
	r.list, r.n = left, len(left)
	err := server.Exec(ctx, r.x.conn, r.stage.DropSQL(ctids)+"; RELEASE SAVEPOINT "+savepoint+"; SAVEPOINT "+savepoint)
	if err != nil {
		return r.x.fail(ctx, err)
	}
	return nil
}

// errBad is what store returns of a batch the rows of which are to be evaluated one by one,
// before others are stored.
var errBad = errors.New("the batch has rows that cannot be evaluated")

// texts returns the values of the only column that a query gives.
func (r *stagedRows) texts(ctx context.Context, sql string) (list []string, err error) {
	results, err := r.x.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, r.x.fail(ctx, err)
	}
	for _, row := range results[0].Rows {
		list = append(list, string(row[0]))
	}
	return list, nil
}

// column returns the name of a column that COPY has called so, "" for none: that of the
// target, or of the input's field.
func (of *Store) column(name string) string {
	if of.Merge != nil && of.Merge.stage != nil {
		return of.Merge.stage.FieldName(name)
	}
	if of.Layout.Table.Column(name) == nil {
		return ""
	}
	return name
}

// lookForPooler finds out, where staged rows are evaluated, whether a connection pooler is
// between: then another process answers than the one that is said to.
func (s *stream) lookForPooler(ctx context.Context) error {
	if s.load.Merge.stage == nil || s.conn == s.direct {
		return nil
	}
	results, err := s.conn.Exec(ctx, "SELECT pg_catalog.pg_backend_pid()").ReadAll()
	if err == nil && string(results[0].Rows[0][0]) == strconv.FormatUint(uint64(s.conn.PID()), 10) {
		s.direct = s.conn
	}
	return err
}
