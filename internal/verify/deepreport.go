package verify

import (
	"fmt"
	"strings"

	"shardload/internal/term"
)

// What to do about a table that differs: how Next ends.
const (
	loadThem = "load them anew into the empty table"
	loadAnew = "empty the table and load the input anew"
	nameList = "name its list"
)

// Advice returns the end of Next, which holds no value of anybody's: a program may say it
// in words of its own.
func (c *DeepCheck) Advice() string {
	for _, advice := range []string{loadThem, loadAnew, nameList} {
		if strings.HasSuffix(c.Next, advice) {
			return advice
		}
	}
	return ""
}

// describe puts what differs into words.
func (c *DeepCheck) describe() {
	var problems []string
	if c.changed() {
		problems = append(problems, "the files are not what the manifest describes")
		c.Next = "copy or generate them again, and " + loadThem
		if c.asExpected() {
			problems[0] += ", but the table is"
			c.Next = "the table was loaded before they changed: copy or generate them again"
		}
	}
	if !c.Same() && !c.asExpected() {
		problems = append(problems, c.differences()...)
		for _, t := range c.Tenants {
			c.Details = append(c.Details, c.detail(t))
		}
		if c.MoreTenants > 0 || c.Parts.Compared < c.Parts.Differing {
			c.Details = append(c.Details, c.rest())
		}
		if c.Next == "" {
			c.Next = c.next()
		}
	}
	c.Problem = strings.Join(problems, "; ")
}

// differences says how the table as a whole differs from the inputs.
func (c *DeepCheck) differences() (list []string) {
	rows := c.Input.Rows + c.Unloadable.Records
	switch {
	case rows != c.Database.Rows:
		list = append(list, fmt.Sprintf("%s in the input, %s in the table", term.Plural(rows, "row"), term.Count(c.Database.Rows)))
	case len(c.Columns) > 0:
		list = append(list, "contents differ in "+term.Plural(len(c.Columns), "column")+" ("+some(c.Columns)+")")
	case c.Input.RowSum != c.Database.RowSum:
		list = append(list, "each column has the right values, but some of them in other rows")
	}
	if c.Unloadable.Records > 0 {
		list = append(list, fmt.Sprintf("%s of the input cannot be in any table, the first: %s",
			term.Plural(c.Unloadable.Records, "record"), c.Unloadable.First))
	}
	return list
}

// detail describes how a tenant differs.
func (c *DeepCheck) detail(t TenantDifference) string {
	var name []string
	for i, key := range t.Key {
		name = append(name, c.Key[i]+" "+keyText(key))
	}
	if len(name) == 0 {
		name = []string{"a row that the input does not have"}
		if t.First != "" {
			name = []string{t.First}
		}
	}
	text := strings.Join(name, ", ") + fmt.Sprintf(": %s in the input, %s in the table", term.Plural(t.InputRows, "row"), term.Count(t.DatabaseRows))
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
	case len(t.Rows) > 0:
		text += c.rowTexts(t)
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
			text += fmt.Sprintf(" and %s more", term.Count(more))
		}
	}
	if t.Extra > 0 {
		text += fmt.Sprintf("; not in the input: %s", term.Plural(t.Extra, "row"))
	}
	return text
}

// rest says what the details leave out.
func (c *DeepCheck) rest() string {
	text := fmt.Sprintf("and %s more", term.Count(c.MoreTenants))
	if c.Parts.Compared < c.Parts.Differing {
		text += fmt.Sprintf(" in the %d of %d differing parts of the table that were searched", c.Parts.Compared, c.Parts.Differing)
	}
	return text
}

// next says what to do.
func (c *DeepCheck) next() string {
	if len(c.Tenants) > 0 && c.Tenants[0].Query != "" {
		query := c.Tenants[0].Query
		if rows := c.Tenants[0].Rows; len(rows) > 0 && rows[0].InTable {
			query = rows[0].Query
		}
		return "to see the table's rows: " + query +
			"; if nobody changed them since the load, " + loadAnew
	}
	if len(c.Tenants) > 0 {
		return "if nobody changed the table since the load, " + loadAnew
	}
	return "mend these records and load them; if the load has rejected them, " + nameList
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

// keyText returns what a line has of a key's value.
func keyText(key *string) string {
	if key == nil {
		return "NULL"
	}
	return clip(*key)
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
