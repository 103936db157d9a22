package verify

import (
	"cmp"
	"fmt"

	"shardload/internal/input"
)

// A position is where a record is in the inputs.
type position struct {
	input int   // index in the configuration's
	chunk int64 // of a BlockSource its block
	line  int64 // in the file or in the block, from 1
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.input, q.input), cmp.Compare(p.chunk, q.chunk), cmp.Compare(p.line, q.line))
}

// positionName returns what people call a position: file:line, or file: row N where there are no
// lines.
func (in *inputs) positionName(p position) string {
	of := in.list[p.input]
	switch {
	case of.blocks != nil:
		return fmt.Sprintf("%s, block %d:%d", of.at.Name, p.chunk, p.line)
	case in.how(p.input).Input == input.Parquet:
		return fmt.Sprintf("%s: row %d", of.at.Name, p.line)
	}
	return fmt.Sprintf("%s:%d", of.at.Name, p.line)
}

// Unloadable says which records of the inputs no table can have: those with too
// many fields, say, or with a value that the server refuses. They are left out of
// the comparison.
type Unloadable struct {
	Records int64  `json:"records"`
	First   string `json:"first,omitempty"` // where, and why

	at position // of the first
}

// unloadable returns the Unloadable of one record.
func (in *inputs) unloadable(at position, err error) Unloadable {
	return Unloadable{Records: 1, First: fmt.Sprintf("%s: %v", in.positionName(at), err), at: at}
}

// merge adds the records of v.
func (u *Unloadable) merge(v Unloadable) {
	if u.Records == 0 || v.Records > 0 && v.at.compare(u.at) < 0 {
		u.First, u.at = v.First, v.at
	}
	u.Records += v.Records
}
