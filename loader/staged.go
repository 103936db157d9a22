package loader

import (
	"fmt"
	"slices"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/selection"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/stage"
	"shardload/loader/internal/store"
)

// A stager prepares a load of which the server evaluates the list or the condition.
type stager struct {
	*load
	plan *selection.Plan
}

// layOut makes the layout of the load, and the staging table through which its rows pass.
func (ld *stager) layOut() error {
	l, plan := ld.l, ld.plan
	if !l.target.MayStage() {
		return &failure.PreflightError{
			Problem: fmt.Sprintf("role %s may not create temporary tables, in which rows wait while the server evaluates %s", l.target.Rights.Role, plan.Because),
			Do:      l.target.Rights.GrantTemporary(),
		}
	}
	if rule := l.target.Rule; rule != "" {
		return &failure.PreflightError{
			Problem: fmt.Sprintf("table %s has the rule %s on INSERT, by which the server would store rows while it evaluates %s; COPY, which stores them otherwise, fires none", l.target.Table, server.Name(rule), plan.Because),
			Do:      "disable the rule for the load: ALTER TABLE " + l.target.Table.SQL() + " DISABLE RULE " + server.Name(rule),
		}
	}
	opt := stage.Options{File: ld.Input, Encoding: l.target.Session.Encoding}
	if l.target.Key != nil {
		opt.Keys = l.target.Key.Columns
	}
	d := l.target.Distribution
	computed := d.Kind == citus.Hash && ld.computes(d.Column)
	if computed && !ld.whole {
		opt.Decides = l.target.Table.Column(d.Column)
	}
	st, err := stage.New(plan, l.target.Table, opt)
	if err != nil {
		return err
	}
	lay := l.cfg.layoutOptions()
	lay.Fields, lay.Staging = plan.Fields, ld.staging(st)
	lay.Staging.Unrouted = computed && ld.whole
	columns := make([]*catalog.Column, len(st.Columns))
	for i := range st.Columns {
		c := &st.Columns[i]
		columns[i] = &c.Column
		lay.Sources = append(lay.Sources, ld.source(c.From))
	}
	if opt.Decides != nil {
		lay.Staging.Compute = ld.compute(st)
	}
	if ld.Layout, err = decode.NewLayout(l.target, columns, lay); err == nil {
		ld.Merge, err = store.NewMerge(l.target, st.Loaded, l.cfg.OnConflict == ConflictSkip, st)
	}
	return err
}

// item returns the item of the plan that is the column of that name, nil for none.
func (ld *stager) item(column string) *selection.Item {
	i := slices.IndexFunc(ld.plan.Items, func(item selection.Item) bool { return item.Column == column })
	if i < 0 {
		return nil
	}
	return &ld.plan.Items[i]
}

// direct reports whether an item is a field as it stands.
func direct(item *selection.Item) bool {
	return item.Field >= 0 && !item.Expr && item.NullIf == nil
}

// computes reports whether the server computes the values of that column.
func (ld *stager) computes(column string) bool {
	item := ld.item(column)
	return item != nil && !direct(item)
}

// source returns where the values of a column of the staging table come from: of
// Plan.Staging that of index i.
func (ld *stager) source(i int) decode.Source {
	switch {
	case i == stage.Decides:
		return decode.Source{From: decode.FromServer}
	case i < len(ld.plan.Fields):
		return decode.Source{Field: i}
	case ld.plan.Staging[i].Name == selection.Line:
		return decode.Source{From: decode.FromLine}
	}
	return decode.Source{From: decode.FromRecord}
}

// staging says what the columns of st are to those of the target.
func (ld *stager) staging(st *stage.Table) *decode.Staging {
	of := &decode.Staging{Loaded: st.Loaded}
	add := func(c *catalog.Column, from int) {
		at := slices.IndexFunc(st.Columns, func(c stage.Column) bool { return c.From == from })
		if at >= 0 {
			of.Direct, of.From = append(of.Direct, c), append(of.From, at)
		}
	}
	for i, c := range st.Loaded {
		if item := &ld.plan.Items[i]; direct(item) {
			add(c, item.Field)
		}
	}
	if decides := st.Decides(); decides != nil {
		add(decides, stage.Decides)
	}
	return of
}

// compute says how the server computes the values that decide a row's shard.
func (ld *stager) compute(st *stage.Table) *decode.Compute {
	column := st.Decides().Name
	sql, needs := st.ComputeSQL()
	of := &decode.Compute{
		Column: column, SQL: sql, Setup: selection.SettingsSQL, Clock: map[int]bool{},
		Reading: ld.l.target.Session.Evaluating(), Alike: !st.Filters(),
	}
	item := ld.item(column)
	for n, i := range needs {
		of.Alike = of.Alike && i < len(ld.plan.Fields)
		of.Clock[n] = item.Clock && slices.Contains(item.Needs, i)
		of.Needs = append(of.Needs, ld.source(i))
	}
	if of.Needs == nil { // the query needs an array of any values
		of.Needs, of.Alike = []decode.Source{{From: decode.FromLine}}, false
	}
	return of
}
