package pgcsv

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// A Format is one of the two formats of COPY that are text.
type Format byte

// The formats. In CSV a quote changes what follows it, in Text a backslash.
const (
	CSV  Format = iota // COPY's FORMAT csv
	Text               // COPY's FORMAT text
)

// formats has what each Format is.
var formats = [...]*traits{CSV: &csvTraits, Text: &textTraits}

// Named returns the format that COPY calls by that name.
func Named(name string) (Format, error) {
	for f, of := range formats {
		if of.name == name {
			return Format(f), nil
		}
	}
	return CSV, fmt.Errorf("format %q is unknown; want csv or text", name)
}

// String returns what COPY calls the format.
func (f Format) String() string { return formats[f].name }

// Dialect returns how files of the format are written unless something else is said.
func (f Format) Dialect() Dialect { return formats[f].dialect }

// Extension returns how names of files of the format end, with the dot.
func (f Format) Extension() string { return formats[f].extension }

// RareHeader reports whether a first record hardly ever names the columns.
func (f Format) RareHeader() bool { return formats[f].rareHeader }

// ByRecord reports whether COPY's lines are records, so that it calls the n-th one line n.
// Else they are lines of the input.
func (f Format) ByRecord() bool { return formats[f].byRecord }

// A Dialect is all that COPY must be told of how a file is written. What its format has of
// its own is in its rules.
type Dialect struct {
	Format
	Delimiter byte   // between fields
	Null      string // what stands for NULL, unquoted
	Quote     byte   // around values, in CSV; 0 for none: a quote is data
	Escape    byte   // in quotes before a quote or another one that belong to the value, in CSV
}

// With returns d with another delimiter and null string, where they are not zero.
func (d Dialect) With(delimiter byte, null string) Dialect {
	d.Delimiter, d.Null = cmp.Or(delimiter, d.Delimiter), cmp.Or(null, d.Null)
	return d
}

// Quoted returns d with another quote and escape, where they are not zero, or with none at all.
// Where a quote alone is named it is the escape, too, as for COPY.
func (d Dialect) Quoted(quote, escape byte, none bool) Dialect {
	d.Quote = cmp.Or(quote, d.Quote)
	d.Escape = cmp.Or(escape, d.Quote)
	if none && d.Format == CSV {
		d.Quote, d.Escape = 0, 0
	}
	return d
}

// Check reports all that COPY has against d.
func (d Dialect) Check() error {
	var errs []error
	switch d.Delimiter {
	case '\n', '\r', 0:
		errs = append(errs, fmt.Errorf("delimiter %q cannot separate fields", d.Delimiter))
	}
	errs = append(errs, formats[d.Format].check(d))
	if d.Delimiter >= 0x80 {
		errs = append(errs, errors.New("the delimiter must be one ASCII character"))
	}
	if strings.ContainsAny(d.Null, "\r\n\x00") || strings.IndexByte(d.Null, d.Delimiter) >= 0 {
		errs = append(errs, errors.New("the null string cannot contain the delimiter, a line break or a zero byte"))
	}
	return errors.Join(errs...)
}

// IsEnd reports whether record is the line \. alone, or begins with it inside quotes, which
// the server does not look at.
func IsEnd(record []byte) bool {
	return len(record) >= 2 && record[0] == '\\' && record[1] == '.' && (len(record) == 2 || record[2] == '\n' || record[2] == '\r')
}

// EndMark returns what is wrong with a record that is the line \. alone, nil if it is data
// like any other for a server of that version (server_version_num, 0 for any).
func (d Dialect) EndMark(version int) error { return formats[d.Format].endMark(version) }

// Complaint returns COPY's words for a record that it would not take for one record, "" if
// there are none.
func (d Dialect) Complaint(record []byte) string { return formats[d.Format].complaint(record) }

// LooksLike says what a record may be whose fields cannot be found by the delimiter, in
// words that follow a semicolon, "" for nothing. It should have that many fields.
func (d Dialect) LooksLike(record []byte, fields int) string {
	return formats[d.Format].looksLike(record, d.Delimiter, fields)
}

// AppendFields appends the fields of record, which is one record without its line
// break. An empty record has one empty field.
func (d Dialect) AppendFields(dst []Field, record []byte) []Field {
	r := d.rules()
	return r.appendFields(dst, record, d.Delimiter, r.special(record))
}

// Values returns the values of the fields of record, NULL or not.
func (d Dialect) Values(record []byte) (values []string) {
	var value, scratch []byte
	for _, f := range d.AppendFields(nil, record) {
		value, scratch = f.Value(record, scratch)
		values = append(values, string(value))
	}
	return values
}

func (d Dialect) rules() rules {
	switch {
	case d.Format == Text:
		return textRules{}
	case d.Quote == 0:
		return unquotedRules{}
	case d.Quote != d.Escape:
		return escapedRules{d.Quote, d.Escape}
	}
	return csvRules{d.Quote}
}

// Sent returns the dialect in which COPY takes records of d: d itself where it has it.
func (d Dialect) Sent() Dialect {
	if d.Format == CSV && d.Quote == 0 {
		return Text.Dialect()
	}
	return d
}

// traits are what a format is beside its rules.
type traits struct {
	name       string
	dialect    Dialect // unless something else is said
	extension  string
	rareHeader bool
	byRecord   bool
	stray      string // how COPY calls a line break of another kind than the first record's

	check     func(d Dialect) error // reports what is against d in its format alone
	endMark   func(version int) error
	complaint func(record []byte) string
	looksLike func(record []byte, delimiter byte, fields int) string
	cutEnd    func(data []byte) (rest []byte, ended bool) // takes the line that ends the data off them, if it is their last record
}

// A state is what the bytes before a place make of the next one. Each record begins outside
// quotes.
type state byte

const (
	outside  state = iota // of quotes
	inside                // them
	escaping              // them, after an escape
)

// rules say where records of a dialect end and what their fields are. Special bytes are
// those that change what follows them.
type rules interface {
	// eol returns how the first record of b ends, EOLUnknown if none does. None ends before
	// from, where the state is s, and final says that nothing follows b.
	eol(b []byte, from int, s state, final bool) EOL
	// after returns the state after b, before which it is s.
	after(b []byte, s state) state
	// lastEnd returns the position after the last record that ends in buf, which begins with
	// a record, 0 if none does.
	lastEnd(buf []byte, last byte) int
	// firstEnd returns the position after the first record that ends at or after from, 0 if
	// none does. The state is s there.
	firstEnd(buf []byte, from int, s state, last byte) int

	// recordEnd returns the position after the first record of rest, the number of line
	// breaks in it, and whether it has special bytes.
	recordEnd(rest []byte, last byte) (end int, lines int64, special bool)
	// breaks reports whether record[i], a byte that ends records, ends this one.
	breaks(record []byte, i int) bool
	// special reports whether record has special bytes.
	special(record []byte) bool
	// appendFields appends the fields of a record that has special bytes, or has none.
	appendFields(dst []Field, record []byte, delimiter byte, special bool) []Field
	// hasStray reports whether c stands in record without a special byte that allows it.
	hasStray(record []byte, c byte) bool
}
