package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	sel "shardload/internal/selection"
	"shardload/internal/server"
)

// readPlan returns the layout of in by the list and the condition, nil if it has no records.
func (d *deep) readPlan(ctx context.Context, in Input, how Reading) (*layout, error) {
	r := sel.Request{List: d.cfg.Select, Where: d.cfg.Where, File: in.at.Name, Encoding: how.sent(), Table: d.table, Session: &d.session.Session, Temporary: d.rights.GrantTemporary()}
	found, forced := sel.Found{Named: true}, pgcsv.Forced{Null: how.ForceNull, NotNull: how.ForceNotNull}
	names, keyed, err := in.named(ctx, how)
	switch {
	case err != nil:
		return nil, err
	case keyed:
		found.Names, r.JSON = input.Keys(d.table, names), true
	case names != nil:
		found.Names, forced = names, pgcsv.Forced{}
	default:
		first, err := in.firstRecord(ctx, how)
		if err != nil || first == nil {
			return nil, err
		}
		found.Names = how.dialect.Values(first)
		found.Guess = how.Header == HeaderAuto
		found.Named = how.Header == HeaderYes || how.Header == HeaderMatch || found.Guess && d.table.LooksLikeHeader(found.Names, how.dialect.RareHeader())
	}
	plan, named, err := sel.Choose(ctx, d.conn, r, found)
	if err != nil {
		return nil, fmt.Errorf("%s:1: %w", in.at.Name, err)
	}
	lay := &layout{header: named && names == nil, plan: plan}
	for _, item := range plan.Items {
		lay.names = append(lay.names, item.Column)
	}
	lay.nulls, err = forced.Nulls(plan.Fields, how.dialect)
	return lay, err
}

// named returns the names that in gives its fields apart from its records, nil for none, and whether
// they are keys.
func (in Input) named(ctx context.Context, how Reading) (names []string, keyed bool, err error) {
	if in.blocks != nil {
		return in.blocks.Header(), false, nil
	}
	feed, err := in.open(ctx, how)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	if _, err = feed.Next(ctx, nil); errors.Is(err, io.EOF) {
		return nil, false, nil
	}
	_, keyed = feed.(input.Keyed)
	return feed.Header(), keyed, err
}

// width returns how many fields a record has.
func (lay *layout) width() int {
	if lay.plan != nil {
		return len(lay.plan.Fields)
	}
	return len(lay.names)
}

// staged reports whether the server evaluates values, or a condition.
func (lay *layout) staged() bool { return lay.plan != nil && lay.plan.Staged }

// beside returns the value of an item that is no field, and is not evaluated by the server.
func (dec *decoder) beside(item *sel.Item, r *row) (v []byte, null bool) {
	switch {
	case item.Beside == sel.Line:
		n := len(dec.scratch)
		dec.scratch = strconv.AppendInt(dec.scratch, r.at.line, 10)
		return dec.scratch[n:], false
	case item.Beside == sel.Record:
		return r.original, false
	case item.Const == nil:
		return nil, true
	}
	return []byte(*item.Const), false
}

// An evaluated says what the server makes of a record.
type evaluated struct {
	values [][]byte // by compared column, of those that it evaluates; nil for NULL
	left   bool     // it does not meet the condition
	err    error    // why there is no row of it
}

// A query is what the server is asked of the records of a chunk.
type query struct {
	sql     string
	columns []int      // compared columns, in the order of its results
	needs   []int      // indexes in Plan.Staging, in the order of its parameters, behind the lines
	records []int      // the records of which it is asked, by their number in the chunk
	values  [][][]byte // of the parameters, for each of these records
}

// evaluateAll asks the server for the values of all records of c that it evaluates.
func (dec *decoder) evaluateAll(ctx context.Context, lay *layout, c chunk) error {
	if !lay.staged() {
		dec.row.made = nil
		return nil
	}
	dec.evaluated = dec.evaluated[:0]
	q := dec.newQuery(lay)
	offset := int32(0)
	dec.scan.Reset(c.Data, c.EOL, c.Line)
	for i := 0; dec.scan.Next(); i++ {
		start := offset
		offset += int32(dec.scan.Size())
		dec.at = c.Origin(i, dec.scan.Line()-c.Line, start, start+int32(len(dec.scan.Record())))
		dec.evaluated = append(dec.evaluated, evaluated{})
		header := c.Number == 0 && start == 0 && lay.header
		if dec.fields = dec.scan.AppendFields(dec.fields[:0]); !header && len(dec.fields) == lay.width() {
			q.records = append(q.records, i)
			dec.collect(lay, c, q)
		}
	}
	return dec.evaluate(ctx, q, 0, len(q.records))
}

// newQuery returns the query for the values of the items that the server evaluates.
func (dec *decoder) newQuery(lay *layout) *query {
	q := &query{}
	var items []int
	values := []string{"e.n"}
	for i, at := range lay.fields {
		if item := &lay.plan.Items[at]; item.Field < 0 || item.Expr {
			c := dec.d.columns[i].Column
			q.columns = append(q.columns, i)
			items = append(items, at)
			values = append(values, c.StoredSQL("q."+pgx.Identifier{c.Name}.Sanitize())+"::pg_catalog.text")
		}
	}
	if items == nil {
		items = []int{} // none, and not all
	}
	params, names, fields := []string{"$1::pg_catalog.text[]"}, []string{"line"}, []string{}
	for at := range lay.plan.Staging {
		s := &lay.plan.Staging[at]
		value := "NULL::" + s.TypeSQL()
		if s.Used && s.Target == nil {
			q.needs = append(q.needs, at)
			names = append(names, fmt.Sprintf("f%d", at))
			params = append(params, fmt.Sprintf("$%d::pg_catalog.text[]", len(params)+1))
			value = fmt.Sprintf("e.f%d::%s", at, s.TypeSQL())
		} else if s.Target != nil { // it is read here; its type may refuse NULL
			value = "NULL::pg_catalog.text"
		}
		fields = append(fields, value+" AS "+pgx.Identifier{s.Name}.Sanitize())
	}
	q.values = make([][][]byte, len(params))
	q.sql = "SELECT " + strings.Join(values, ", ") + " FROM ROWS FROM (pg_catalog.unnest(" + strings.Join(params, "), pg_catalog.unnest(") + ")) WITH ORDINALITY AS e (" +
		strings.Join(append(names, "n"), ", ") + ") CROSS JOIN LATERAL (" + lay.plan.SQL("(SELECT "+strings.Join(fields, ", ")+")", items, "", true) + ") AS q ORDER BY e.n"
	return q
}

// collect adds the values of the record on which the scanner stands to the parameters of q.
func (dec *decoder) collect(lay *layout, c chunk, q *query) {
	line := strconv.AppendInt(nil, dec.position(c).line, 10)
	q.values[0] = append(q.values[0], line)
	raw := dec.scan.Record()
	for i, at := range q.needs {
		var v []byte
		switch name := lay.plan.Staging[at].Name; {
		case at < len(lay.plan.Fields):
			if f := dec.fields[at]; !lay.nulls.Is(at, f, raw) {
				v, _ = f.Value(raw, nil)
				v = append([]byte{}, v...)
			}
		case name == sel.File:
			v = []byte(dec.d.cfg.Inputs[c.of].at.Name)
		case name == sel.Line:
			v = line
		default:
			v = c.Original(dec.at)
		}
		q.values[i+1] = append(q.values[i+1], v)
	}
}

// evaluate asks about the records of q from lo to hi. Where the server refuses one, it asks again
// about each half.
func (dec *decoder) evaluate(ctx context.Context, q *query, lo, hi int) error {
	if lo == hi {
		return nil
	}
	err := dec.ask.evaluate(ctx, q, lo, hi, dec.evaluated)
	if fault.MayBeRow(err) && hi-lo == 1 {
		err = dec.ask.evaluate(ctx, q, lo, hi, dec.evaluated) // no record is refused for what passes
	}
	reason, refused := refusal(err)
	switch {
	case !refused:
		return err
	case hi-lo > 1:
		middle := lo + (hi-lo)/2
		return errors.Join(dec.evaluate(ctx, q, lo, middle), dec.evaluate(ctx, q, middle, hi))
	}
	if fault.Of(err) == fault.Unclear { // it may be the statement's: it comes without any record then
		if err := dec.ask.evaluate(ctx, q, lo, lo, dec.evaluated); err != nil {
			return err
		}
	}
	dec.evaluated[q.records[lo]].err = reason
	return nil
}

// evaluate asks about the records of q from lo to hi, and notes the answers.
func (a *asker) evaluate(ctx context.Context, q *query, lo, hi int, answers []evaluated) (err error) {
	if a.conn == nil {
		if a.conn, err = server.Open(ctx, a.cfg); err != nil {
			return err
		}
	}
	arrays := make([][][]byte, len(q.values))
	for i := range arrays {
		arrays[i] = q.values[i][lo:hi]
	}
	rows, err := a.session.Rows(ctx, a.conn.PgConn(), a.session.encoding, sel.SettingsSQL, q.sql, arrays)
	if err != nil {
		return err
	}
	for _, record := range q.records[lo:hi] {
		answers[record] = evaluated{left: true}
	}
	for _, row := range rows {
		n, err := strconv.Atoi(string(row[0]))
		if err != nil || n < 1 || n > hi-lo || len(row) != len(q.columns)+1 {
			return fmt.Errorf("asked the server about %d records, got an answer about %.20q", hi-lo, row[0])
		}
		e := evaluated{values: make([][]byte, slices.Max(append(q.columns, 0))+1)}
		for i, column := range q.columns {
			e.values[column] = row[i+1]
		}
		answers[q.records[lo+n-1]] = e
	}
	return nil
}
