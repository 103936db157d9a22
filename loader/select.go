package loader

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/selection"
	"shardload/loader/internal/decode"
)

// selects reports whether there is a list or a condition.
func (c *Config) selects() bool { return c.Select != "" || c.Where != "" }

// choose asks the server what the list and the condition make of the fields of in's records, and
// notes it in h. names are those that the input gives them, or, if h has no header, the values of
// its first record.
func (h *Heading) choose(ctx context.Context, l *Loader, in Input, names []string, keyed bool) (err error) {
	found := selection.Found{Names: names, Named: h.Header || keyed, Guess: h.Guessed}
	if keyed {
		found.Names = input.Keys(l.target.Table, names)
	}
	one, ok := l.plans.get(l.target.Table, in, found)
	if !ok {
		r := selection.Request{
			List: l.cfg.Select, Where: l.cfg.Where, File: in.name, Encoding: l.cfg.sentEncoding(),
			JSON: keyed, Table: l.target.Table, Session: &l.target.Session, Temporary: l.target.Rights.GrantTemporary(), Steady: []string{l.target.Distribution.Column},
		}
		for _, n := range l.nodes.All()[1:] {
			r.Nodes = append(r.Nodes, selection.Node{Name: n.Name(), Do: n.With})
		}
		err = l.target.OnControl(ctx, func(conn *pgx.Conn) error {
			one.plan, one.named, err = selection.Choose(ctx, conn, r, found)
			return err
		})
		if err != nil {
			return err
		}
		l.plans.put(l.target.Table, in, found, one)
	}
	if one.named && !h.Header && !keyed {
		h.Header, h.Why = true, "the list is one of fields that it names"
	}
	h.plan, h.fields = one.plan, one.plan.Fields
	h.Selected = &Selection{Staged: h.plan.Staged, Because: h.plan.Because, Fields: h.fields}
	for _, item := range one.plan.Items {
		h.columns = append(h.columns, l.target.Table.Column(item.Column))
	}
	return nil
}

// Plans has what the server has said of lists and conditions: files often have the same fields.
type plans struct{ known sync.Map } // of planned, by what was asked

// A planned is an answer of selection.Choose.
type planned struct {
	plan  *selection.Plan
	named bool
}

// key returns what is asked about an input of that name.
func (*plans) key(t *catalog.Table, name string, found selection.Found) string {
	return fmt.Sprintf("%p %q %q %t %t", t, name, found.Names, found.Named, found.Guess)
}

// get returns the answer about in, if there is one.
func (p *plans) get(t *catalog.Table, in Input, found selection.Found) (of planned, ok bool) {
	for _, name := range []string{"", in.name} {
		if v, ok := p.known.Load(p.key(t, name, found)); ok {
			return v.(planned), true
		}
	}
	return of, false
}

// put keeps the answer about in, which is that about all inputs if their name is nothing to it.
func (p *plans) put(t *catalog.Table, in Input, found selection.Found, of planned) {
	name := ""
	if of.plan.UsesFile() {
		name = in.name
	}
	p.known.Store(p.key(t, name, found), of)
}

// addTo adds to a form what the plan makes of the input.
func (h *Heading) addTo(f *ledger.Form) {
	if h.plan == nil {
		return
	}
	f.Select, f.Where = h.plan.List, h.plan.Where
	for _, item := range h.plan.Items {
		if item.Field >= 0 || item.Expr || item.Beside != "" {
			continue
		}
		value := "NULL"
		if item.Const != nil {
			value = fmt.Sprintf("%q", *item.Const)
		}
		f.Constants = append(f.Constants, item.Column+" "+value)
	}
}

// options returns opt with the sources of the columns, if they are not the fields in their order.
func (h *Heading) options(opt decode.Options) decode.Options {
	forced := len(opt.Forced.Null)+len(opt.Forced.NotNull) > 0 // by the names of the fields
	if h.plan == nil || h.plan.Plain() && !forced {
		return opt
	}
	opt.Fields = h.fields
	for _, item := range h.plan.Items {
		opt.Sources = append(opt.Sources, sourceOf(item))
	}
	return opt
}

// sourceOf returns where the value of an item comes from that is read here.
func sourceOf(item selection.Item) decode.Source {
	switch {
	case item.Beside == selection.Line:
		return decode.Source{From: decode.FromLine}
	case item.Beside == selection.Record:
		return decode.Source{From: decode.FromRecord}
	case item.Field >= 0:
		return decode.Source{From: decode.FromField, Field: item.Field, NullIf: item.NullIf}
	case item.Const != nil:
		return decode.Source{From: decode.FromConst, Const: append([]byte{}, *item.Const...)}
	}
	return decode.Source{From: decode.FromConst}
}

// A Selection says where the values of an input's rows come from, with Config.Select or Where.
type Selection struct {
	// Staged says that the server evaluates an item or the condition, while rows pass through
	// a temporary table. Because is the first of these, as the server writes it.
	Staged  bool     `json:"staged"`
	Because string   `json:"because,omitempty"`
	Fields  []string `json:"fields"` // of the input's records
}

// checkSelections reports what is wrong with the list and the condition for inputs that can be
// read again, before anything is stored.
func (s *Set) checkSelections(ctx context.Context) error {
	for _, t := range s.tables {
		if !t.loader.cfg.selects() {
			continue
		}
		for _, in := range t.Inputs {
			if _, _, err := t.loader.Heading(ctx, in); err != nil {
				return err
			}
		}
	}
	return nil
}
