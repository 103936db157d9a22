package generate

import (
	"slices"
	"strconv"

	"shardload/schema"
)

// A Damage is a way in which a record is wrong.
type Damage string

// The kinds of damage. A server refuses the record, with the SQLSTATE named here;
// only an orphan it stores, unless foreign keys forbid that.
const (
	WrongType    Damage = "wrong_type"    // a value that is not of its column's type (22P02, 22007)
	MissingField Damage = "missing_field" // the last one (22P04)
	DuplicateKey Damage = "duplicate_key" // the key of a record that stands before it in the file (23505)
	BadEncoding  Damage = "bad_encoding"  // bytes that are not UTF-8 (22021)
	OutOfRange   Damage = "out_of_range"  // a number or date that its type cannot hold (22003, 22008)
	Orphan       Damage = "orphan"        // a parent that does not exist
)

var damages = [...]Damage{WrongType, MissingField, DuplicateKey, BadEncoding, OutOfRange, Orphan}

// Refused reports whether a server refuses such a record.
func (d Damage) Refused() bool { return d != Orphan }

// A flaw is a Damage that is done to a column.
type flaw struct {
	damage Damage
	column int    // of the table
	text   string // what the field becomes, or what is put before it
}

// newFlaws returns the flaws that a table's records can have, in the order of
// damages.
func newFlaws(k kind) (list [len(damages)][]flaw) {
	columns := schema.Tables()[k].ColumnNames()
	add := func(d Damage, column, text string) {
		if i := slices.Index(columns, column); i >= 0 {
			at := slices.Index(damages[:], d)
			list[at] = append(list[at], flaw{d, i, text})
		}
	}
	add(WrongType, "id", "12x")
	add(WrongType, "company_id", "acme")
	add(WrongType, "monthly_budget", "1,000.00")
	add(WrongType, "impressions_count", "many")
	add(WrongType, "created_at", "last spring")
	add(MissingField, "updated_at", "")
	add(DuplicateKey, "id", "")
	add(BadEncoding, "name", "Caf\xe9 ") // Latin-1
	add(BadEncoding, "name", "\xc3(")
	add(OutOfRange, "id", "2147483648")
	add(OutOfRange, "company_id", "-2147483649")
	add(OutOfRange, "clicks_count", "9223372036854775808")
	add(OutOfRange, "created_at", "2017-02-30 12:00:00")
	switch k {
	case campaigns:
		add(Orphan, "company_id", "")
	case ads:
		add(Orphan, "campaign_id", "0") // campaigns count from 1
	}
	return list
}

// damageCell is the random number that says what is wrong with a row.
const damageCell = cells - 1

// flaws says which rows of a dataset have a flaw, and which.
type flaws struct {
	seeds     seeds
	share     uint64 // of 2^32 records
	companies int64  // that exist
	lists     [kinds][len(damages)][]flaw
}

func (f *flaws) any() bool { return f.share > 0 }

// hit reports whether a row may be damaged, and returns random bits to say how.
func (f *flaws) hit(k kind, row int64) (random uint32, ok bool) {
	cell := f.seeds.cell(k, row, damageCell)
	return uint32(cell), cell>>32 < f.share
}

// of returns what is wrong with the row of c, or nil.
func (f *flaws) of(k kind, c *cursor) *flaw {
	random, ok := f.hit(k, c.row)
	if !ok || spared(k, c) {
		return nil
	}
	list := f.lists[k][random>>16*uint32(len(damages))>>16]
	if len(list) == 0 || !f.possible(&list[0], k, c) {
		list = f.lists[k][0]
	}
	return &list[int(random&0xFFFF)*len(list)>>16]
}

// spared reports whether the row of c is never damaged: the tutorial's statements
// are about the first ten companies, and the first campaign and ad of each.
func spared(k kind, c *cursor) bool {
	if k == companies {
		return c.company < 10
	}
	return c.id() == 1
}

// possible reports whether the row of c can have a flaw. To repeat a key there must
// be a row before it that is in order, and in the same run, so that it comes first
// in any file.
func (f *flaws) possible(one *flaw, k kind, c *cursor) bool {
	switch {
	case one.damage == DuplicateKey:
		_, hit := f.hit(k, c.row-1)
		return c.row%runRows != 0 && !hit
	case one.damage == Orphan && k == campaigns:
		return f.noCompany(c) <= maxID
	}
	return true
}

// noCompany returns the number of a company that does not exist, a different one
// for each company, so that no two orphans have one key.
func (f *flaws) noCompany(c *cursor) int64 { return f.companies + c.company + 1 }

// damage does one to the record at dst[start:], which is the row of c.
func (f *flaws) damage(dst []byte, start int, one *flaw, k kind, c *cursor, form *dialect) []byte {
	text := f.text(one, k, c)
	if form.json {
		name := schema.Tables()[k].ColumnNames()[one.column]
		from, to := jsonField(dst[start:], name)
		return damageJSON(dst, start+from, start+to, name, one, text)
	}
	from, to := form.field(dst[start:], one.column)
	from, to = start+from, start+to
	switch one.damage {
	case MissingField:
		return append(dst[:from-1], '\n')
	case BadEncoding:
		if dst[from] == '"' {
			from++
		}
		return slices.Insert(dst, from, []byte(text)...)
	}
	word := form.newWord(text)
	return slices.Replace(dst, from, to, form.appendWords(nil, &word, &nothing, &nothing)...)
}

// text returns what the field of one becomes in the row of c, or what is put before it.
func (f *flaws) text(one *flaw, k kind, c *cursor) string {
	switch {
	case one.damage == DuplicateKey && k == companies:
		return strconv.FormatInt(c.company, 10)
	case one.damage == DuplicateKey:
		return strconv.FormatInt(c.id()-1, 10)
	case one.damage == Orphan && k == campaigns:
		return strconv.FormatInt(f.noCompany(c), 10)
	}
	return one.text
}

// field returns where field i of a record is, quotes included.
func (d *dialect) field(record []byte, i int) (from, to int) {
	for {
		to = from + d.fieldLen(record[from:])
		if i == 0 {
			return from, to
		}
		i, from = i-1, to+1
	}
}

// fieldLen returns the length of the field that record begins with.
func (d *dialect) fieldLen(record []byte) int {
	n := 0
	for quoted := false; quoted || record[n] != d.delimiter && record[n] != '\n'; n++ {
		if d.quotes && record[n] == '"' {
			quoted = !quoted
		}
	}
	return n
}
