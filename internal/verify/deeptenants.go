package verify

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// A TenantDifference says how the rows of a tenant differ: of a value of the
// distribution column, or of the primary key where there is none. Without either
// it is about rows that are alike in all compared columns.
type TenantDifference struct {
	Key          []*string `json:"key,omitempty"` // the key's values, null for NULL
	InputRows    int64     `json:"input_rows"`
	DatabaseRows int64     `json:"database_rows"`
	Columns      []string  `json:"columns,omitempty"` // whose checksums differ

	// First is where its first record is in the inputs, "" if there is none.
	First string `json:"first,omitempty"`

	// Records is where the first of those of its records are that the table does not
	// have as they are; Missing is how many there are. Extra is how many rows of the
	// table are no record's. They are not known, all three, where Searched is false:
	// the tenant has too many rows, or a key of its own for each row.
	Records  []string `json:"records,omitempty"`
	Missing  int64    `json:"missing_records"`
	Extra    int64    `json:"extra_rows"`
	Searched bool     `json:"searched"`

	// Query shows its rows, "" without a key.
	Query string `json:"query,omitempty"`

	// Rows are the first of the rows that differ, by the primary key, where the tenant was
	// searched and the table has one: those that the table has otherwise, then those that it
	// does not have, then those that the input does not have. Differing is how many there are
	// of the first kind: each counts as missing and as extra, too.
	Rows      []RowDifference `json:"rows,omitempty"`
	Differing int64           `json:"differing_rows"`

	rowsAlone bool  // which columns differ was not looked at
	hash      int64 // of the key
}

// Parts says how much of what differs was searched for tenants. The rows are
// divided into 4,096 parts by the hashes of their keys.
type Parts struct {
	Differing int `json:"differing"`
	Compared  int `json:"compared"` // of those
}

// compareTenants compares the tenants of the inputs with those of the table, which
// are read as they come.
func (d *deep) compareTenants(ctx context.Context, p *parts, list map[int64]*tenant, check *DeepCheck) error {
	found := &differences{limit: d.cfg.Limit}
	columns := d.columns
	if len(columns) > columnsAtOnce {
		columns = nil
	}
	err := d.query(ctx, d.tenantsSQL(p, columns), func(values [][]byte) error {
		theirs, key, err := d.parseTenant(values, len(columns))
		if err != nil {
			return err
		}
		mine := list[key]
		delete(list, key)
		if mine == nil || mine.rows != theirs.rows {
			t := d.difference(mine, theirs, columns)
			t.hash = key
			found.add(t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, mine := range list {
		found.add(d.difference(mine, nil, columns))
	}
	check.Tenants, check.MoreTenants = found.result()
	return nil
}

// difference describes how a tenant of the inputs and the same one of the table
// differ. One of them may be nil.
func (d *deep) difference(mine, theirs *tenant, columns []column) TenantDifference {
	var t TenantDifference
	if mine != nil {
		t.Key, t.InputRows = mine.names, mine.rows.rows
		t.First = d.positionName(mine.at)
	}
	if theirs != nil {
		t.Key, t.DatabaseRows = theirs.names, theirs.rows.rows
	}
	for i := 0; mine != nil && theirs != nil && i < len(columns); i++ {
		if mine.columns[i] != theirs.columns[i] {
			t.Columns = append(t.Columns, columns[i].Name)
		}
	}
	t.Query = d.rowsQuery(d.key, t.Key)
	t.rowsAlone = columns == nil
	return t
}

// differences keeps the largest of many TenantDifferences.
type differences struct {
	limit int
	list  []TenantDifference
	count int64
}

func (f *differences) add(t TenantDifference) {
	f.count++
	f.list = append(f.list, t)
	if len(f.list) >= 100*f.limit {
		f.cut()
	}
}

// cut keeps the largest differences: those in the number of rows, then by key.
func (f *differences) cut() {
	slices.SortFunc(f.list, func(a, b TenantDifference) int {
		return cmp.Or(cmp.Compare(abs(b.InputRows-b.DatabaseRows), abs(a.InputRows-a.DatabaseRows)),
			slices.CompareFunc(a.Key, b.Key, compareNames), cmp.Compare(a.First, b.First))
	})
	f.list = f.list[:min(len(f.list), f.limit)]
}

// result returns the largest differences, and how many more there are.
func (f *differences) result() (list []TenantDifference, more int64) {
	f.cut()
	return f.list, f.count - int64(len(f.list))
}

func abs(n int64) int64 { return max(n, -n) }

// compareNames orders numbers as numbers, mostly: the shorter text comes first.
func compareNames(a, b *string) int {
	switch {
	case a == nil || b == nil:
		return cmp.Compare(btoi(a != nil), btoi(b != nil))
	default:
		return cmp.Or(cmp.Compare(len(*a), len(*b)), strings.Compare(*a, *b))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
