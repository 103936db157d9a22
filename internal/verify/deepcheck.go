package verify

import (
	"fmt"
	"slices"
	"strings"

	"shardload/internal/checksum"
)

// A DeepCheck says whether a table has the contents of the inputs that were loaded
// into it.
type DeepCheck struct {
	Table  string   `json:"table"`
	Inputs []string `json:"inputs"`

	// NotCompared has the columns that some input leaves out.
	NotCompared []string `json:"not_compared,omitempty"`

	Input    checksum.Table `json:"input"`
	Database checksum.Table `json:"database"`

	// Expected is what a manifest says of Database, nil if nobody knows.
	Expected *checksum.Table `json:"expected,omitempty"`

	// Unloadable says which records of the inputs no table can have.
	Unloadable Unloadable `json:"unloadable"`

	// Rejected is how many records were left out because the load had rejected them.
	Rejected int64 `json:"rejected,omitempty"`

	// Columns has the columns whose checksums differ. It is empty, too, if rows have
	// exchanged values.
	Columns []string `json:"columns,omitempty"`

	// Key has the columns that name a tenant, or a row of a table that is not
	// distributed. Tenants has those that differ, the largest differences first, and
	// MoreTenants how many others there are in the parts that were compared.
	Key         []string           `json:"key,omitempty"`
	Tenants     []TenantDifference `json:"tenants,omitempty"`
	MoreTenants int64              `json:"more_tenants,omitempty"`
	Parts       Parts              `json:"parts,omitzero"`

	// Problem says in words what differs, "" if nothing does; Details has a line for
	// each difference; Next what to do about it.
	Problem string   `json:"problem,omitempty"`
	Details []string `json:"details,omitempty"`
	Next    string   `json:"next,omitempty"`
}

func (d *deep) newCheck() DeepCheck {
	check := DeepCheck{Table: d.cfg.Table}
	for _, in := range d.cfg.Inputs {
		check.Inputs = append(check.Inputs, in.name)
	}
	for _, c := range d.table.Columns {
		if d.index(c.Name) < 0 && !c.Generated {
			check.NotCompared = append(check.NotCompared, c.Name)
		}
	}
	for _, i := range d.key {
		check.Key = append(check.Key, d.columns[i].Name)
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

// describe puts what differs into words.
func (c *DeepCheck) describe() {
	switch {
	case c.changed():
		c.Problem = "the files are not what the manifest describes"
		c.Next = "copy or generate them again, and load them with --replace"
		if c.asExpected() {
			c.Problem += ", but the table is"
			c.Next = "the table was loaded before they changed: copy or generate them again"
		}
		if c.Same() || c.asExpected() {
			return
		}
	case c.Same() || c.asExpected():
		return
	}
	var problems []string
	if c.Problem != "" {
		problems = append(problems, c.Problem)
	}
	rows := c.Input.Rows + c.Unloadable.Records
	switch {
	case rows != c.Database.Rows:
		problems = append(problems, fmt.Sprintf("%d rows in the input, %d in the table", rows, c.Database.Rows))
	case len(c.Columns) == 0 && c.Input.RowSum != c.Database.RowSum:
		problems = append(problems, "each column has the right values, but some of them in other rows")
	}
	if len(c.Columns) > 0 && rows == c.Database.Rows {
		problems = append(problems, "contents differ in "+plural(len(c.Columns), "column")+" ("+some(c.Columns)+")")
	}
	if c.Unloadable.Records > 0 {
		problems = append(problems, fmt.Sprintf("%s of the input cannot be in any table, the first: %s",
			plural(c.Unloadable.Records, "record"), c.Unloadable.First))
	}
	c.Problem = strings.Join(problems, "; ")
	for _, t := range c.Tenants {
		c.Details = append(c.Details, c.detail(t))
	}
	if c.MoreTenants > 0 || c.Parts.Compared < c.Parts.Differing {
		c.Details = append(c.Details, c.rest())
	}
	if !c.changed() {
		c.Next = c.next()
	}
}

// detail describes how a tenant differs.
func (c *DeepCheck) detail(t TenantDifference) string {
	var name []string
	for i, key := range t.Key {
		value := "NULL"
		if key != nil {
			value = clip(*key)
		}
		name = append(name, c.Key[i]+" "+value)
	}
	if len(name) == 0 {
		name = []string{"a row that the input does not have"}
		if t.First != "" {
			name = []string{t.First}
		}
	}
	text := strings.Join(name, ", ") + fmt.Sprintf(": %s in the input, %d in the table", plural(t.InputRows, "row"), t.DatabaseRows)
	switch {
	case t.InputRows != t.DatabaseRows:
	case t.rowsAlone:
		text += "; differs"
	case len(t.Columns) > 0:
		text += "; differs in " + some(t.Columns)
	default:
		text += "; values are in other rows"
	}
	switch {
	case t.Searched:
		text += t.rows()
	case t.InputRows == 1 && len(t.Key) > 0:
		text += " (" + t.First + ")"
	case t.First != "" && len(t.Key) > 0:
		text += " (first at " + t.First + ")"
	}
	return text
}

// rows says which records and rows are alone.
func (t *TenantDifference) rows() (text string) {
	if t.Missing > 0 {
		text += "; not in the table: " + strings.Join(t.Records, ", ")
		if more := t.Missing - int64(len(t.Records)); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
	}
	if t.Extra > 0 {
		text += fmt.Sprintf("; not in the input: %s", plural(t.Extra, "row"))
	}
	return text
}

// rest says what the details leave out.
func (c *DeepCheck) rest() string {
	text := fmt.Sprintf("and %d more", c.MoreTenants)
	if c.Parts.Compared < c.Parts.Differing {
		text += fmt.Sprintf(" in the %d of %d differing parts of the table that were searched", c.Parts.Compared, c.Parts.Differing)
	}
	return text
}

// next says what to do.
func (c *DeepCheck) next() string {
	if len(c.Tenants) > 0 && c.Tenants[0].Query != "" {
		return "to see the table's rows: " + c.Tenants[0].Query +
			"; if nobody changed them since the load, load the input again with --replace"
	}
	if len(c.Tenants) > 0 {
		return "if nobody changed the table since the load, load the input again with --replace"
	}
	return "mend these records and load them; if the load has rejected them, name its list with --rejects"
}

// maxSome is how many names a line has.
const maxSome = 5

// some returns the first of names.
func some(names []string) string {
	if len(names) > maxSome {
		return strings.Join(names[:maxSome], ", ") + fmt.Sprintf(" and %d more", len(names)-maxSome)
	}
	return strings.Join(names, ", ")
}

// clip returns what a line has of a value, in quotes unless it is plain.
func clip(v string) string {
	const limit = 60
	if r := []rune(v); len(r) > limit {
		v = string(r[:limit]) + "…"
	}
	if v == "" || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c == '"' || c == ',' }) {
		return fmt.Sprintf("%q", v)
	}
	return v
}

func plural[N int | int64](n N, what string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
