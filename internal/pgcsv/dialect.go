package pgcsv

import (
	"errors"
	"fmt"
	"strings"
)

// A Dialect is one of the two formats of COPY that are text. What one has of its own is in
// its rules.
type Dialect byte

// The dialects. In CSV a quote changes what follows it, in Text a backslash.
const (
	CSV  Dialect = iota // COPY's FORMAT csv
	Text                // COPY's FORMAT text
)

// dialects has the rules of each Dialect.
var dialects = [...]rules{CSV: csvRules{}, Text: textRules{}}

// Named returns the dialect that COPY calls by that name.
func Named(name string) (Dialect, error) {
	for d := range dialects {
		if d := Dialect(d); d.String() == name {
			return d, nil
		}
	}
	return CSV, fmt.Errorf("format %q is unknown; want csv or text", name)
}

// String returns what COPY calls the dialect.
func (d Dialect) String() string { return d.rules().traits().name }

// Delimiter returns the byte that separates fields unless another one is named.
func (d Dialect) Delimiter() byte { return d.rules().traits().delimiter }

// Null returns what stands for NULL unless another string is named.
func (d Dialect) Null() string { return d.rules().traits().null }

// Check reports all that COPY has against a delimiter and a string that stands for NULL.
func (d Dialect) Check(delimiter byte, null string) error {
	var errs []error
	switch delimiter {
	case '\n', '\r', 0:
		errs = append(errs, fmt.Errorf("delimiter %q cannot separate fields", delimiter))
	}
	errs = append(errs, d.rules().check(delimiter, null))
	if delimiter >= 0x80 {
		errs = append(errs, errors.New("the delimiter must be one ASCII character"))
	}
	if strings.ContainsAny(null, "\r\n\x00") || strings.IndexByte(null, delimiter) >= 0 {
		errs = append(errs, errors.New("the null string cannot contain the delimiter, a line break or a zero byte"))
	}
	return errors.Join(errs...)
}

// Extension returns how names of files of the dialect end, with the dot.
func (d Dialect) Extension() string { return d.rules().traits().extension }

// RareHeader reports whether a first record hardly ever names the columns.
func (d Dialect) RareHeader() bool { return d.rules().traits().rareHeader }

// ByRecord reports whether COPY's lines are records, so that it calls the n-th one line n.
// Else they are lines of the input.
func (d Dialect) ByRecord() bool { return d.rules().traits().byRecord }

// EndMark returns what is wrong with a record that is the line \. alone, nil if it is data
// like any other. before18 says that the server is older than PostgreSQL 18.
func (d Dialect) EndMark(before18 bool) error { return d.rules().endMark(before18) }

// Complaint returns COPY's words for a record that it would not take for one record, "" if
// there are none.
func (d Dialect) Complaint(record []byte) string { return d.rules().complaint(record) }

// LooksLike says what a record may be whose fields cannot be found by the delimiter, in
// words that follow a semicolon, "" for nothing. It should have that many fields.
func (d Dialect) LooksLike(record []byte, delimiter byte, fields int) string {
	return d.rules().looksLike(record, delimiter, fields)
}

// AppendFields appends the fields of record, which is one record without its line
// break. An empty record has one empty field.
func (d Dialect) AppendFields(dst []Field, record []byte, delimiter byte) []Field {
	r := d.rules()
	return r.appendFields(dst, record, delimiter, r.special(record))
}

// Values returns the values of the fields of record, NULL or not.
func (d Dialect) Values(record []byte, delimiter byte) (values []string) {
	var value, scratch []byte
	for _, f := range d.AppendFields(nil, record, delimiter) {
		value, scratch = f.Value(record, scratch)
		values = append(values, string(value))
	}
	return values
}

func (d Dialect) rules() rules { return dialects[d] }

// traits are what a dialect is beside its rules.
type traits struct {
	name       string
	delimiter  byte
	null       string
	extension  string
	rareHeader bool
	byRecord   bool
	stray      string // how COPY calls a line break of another kind than the first record's
}

// rules say where records of a dialect end and what their fields are. Special bytes are
// those that change what follows them.
type rules interface {
	traits() *traits

	// eol returns how the first record of b ends, EOLUnknown if none does. None ends before
	// from, b[from] is inside quotes if quoted, and final says that nothing follows b.
	eol(b []byte, from int, quoted, final bool) EOL
	// odd reports whether quoting is not after b what it is before it.
	odd(b []byte) bool
	// lastEnd returns the position after the last record that ends in buf, which begins with
	// a record, 0 if none does.
	lastEnd(buf []byte, last byte) int
	// firstEnd returns the position after the first record that ends at or after from, 0 if
	// none does. quoted says whether buf[from] is inside quotes.
	firstEnd(buf []byte, from int, quoted bool, last byte) int
	// cutEnd takes the line that ends the data off them, if it is their last record.
	cutEnd(data []byte) (rest []byte, ended bool)

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

	// check reports what the dialect alone has against a delimiter and a null string.
	check(delimiter byte, null string) error

	endMark(before18 bool) error
	complaint(record []byte) string
	looksLike(record []byte, delimiter byte, fields int) string
}
