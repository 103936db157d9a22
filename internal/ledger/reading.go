package ledger

import (
	"fmt"
	"slices"
	"strings"
)

// A Form is how an input is cut and read. A job that is gone on with must have the same.
type Form struct {
	Format    string `json:"format"`    // as COPY calls it, if it knows it
	Delimiter string `json:"delimiter"` // "" of a format that COPY does not know
	Null      string `json:"null"`
	// What follows is "", 0 or nil where it is as usual, as in jobs of earlier versions.
	Quote        string   `json:"quote,omitempty"`  // "none" for no quotes
	Escape       string   `json:"escape,omitempty"` // if it is not the quote
	ForceNull    []string `json:"force_null,omitempty"`
	ForceNotNull []string `json:"force_not_null,omitempty"`
	Skip         int      `json:"skip,omitempty"` // lines before the header

	Encoding string `json:"encoding"` // by PostgreSQL's name
	Header   bool   `json:"header"`   // the input has one
	Chunk    int    `json:"chunk"`    // usual length of a chunk in bytes
	// Columns are those into which the fields go, in their order. A column that has
	// changed names with another, or was made anew, is another one.
	Columns []Column `json:"columns,omitempty"`
	// Settings are those of the server that decide what values of the columns mean, ""
	// where none does.
	Settings string `json:"settings,omitempty"`
	Chosen

	Words string `json:"-"` // all of it, where a job of an earlier version has it
}

// A Chosen says what of an input is loaded: a list of items and a condition, "" for none.
type Chosen struct {
	Select string `json:"select,omitempty"`
	Where  string `json:"where,omitempty"`
	// Constants are the values of items that are the same in all records, each after its
	// column.
	Constants []string `json:"constants,omitempty"`
}

// String says in words what f is. Jobs of form 0 and 1 have these very words, so they stay.
func (f Form) String() string {
	if f.Words != "" {
		return f.Words
	}
	if f.Delimiter == "" { // it is no format of COPY
		return fmt.Sprintf("format %s, encoding %s, chunks of %d%s", f.Format, f.Encoding, f.Chunk, f.unusual())
	}
	with := "without a header"
	if f.Header {
		with = "with a header"
	}
	if f.Format != "csv" {
		with += ", format " + f.Format
	}
	var delimiter byte
	if f.Delimiter != "" {
		delimiter = f.Delimiter[0]
	}
	return fmt.Sprintf("delimiter %q, null %q, encoding %s, %s, chunks of %d", delimiter, f.Null, f.Encoding, with+f.unusual(), f.Chunk)
}

// unusual says what is not as usual, each after a comma.
func (f Form) unusual() (text string) {
	if f.Quote != "" {
		text += ", quote " + f.Quote
	}
	if f.Escape != "" {
		text += ", escape " + f.Escape
	}
	if len(f.ForceNull) > 0 {
		text += ", NULL forced in " + strings.Join(f.ForceNull, ", ")
	}
	if len(f.ForceNotNull) > 0 {
		text += ", no NULL in " + strings.Join(f.ForceNotNull, ", ")
	}
	if f.Skip > 0 {
		text += fmt.Sprintf(", %d lines skipped", f.Skip)
	}
	if f.Select != "" {
		text += fmt.Sprintf(", the list %q", f.Select)
	}
	if f.Where != "" {
		text += fmt.Sprintf(", the condition %q", f.Where)
	}
	return text
}

// A Column is a column of the target.
type Column struct {
	Name string `json:"name"`
	Num  int16  `json:"num"` // attnum
}

// Changed says how values mean something else now than they did, or go elsewhere, "" if they
// do not, or if an earlier version has not kept it.
func (f Form) Changed(now Form) string {
	switch {
	case f.Words != "":
		return ""
	case !slices.Equal(f.Columns, now.Columns):
		return fmt.Sprintf("its fields went into the columns %s, and go into %s now", columnNames(f.Columns, now.Columns), columnNames(now.Columns, f.Columns))
	case f.Settings != now.Settings:
		return fmt.Sprintf("its values were read with %s, and are now with %s", f.Settings, now.Settings)
	case !slices.Equal(f.Constants, now.Constants):
		return fmt.Sprintf("the constants of its list were %s, and are now %s", strings.Join(f.Constants, ", "), strings.Join(now.Constants, ", "))
	}
	return ""
}

// columnNames returns the names of columns, with their numbers where others have the same
// names.
func columnNames(columns, others []Column) string {
	var list []string
	for _, c := range columns {
		name := c.Name
		if slices.ContainsFunc(others, func(o Column) bool { return o.Name == c.Name && o.Num != c.Num }) {
			name += fmt.Sprintf(" (number %d)", c.Num)
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

// Manner says in words how an input is read, whatever its own header and its size decide: an input
// that is read in another one has other rows. It is "" where only words are known.
func (f Form) Manner() string {
	if f.Words != "" || f.Format == "" {
		return ""
	}
	f.Header, f.Chunk = false, 0
	return f.String()
}

// Same reports whether an input is cut and read in the same way, whatever its values mean.
func (f Form) Same(now Form) bool { return f.String() == now.String() }

// A SharedBy is what decides a row's lane.
type SharedBy string

// What may decide it.
const (
	ByShard   SharedBy = ""        // the shard that it belongs to
	ByPlace   SharedBy = "place"   // where it stands in the input
	ByNothing SharedBy = "nothing" // there is one lane
	ByPrimary SharedBy = "primary" // the values of the primary key's columns
	ByKey     SharedBy = "key"     // the values of another key's columns
	ByReading SharedBy = "reading" // a value of which the server's settings decide what it means
)

// Shares say how rows are shared out to lanes. A job that is gone on with must have the same.
type Shares struct {
	By      SharedBy `json:"by,omitempty"`
	Columns []string `json:"columns,omitempty"` // with their types, but for ByReading
	Reading string   `json:"reading,omitempty"` // the settings that decide what a value means

	Words string `json:"-"` // as in Form
}

// String says in words what decides, "" for the shard. Jobs of form 0 and 1 have these very
// words.
func (s Shares) String() string {
	columns := strings.Join(s.Columns, ", ")
	switch {
	case s.Words != "":
		return s.Words
	case s.By == ByPlace:
		return "their place in the input"
	case s.By == ByNothing:
		return "nothing"
	case s.By == ByPrimary:
		return "primary key (" + columns + ")"
	case s.By == ByKey:
		return "key (" + columns + ")"
	case s.By == ByReading:
		return columns + " as the server reads it (" + s.Reading + ")"
	}
	return ""
}

// Same reports whether rows are shared out in the same way.
func (s Shares) Same(now Shares) bool { return s.String() == now.String() }
