package infer

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// A Table is a table for all of some records.
type Table struct {
	// Name has the parts of the table's name: a schema or none, and its own.
	Name    []string  `json:"name"`
	Records int64     `json:"records"`
	Columns []Finding `json:"columns"`
}

// SQL returns the statement that makes the table, with what else was found in comments: a
// script for psql.
func (t *Table) SQL() string {
	var b strings.Builder
	name := t.name()
	fmt.Fprintf(&b, "CREATE TABLE %s (", name)
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n    %s %s", Name(c.Name), c.Type)
		if c.NotNull {
			b.WriteString(" NOT NULL")
		}
	}
	b.WriteString("\n);\n")
	t.writeUnknown(&b)
	t.writeKeys(&b, name)
	t.writeDistribution(&b, name)
	return b.String()
}

func (t *Table) name() string {
	parts := make([]string, len(t.Name))
	for i, part := range t.Name {
		parts[i] = Name(part)
	}
	return strings.Join(parts, ".")
}

// comment writes a line of a comment. A name may have line breaks.
func comment(b *strings.Builder, format string, args ...any) {
	line := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\u2028' || c == '\u2029' || c == '\u0085' {
			return '\ufffd'
		}
		return c
	}, fmt.Sprintf(format, args...))
	b.WriteString("-- " + line + "\n")
}

// writeUnknown says of which columns nothing is known.
func (t *Table) writeUnknown(b *strings.Builder) {
	if t.Records == 0 {
		b.WriteByte('\n')
		comment(b, "there are no records: nothing is known of the columns' types")
		return
	}
	var empty []string
	for _, c := range t.Columns {
		if c.Values == 0 {
			empty = append(empty, Name(c.Name))
		}
	}
	if len(empty) > 0 {
		b.WriteByte('\n')
		comment(b, "always NULL, so that nothing is known of the type: %s", strings.Join(empty, ", "))
	}
}

// mostCandidates is how many columns are named as candidates.
const mostCandidates = 5

// writeKeys names the columns of which each record has a value of its own.
func (t *Table) writeKeys(b *strings.Builder, name string) {
	keys := slices.DeleteFunc(slices.Clone(t.Columns), func(f Finding) bool { return !f.Unique() })
	if len(keys) == 0 {
		return
	}
	slices.SortStableFunc(keys, func(a, b Finding) int { return a.isID() - b.isID() })
	b.WriteByte('\n')
	comment(b, "key candidates: NOT NULL, and as many values as there are records")
	for _, c := range keys[:min(len(keys), mostCandidates)] {
		comment(b, "  %s (%s)", Name(c.Name), c.figures())
	}
	comment(b, "a distributed table's key must have the distribution column, too")
	comment(b, "ALTER TABLE %s ADD PRIMARY KEY (%s);", name, Name(keys[0].Name))
}

// figures says how many different values there are, and what the most frequent one has.
func (f *Finding) figures() string {
	distinct, share := "distinct "+humanize.Comma(f.Distinct), shareText(f.LargestShare)
	if !f.Exact {
		distinct, share = "distinct about "+humanize.Comma(f.Distinct)+", estimated", "up to "+share
	}
	null := "NOT NULL"
	if !f.NotNull {
		null = humanize.Comma(f.Nulls) + " NULL"
	}
	return fmt.Sprintf("%s, largest share %s, %s", distinct, share, null)
}

// shareText writes a share in percent.
func shareText(share float64) string {
	switch percent := 100 * share; {
	case percent < 0.01:
		return "0.01 %" // or less
	case percent < 1:
		return fmt.Sprintf("%.2f %%", percent)
	default:
		return fmt.Sprintf("%.1f %%", percent)
	}
}

// What a distribution column should have: more values than shards, none of them with more
// rows than a node should have.
const (
	fewestTenants = 32
	largestTenant = 0.2
)

// isID returns 0 for a column that is called an id, and 1 for others: the order of candidates.
func (f *Finding) isID() int {
	return 1 - isTrue(strings.HasSuffix(strings.ToLower(f.Name), "id"))
}

// isOther returns 0 for a column that is called the id of something else: the tenant's, it
// may be.
func (f *Finding) isOther() int {
	return 1 - isTrue(f.isID() == 0 && len(f.Name) > len("id"))
}

func isTrue(b bool) int {
	if b {
		return 1
	}
	return 0
}

// distribution returns the columns by which rows may be distributed, the best first: what is
// called the id of something else, then an id; of those the ones of which records share
// values, the coarser ones first.
func (t *Table) distribution() []Finding {
	list := slices.DeleteFunc(slices.Clone(t.Columns), func(f Finding) bool {
		return !f.canBeKey() || f.Type == Date || f.Distinct < fewestTenants || f.LargestShare > largestTenant
	})
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(a.isOther()-b.isOther(), a.isID()-b.isID(), isTrue(a.Unique())-isTrue(b.Unique()), cmp.Compare(a.Distinct, b.Distinct))
	})
	return list
}

// writeDistribution names the columns by which rows may be distributed.
func (t *Table) writeDistribution(b *strings.Builder, name string) {
	list := t.distribution()
	if len(list) == 0 {
		return
	}
	b.WriteByte('\n')
	comment(b, "distribution column candidates: NOT NULL, many values, none of them in a large part of")
	comment(b, "the records; which one it is, your queries and joins decide")
	for _, c := range list[:min(len(list), mostCandidates)] {
		comment(b, "  %s (%s)", Name(c.Name), c.figures())
	}
	comment(b, "SELECT create_distributed_table(%s, %s);", literal(name), literal(list[0].Name))
}

// literal returns a string as SQL writes it, under any setting.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// Print writes SQL to w.
func (t *Table) Print(w io.Writer) error {
	_, err := io.WriteString(w, t.SQL())
	return err
}
