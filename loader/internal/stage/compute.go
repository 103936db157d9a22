package stage

import (
	"fmt"
	"slices"
	"strings"

	"shardload/internal/selection"
)

// ComputeSQL returns the query for the values of the column that decides a row's shard, and from
// what they are computed, by the indexes in Plan.Staging. Its parameters are arrays of texts,
// one for each of these, which have one for each record: at least one.
//
// What it gives is a text: v and the value, n for NULL; NULL for a record that the condition
// leaves out, of which nothing else is evaluated.
func (t *Table) ComputeSQL() (sql string, needs []int) {
	item := slices.IndexFunc(t.plan.Items, func(i selection.Item) bool { return i.Column == t.decides.Name })
	for i := range t.plan.Staging {
		// Which of them the condition refers to is not known.
		if s := &t.plan.Staging[i]; !t.isFile(i) && (slices.Contains(t.plan.Items[item].Needs, i) || t.Filters() && s.Used && s.Target == nil) {
			needs = append(needs, i)
		}
	}
	values := make([]string, len(t.plan.Staging))
	for i := range t.plan.Staging {
		s := &t.plan.Staging[i]
		value := "NULL"
		if at := slices.Index(needs, i); at >= 0 {
			value = fmt.Sprintf("%s.v%d", row, at+1)
		}
		value += "::" + s.TypeSQL()
		if t.isFile(i) {
			value = Text(t.file)
		}
		values[i] = value + " AS " + quote(s.Name)
	}
	arrays, names := []string{}, []string{}
	for i := range max(len(needs), 1) {
		arrays = append(arrays, fmt.Sprintf("pg_catalog.unnest($%d::pg_catalog.text[])", i+1))
		names = append(names, fmt.Sprintf("v%d", i+1))
	}
	value := "(" + t.decides.StoredSQL("q."+quote(t.decides.Name)) + ")::pg_catalog.text"
	// As a subquery by itself it evaluates the condition first.
	return "SELECT (SELECT coalesce(pg_catalog.textcat('v', " + value + "), 'n') FROM (" +
		t.plan.SQL("(SELECT "+strings.Join(values, ", ")+")", []int{item}, "", true) + ") AS q)" +
		" FROM ROWS FROM (" + strings.Join(arrays, ", ") + ") WITH ORDINALITY AS " + row + " (" + strings.Join(names, ", ") + ", n)" +
		" ORDER BY " + row + ".n", needs
}

// isFile reports whether plan.Staging[i] is the input's name.
func (t *Table) isFile(i int) bool {
	return i >= len(t.plan.Fields) && t.plan.Staging[i].Name == selection.File
}
