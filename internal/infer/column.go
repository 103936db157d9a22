package infer

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A Column is what is known of a column's values. It stays with one goroutine; those of
// several are merged.
type Column struct {
	values, nulls int64
	kinds         kinds
	roundFloats   bool // a number is seen that double precision would change
	longest       int  // value, in bytes
	distinct      counter
	fixed         Type // whatever the values are, "" if they decide
	document      bool // the values are JSON: of all kinds, and a string has its quotes
	lossy         bool // jsonb would refuse one of them, or lose a part of it
	noDocument    bool // the values are those of strings: none of them is JSON

	scratch []byte
}

// NewColumns returns n columns without values, which take at most some 64 MiB in all,
// however many values they see.
func NewColumns(n int) []Column {
	columns := make([]Column, n)
	for i := range columns {
		columns[i].distinct = newCounter(max(minCounted, min(maxCounted, maxCountedOfAll/max(n, 1))))
		columns[i].scratch = make([]byte, 0, 64)
	}
	return columns
}

// Fix makes the column one of that type.
func (c *Column) Fix(t Type) { c.fixed = t }

// Document makes the column one of values that are JSON, whatever they are: jsonb if that certainly
// takes all of them and loses nothing of them, and else json.
func (c *Column) Document() { c.document = true }

// NoDocument makes the column one of which no value is an object or a list, though the text of a
// string may look like one.
func (c *Column) NoDocument() { c.noDocument = true }

// AddNull notes a value that is missing.
func (c *Column) AddNull() { c.nulls++ }

// Add notes a value, as it is in COPY's text form.
func (c *Column) Add(v []byte) {
	c.values++
	c.longest = max(c.longest, len(v))
	switch {
	case c.document:
		c.lossy = c.lossy || !isJSON(v)
	case c.kinds&aText == 0:
		k := kindOf(v, c.scratch)
		const numbers = anInteger | aBigint | aDecimal
		if k&numbers != 0 && !c.roundFloats {
			c.roundFloats = !survives(v)
		}
		if c.noDocument && k == aJSON {
			k = aText
		}
		c.kinds |= k
	}
	c.distinct.add(xxhash.Sum64(v))
}

// Merge adds what is known of other values of the same column.
func (c *Column) Merge(other *Column) {
	c.values += other.values
	c.nulls += other.nulls
	c.kinds |= other.kinds
	c.roundFloats = c.roundFloats || other.roundFloats
	c.longest = max(c.longest, other.longest)
	c.fixed = cmp.Or(c.fixed, other.fixed)
	c.document = c.document || other.document
	c.lossy = c.lossy || other.lossy
	c.distinct.merge(&other.distinct)
}

// A Finding is what follows for a column of a table.
type Finding struct {
	Name    string `json:"name"`
	Type    Type   `json:"type"`
	NotNull bool   `json:"notNull"`
	Nulls   int64  `json:"nulls"`
	Values  int64  `json:"values"` // that are not NULL

	// Distinct is how many of the values differ, exactly or as far as it can be estimated.
	Distinct int64 `json:"distinct"`
	Exact    bool  `json:"exact"`
	// LargestShare is the share of all records that have the most frequent value; if not
	// Exact, it is at most that.
	LargestShare float64 `json:"largestShare"`

	longest int
	alike   bool // values may be equal whose texts are not
}

// typeOf returns the type that takes all values.
func (c *Column) typeOf() Type {
	switch {
	case c.document && c.lossy:
		return JSON
	case c.document:
		return JSONB
	}
	return cmp.Or(c.fixed, c.kinds.typeOf(c.roundFloats))
}

// Finding returns what follows for the column of that name.
func (c *Column) Finding(name string) Finding {
	f := Finding{
		Name: name, Type: c.typeOf(), Nulls: c.nulls, Values: c.values,
		NotNull: c.nulls == 0 && c.values > 0, longest: c.longest,
		alike: c.kinds&aUUID != 0 && c.kinds&aCapitalUUID != 0,
	}
	n, largest, exact := c.distinct.result()
	f.Distinct, f.Exact = min(n, c.values), exact
	if all := c.values + c.nulls; all > 0 {
		f.LargestShare = min(float64(largest), float64(c.values)) / float64(all)
	}
	return f
}

// What an index, and the hash of a distribution column, take.
const (
	longestKey = 2000 // bytes: a third of a page is an index's limit
	// deviation of an estimate that is not taken for another number, three times its
	// standard error
	deviation = 3 * 1.04 / (1 << (precision / 2))
)

// canBeKey reports whether the column could be a key, or part of one: values of its type
// are equal only if their texts are.
func (f *Finding) canBeKey() bool {
	return f.NotNull && !f.alike && f.longest <= longestKey && slices.Contains([]Type{Integer, Bigint, UUID, Date, Text}, f.Type)
}

// Unique reports whether each record may have a value of its own.
func (f *Finding) Unique() bool {
	if f.Exact {
		return f.canBeKey() && f.Distinct == f.Values
	}
	return f.canBeKey() && math.Abs(float64(f.Distinct-f.Values)) <= deviation*float64(f.Values)
}
