package verify

import (
	"slices"

	"shardload/internal/checksum"
)

// A DeepCheck says whether a table has the contents of the inputs that were loaded
// into it.
type DeepCheck struct {
	Table  string   `json:"table"`
	Inputs []string `json:"inputs"`

	// NotCompared has the columns that some input leaves out, and those of which the server may
	// evaluate something else now than it did.
	NotCompared []string `json:"not_compared,omitempty"`

	Input    checksum.Table `json:"input"`
	Database checksum.Table `json:"database"`

	// Expected is what a manifest says of Database, nil if nobody knows.
	Expected *checksum.Table `json:"expected,omitempty"`

	// Unloadable says which records of the inputs no table can have.
	Unloadable Unloadable `json:"unloadable"`

	// Rejected is how many records were left out because the load had rejected them.
	Rejected int64 `json:"rejected,omitempty"`

	// Left is how many records were left out because they do not meet the condition.
	Left int64 `json:"left_out,omitempty"`

	// Columns has the columns whose checksums differ. It is empty, too, if rows have
	// exchanged values.
	Columns []string `json:"columns,omitempty"`

	Where

	// Problem says in words what differs, "" if nothing does; Details has a line for
	// each difference; Next what to do about it.
	Problem string   `json:"problem,omitempty"`
	Details []string `json:"details,omitempty"`
	Next    string   `json:"next,omitempty"`
}

// Where says in which tenants a table differs, as far as that was searched.
type Where struct {
	// Key has the columns that name a tenant, or a row of a table that is not
	// distributed. Tenants has those that differ, the largest differences first, and
	// MoreTenants how many others there are in the parts that were compared.
	Key         []string           `json:"key,omitempty"`
	Tenants     []TenantDifference `json:"tenants,omitempty"`
	MoreTenants int64              `json:"more_tenants,omitempty"`
	Parts       Parts              `json:"parts,omitzero"`

	// RowKey has the columns of the primary key that names a tenant's rows, if it does.
	RowKey []string `json:"row_key,omitempty"`
}

func (d *deep) newCheck() DeepCheck {
	check := DeepCheck{Table: d.cfg.Table}
	for _, in := range d.cfg.Inputs {
		check.Inputs = append(check.Inputs, in.at.Name)
	}
	for _, c := range d.table.Columns {
		if d.index(c.Name) < 0 && !c.Generated {
			check.NotCompared = append(check.NotCompared, c.Name)
		}
	}
	for _, i := range d.key {
		check.Key = append(check.Key, d.columns[i].Name)
	}
	for _, i := range d.rowKey {
		check.RowKey = append(check.RowKey, d.columns[i].Name)
	}
	return check
}

// compare finds the columns that differ.
func (c *DeepCheck) compare() {
	for i, mine := range c.Input.Columns {
		if mine != c.Database.Columns[i] {
			c.Columns = append(c.Columns, mine.Name)
		}
	}
}

// Same reports whether the table has what the inputs have.
func (c *DeepCheck) Same() bool {
	return c.Input.Rows == c.Database.Rows && c.Input.RowSum == c.Database.RowSum && len(c.Columns) == 0 && c.Unloadable.Records == 0
}

// asExpected reports whether the table has what a manifest says.
func (c *DeepCheck) asExpected() bool { return c.Expected != nil && c.Expected.Equal(c.Database) }

// changed reports whether the inputs are certainly not what a manifest describes.
func (c *DeepCheck) changed() bool {
	return c.Expected != nil && c.Unloadable.Records == 0 && !c.Expected.Equal(c.Input)
}

func sameColumns(a, b []checksum.Column) bool {
	return slices.EqualFunc(a, b, func(a, b checksum.Column) bool { return a.Name == b.Name })
}
