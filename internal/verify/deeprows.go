package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"shardload/internal/term"
)

// maxNames is how many bytes the names of rows take at most, of the inputs' and of the
// table's. Where they take more, rows are told by their places alone.
const maxNames = 32 << 20

// A RowDifference is a row that differs, by its primary key.
type RowDifference struct {
	Key     []*string `json:"key"`              // the primary key's values, null for NULL
	Record  string    `json:"record,omitempty"` // where it is in the inputs, "" if it is not there
	InTable bool      `json:"in_table"`         // the table has a row of that key
	Query   string    `json:"query"`            // shows it
}

// A rowName is a row's primary key.
type rowName struct {
	hash  int64     // of the values
	names []*string // the values as they are in the record, or as the server writes them
}

// rowNames counts what the names of rows take.
type rowNames struct {
	of   *selection
	left int // bytes
}

// newRowNames returns the rowNames of one of several sinks, nil if nothing names a row.
func newRowNames(of *selection, sinks int) *rowNames {
	if of.rowKey == nil {
		return nil
	}
	return &rowNames{of, maxNames / sinks}
}

// wanted reports whether rows are named, and there is room for more names.
func (n *rowNames) wanted() bool { return n != nil && n.left > 0 }

// count takes what names take from the room that is left.
func (n *rowNames) count(names []*string) {
	for _, name := range names {
		n.left -= 32 // of the pointer and what it points to
		if name != nil {
			n.left -= len(*name)
		}
	}
}

// merge notes that there was no room for the names of another sink.
func (n *rowNames) merge(o *rowNames) {
	if n != nil {
		n.left = min(n.left, o.left)
	}
}

// read reads the name of a row of recordsSQL.
func (n *rowNames) read(values [][]byte) (name rowName, err error) {
	if name.hash, err = strconv.ParseInt(string(values[0]), 10, 64); err != nil {
		return name, fmt.Errorf("the server's hash: %w", err)
	}
	name.names = make([]*string, len(n.of.rowKey))
	readNames(name.names, values[1:])
	n.count(name.names)
	return name, nil
}

// nameRows names the rows of a tenant that differ: its records that the table does not have as
// they are, in their order, and the rows of the table that are no record's.
func nameRows(d *deep, t *TenantDifference, missing []alike, extra map[int64]rowName) {
	var differ, gone, more []RowDifference
	for _, a := range missing {
		row := RowDifference{Key: a.names, Record: d.positionName(a.at)}
		if name, there := extra[a.hash]; there {
			delete(extra, a.hash)
			row.Key, row.InTable = name.names, true
		}
		row.Query = d.rowsQuery(d.rowKey, row.Key)
		if row.InTable {
			differ = append(differ, row)
		} else {
			gone = append(gone, row)
		}
	}
	for _, name := range extra {
		more = append(more, RowDifference{Key: name.names, InTable: true, Query: d.rowsQuery(d.rowKey, name.names)})
	}
	slices.SortFunc(more, func(a, b RowDifference) int { return slices.CompareFunc(a.Key, b.Key, compareNames) })
	t.Differing = int64(len(differ))
	for _, list := range [][]RowDifference{differ, gone, more} {
		t.Rows = append(t.Rows, list[:min(len(list), maxSome)]...)
	}
}

// rowTexts says which rows of a tenant differ, each kind after a semicolon.
func (c *DeepCheck) rowTexts(t TenantDifference) (text string) {
	kinds := []struct {
		name string
		is   func(RowDifference) bool
		all  int64
	}{
		{"rows that differ: ", func(r RowDifference) bool { return r.Record != "" && r.InTable }, t.Differing},
		{"not in the table: ", func(r RowDifference) bool { return !r.InTable }, t.Missing - t.Differing},
		{"not in the input: ", func(r RowDifference) bool { return r.Record == "" }, t.Extra - t.Differing},
	}
	for _, kind := range kinds {
		var names []string
		for _, r := range t.Rows {
			if kind.is(r) {
				names = append(names, c.rowName(r))
			}
		}
		if len(names) == 0 {
			continue
		}
		text += "; " + kind.name + strings.Join(names, ", ")
		if more := kind.all - int64(len(names)); more > 0 {
			text += fmt.Sprintf(" and %s more", term.Count(more))
		}
	}
	return text
}

// rowName returns what people call a row of a tenant, whose own key is said already.
func (c *DeepCheck) rowName(r RowDifference) string {
	var names []string
	for i, column := range c.RowKey {
		if !slices.Contains(c.Key, column) {
			names = append(names, column+" "+keyText(r.Key[i]))
		}
	}
	text := strings.Join(names, " ")
	if r.Record != "" {
		text += " (" + r.Record + ")"
	}
	return text
}
