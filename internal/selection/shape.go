package selection

// A shape is what a list and a condition are in the server's query tree: the rows of the
// table of fields, one by one.
type shape struct {
	targets   []*node // TARGETENTRY of the list, in its order
	condition *node   // nil for none
}

// The query trees of a view (PostgreSQL, src/include/nodes/parsenodes.h).
const (
	rteRelation = 0 // RTE_RELATION
	rteSubquery = 1 // RTE_SUBQUERY
)

// clauses are the parts of a query that make it more than a choice of rows and values, by
// their keys in the tree, and what to say of them.
var clauses = []struct{ key, problem, hint string }{
	{"setOperations", "UNION, INTERSECT and EXCEPT need more than one record", perRecord},
	{"distinctClause", "DISTINCT needs more than one record", perRecord},
	{"groupClause", "GROUP BY needs more than one record", perRecord},
	{"groupingSets", "GROUP BY needs more than one record", perRecord},
	{"havingQual", "HAVING needs more than one record", perRecord},
	{"windowClause", "a window needs more than one record", perRecord},
	{"sortClause", "ORDER BY needs more than one record", perRecord},
	{"limitOffset", "OFFSET needs more than one record", perRecord},
	{"limitCount", "LIMIT needs more than one record", perRecord},
	{"rowMarks", "rows of fields are not to be locked", "leave FOR UPDATE, or what is like it, out"},
	{"cteList", "WITH is not to be had", "write the expression itself"},
}

const perRecord = "each record is loaded by itself, as it is read: store the rows first, and ask the table then"

// kinds are the nodes that make an expression need more than its record.
var kinds = map[string]struct{ problem, hint string }{
	"AGGREF":           {"an aggregate needs more than one record", perRecord},
	"GROUPINGFUNC":     {"GROUPING needs more than one record", perRecord},
	"WINDOWFUNC":       {"a window function needs more than one record", perRecord},
	"SUBLINK":          {"a subquery is not to be had", "load what it looks up into the table, and join it there"},
	"NEXTVALUEEXPR":    {"the next value of an identity column is not to be had", "leave the column out, and it takes its default"},
	"CURRENTOFEXPR":    {"WHERE CURRENT OF is not to be had", "write a condition of fields"},
	"PARAM":            {"a parameter such as $1 is not to be had", "write the value itself"},
	"MERGESUPPORTFUNC": {"a function of MERGE is not to be had", "leave it out"},
}

// shapeOf returns the shape of the query of source, the text of which made the tree, over the
// relation of that OID.
func shapeOf(tree []value, source *source, fields uint32) (*shape, error) {
	if len(tree) != 1 || tree[0].node == nil || tree[0].node.kind != "QUERY" {
		return nil, errTree
	}
	inner, err := subquery(tree[0].node)
	if err != nil {
		return nil, err
	}
	if inner == nil {
		return nil, closes(source)
	}
	s := &shape{targets: inner.nodes("targetList"), condition: inner.child("jointree").child("quals")}
	if err := s.check(source); err != nil {
		return nil, err
	}
	for _, c := range clauses {
		if !inner.empty(c.key) {
			return nil, source.mistake(-1, c.problem, c.hint)
		}
	}
	if !overFields(inner, fields) {
		return nil, source.mistake(-1, "it names a table of its own", "items are of fields alone: load what it looks up into the table, and join it there")
	}
	for _, t := range s.targets {
		if t.kind != "TARGETENTRY" || t.child("expr") == nil || t.get("resjunk").word != "false" {
			return nil, errTree
		}
	}
	return s, nil
}

// closes says that a list closes a bracket of ours, and opens it again.
func closes(source *source) error {
	return source.mistake(-1, "it closes a bracket that it has not opened", "write items alone, with commas between them")
}

// subquery returns the one query in brackets that outer consists of, nil if it is more.
func subquery(outer *node) (*node, error) {
	for _, c := range clauses {
		if !outer.empty(c.key) {
			return nil, nil
		}
	}
	rte := onlyFrom(outer)
	if rte == nil || rte.number("rtekind") != rteSubquery || !outer.child("jointree").empty("quals") {
		return nil, nil
	}
	inner := rte.child("subquery")
	if inner == nil || inner.kind != "QUERY" || inner.child("jointree") == nil {
		return nil, errTree
	}
	for i, t := range outer.nodes("targetList") {
		if v := t.child("expr"); v == nil || v.kind != "VAR" || v.number("varattno") != i+1 {
			return nil, nil
		}
	}
	return inner, nil
}

// onlyFrom returns the entry of the only thing that a query is from, nil for others.
func onlyFrom(query *node) *node {
	join, table := query.child("jointree"), query.nodes("rtable")
	if join == nil {
		return nil
	}
	from := join.nodes("fromlist")
	if len(from) != 1 || from[0].kind != "RANGETBLREF" {
		return nil
	}
	i := from[0].number("rtindex") - 1
	if i < 0 || i >= len(table) {
		return nil
	}
	return table[i]
}

// overFields reports whether a query is from the relation of that OID alone.
func overFields(query *node, fields uint32) bool {
	rte := onlyFrom(query)
	return rte != nil && len(query.nodes("rtable")) == 1 && rte.number("rtekind") == rteRelation && rte.number("relid") == int(fields)
}

// check refuses expressions that need more than their record.
func (s *shape) check(source *source) error {
	exprs := make([]*node, 0, len(s.targets)+1)
	exprs = append(exprs, s.targets...)
	if s.condition != nil {
		exprs = append(exprs, s.condition)
	}
	for _, expr := range exprs {
		for n := range expr.all() {
			if bad, ok := kinds[n.kind]; ok {
				return source.mistake(n.number("location"), bad.problem, bad.hint)
			}
			switch {
			case n.get("funcretset").word == "true", n.get("opretset").word == "true":
				return source.mistake(n.number("location"), "a function that returns several rows is not to be had", "one record is one row")
			case n.kind == "VAR" && n.number("varattno") == 0:
				return source.mistake(n.number("location"), "the row of fields as a whole is not to be had", "name its fields")
			case n.kind == "VAR" && n.number("varattno") < 0:
				return source.mistake(n.number("location"), "a system column is not to be had", "fields have none; for the line of a record there is "+Line)
			case n.kind == "VAR" && n.number("varlevelsup") != 0:
				return errTree
			}
		}
	}
	return nil
}

// cuts returns the node of a cast that cuts what is too long without an error, nil for none:
// those to varchar(n), char(n), bit(n) and varbit(n). The server adds the same calls where it
// assigns a value to a column, but then they refuse it.
func cuts(expr *node) *node {
	lengths := map[int]bool{668: true, 669: true, 1685: true, 1687: true} // pg_proc.dat: bpchar, varchar, bit, varbit
	for n := range expr.all() {
		if n.kind != "FUNCEXPR" || !lengths[n.number("funcid")] {
			continue
		}
		args := n.nodes("args")
		if len(args) != 3 || !isFalse(args[2]) {
			return n
		}
	}
	return nil
}

// isFalse reports whether n is the constant false.
func isFalse(n *node) bool {
	if n.kind != "CONST" || n.get("constisnull").word != "false" {
		return false
	}
	datum, ok := n.datum()
	return ok && len(datum) > 0 && datum[0] == 0
}
