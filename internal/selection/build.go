package selection

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
)

// fill makes the items of p, its outputs and the columns of the staging table.
func (a *analysis) fill(ctx context.Context, conn *pgx.Conn, p *Plan, condition *node) error {
	list := a.items
	exprs := make([]*node, 0, len(list))
	for _, l := range list {
		if l.column != nil {
			exprs = append(exprs, l.expr)
		}
	}
	if condition != nil {
		exprs = append(exprs, condition)
	}
	known, err := newFacts(ctx, conn, exprs)
	if err != nil {
		return err
	}
	staged := a.stage(p, condition)
	var problems mistakes
	if condition != nil {
		problems.add(decided(a.source, known, condition))
	}
	for i := range list {
		l := &list[i]
		if l.column == nil {
			if _, ok := staged[l.expr.number("varattno")-1]; ok { // `*` has it in the staging table, too
				p.outputs = append(p.outputs, output{item: -1})
			}
			continue
		}
		item := a.item(l)
		for _, of := range varsOf(l.expr) {
			item.Needs = append(item.Needs, staged[of])
		}
		if len(item.Needs) > 0 {
			problems.add(a.oneValue(l, &p.Staging[item.Needs[0]]))
		}
		typed := l.expr.kind == "VAR" && p.Staging[item.Needs[0]].Target != nil
		out := output{item: len(p.Items), text: isText(l.typ) && !typed, column: l.column}
		mistake, err := a.settle(ctx, conn, known, l, &item, out.text)
		if err != nil {
			return err
		}
		problems.add(mistake)
		p.outputs, p.Items = append(p.outputs, out), append(p.Items, item)
	}
	return problems.err()
}

// settle decides whether an item that is no field is a constant, and refuses one that
// decides where a row goes and may be another one later. Its value may be a text. It notes of
// every item whether it reads a date or time: a field that may be NULL is computed, too, where it
// decides a row's shard.
func (a *analysis) settle(ctx context.Context, conn *pgx.Conn, known *facts, l *listed, item *Item, text bool) (*MistakeError, error) {
	steady := slices.Contains(a.Steady, l.column.Name)
	item.Clock = known.clock(l.expr)
	read, err := readInto(ctx, conn, l, steady || text && !item.Clock)
	if err != nil {
		return nil, err
	}
	item.Clock = item.Clock || text && read
	if !item.Expr {
		return nil, nil
	}
	n, problem := known.wavers(l.expr)
	item.Wavers, item.Expr = n != nil, n != nil || len(item.Needs) > 0
	if !steady {
		return nil, nil
	}
	hint := "write one that depends on the record's fields alone"
	if n == nil {
		n, problem = known.moment(l.expr, len(a.Fields))
	}
	if n == nil && read && len(item.Needs) > 0 && !isField(l.expr, len(a.Fields)) {
		n, problem = l.expr, textMoment
	}
	if n == nil {
		return nil, nil
	}
	if problem == textMoment {
		hint = textHint
	}
	return a.source.mistake(leftmost(n), fmt.Sprintf("column %q: decides in which shard a row is stored, and the expression may give another value later: %s", l.column.Name, problem), hint), nil
}

// readInto reports, where that is asked for, whether a column reads a date or time from what an
// item gives, which is none itself.
func readInto(ctx context.Context, conn *pgx.Conn, l *listed, asked bool) (bool, error) {
	if !asked {
		return false, nil
	}
	into, err := catalog.LookInside(ctx, conn, l.column.TypeOID)
	if err != nil || !into.Clock {
		return false, err
	}
	from, err := catalog.LookInside(ctx, conn, l.typ)
	return !from.Clock, err
}

// stage makes the columns of the staging table, and returns the index of each of them by that
// in the table of fields.
func (a *analysis) stage(p *Plan, condition *node) map[int]int {
	inside := map[int]bool{}              // an expression, or the condition, refers to it
	direct := map[int][]*catalog.Column{} // it is the value of these columns as it stands
	use := func(expr *node) {
		for _, of := range varsOf(expr) {
			inside[of] = true
		}
	}
	for _, l := range a.items {
		switch {
		case l.column == nil:
		case l.expr.kind == "VAR":
			of := l.expr.number("varattno") - 1
			direct[of] = append(direct[of], l.column)
		default:
			use(l.expr)
		}
	}
	if condition != nil {
		use(condition)
	}
	staged := map[int]int{}
	for i, name := range a.columns {
		c := StagingColumn{Name: name, Used: inside[i] || direct[i] != nil}
		if i >= len(a.Fields) && !c.Used {
			continue
		}
		if i < len(a.Fields) && !inside[i] && len(direct[i]) == 1 {
			c.Target = direct[i][0]
		}
		staged[i] = len(p.Staging)
		p.Staging = append(p.Staging, c)
	}
	return staged
}

// because returns the item of that index, or the condition if it is negative, as the server writes
// them.
func (a *analysis) because(ctx context.Context, p *Plan, item int) (string, error) {
	column, at := "", -1
	if item >= 0 {
		column = p.Items[item].Column
		at = slices.IndexFunc(a.items, func(l listed) bool { return l.column != nil && l.name == column })
	}
	result := a.conn.ExecParams(ctx, "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) SELECT * FROM "+listView, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return "", mistaken(a.source, result.Err, "")
	}
	var plans []struct {
		Plan struct {
			Output []string
			Filter string
		}
	}
	if len(result.Rows) == 1 {
		_ = json.Unmarshal(result.Rows[0][0], &plans) // what cannot be read is not shown
	}
	switch {
	case at < 0 && len(plans) == 1 && plans[0].Plan.Filter != "":
		return plans[0].Plan.Filter, nil
	case at < 0:
		return strings.TrimSpace(a.Where), nil
	case len(plans) == 1 && a.items[at].n < len(plans[0].Plan.Output):
		return plans[0].Plan.Output[a.items[at].n] + " AS " + quoted(column), nil
	}
	return "the item for column " + column, nil
}
