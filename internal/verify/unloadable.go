package verify

import "fmt"

// Unloadable says which records of the inputs no table can have: those with too
// many fields, say, or with a value that the server refuses. They are left out of
// the comparison.
type Unloadable struct {
	Records int64  `json:"records"`
	First   string `json:"first,omitempty"` // where, and why

	input int // of the first
	line  int64
}

// unloadable returns the Unloadable of one record of in, which is the input of
// that index.
func (in Input) unloadable(index int, line int64, err error) Unloadable {
	return Unloadable{Records: 1, First: fmt.Sprintf("%s:%d: %v", in.name, line, err), input: index, line: line}
}

// merge adds the records of v.
func (u *Unloadable) merge(v Unloadable) {
	if u.Records == 0 || v.Records > 0 && (v.input < u.input || v.input == u.input && v.line < u.line) {
		u.First, u.input, u.line = v.First, v.input, v.line
	}
	u.Records += v.Records
}
