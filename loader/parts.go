package loader

import (
	"context"
	"fmt"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader/internal/store"
)

type counts = store.Counts

// A partSet is what an Input is that has parts.
type partSet struct {
	// list returns them, in the order in which they are loaded. Each name is another one.
	list func(ctx context.Context, how input.Access) ([]ledger.Part, error)
	// open returns the input that a part is, by its name.
	open func(name string) Input
	// was, if not nil, returns the input that a part is, as it was when it was listed: another
	// content is an error.
	was func(p ledger.Part) Input
	// format returns how a part is written, nil for Config.Format.
	format func(name string) Format
	// named is what the set was named by.
	named []string
	// base, with a part's name after it, is what the part is called as an input of its own; "" if
	// parts have no other names.
	base string
}

// part returns the input that a part is, as it is written.
func (set *partSet) part(name string) Input { return set.formatted(set.open(name)) }

// formatted returns a part with the format in which it is written.
func (set *partSet) formatted(in Input) Input {
	if set.format != nil {
		in.format = set.format(in.name)
	}
	return in
}

// PartCounts say what a Load of a set found, and did, of its parts.
type PartCounts struct {
	All    int // that the set has now
	Before int // that were loaded before this Load began
	Loaded int // by this process
	Others int // by other processes, meanwhile
	Failed int // that are not loaded
	// Last says that this process has ended the set.
	Last bool
}

// A SetError says that parts of a set are not loaded. All others are.
type SetError struct {
	Set    string
	Failed []*PartError // some of them
	More   int          // how many others there are
	// Begun is how many of the others are stored in part, and go on when those that failed can.
	Begun int
}

func (e *SetError) Error() string {
	text := fmt.Sprintf("%s: %s not loaded: %v", e.Set, term.Plural(len(e.Failed)+e.More, "file"), e.Failed[0])
	if n := len(e.Failed) + e.More - 1; n > 0 {
		text += "; and " + term.Plural(n, "other")
	}
	if e.Begun > 0 {
		text += fmt.Sprintf("; %d of them %s stored in part, together with what failed, and %s on when it can be read and stored to its end",
			e.Begun, term.Verb(e.Begun, "is", "are"), term.Verb(e.Begun, "goes", "go"))
	}
	return text
}

// Unwrap returns what is wrong with the parts.
func (e *SetError) Unwrap() []error {
	var list []error
	for _, f := range e.Failed {
		list = append(list, f)
	}
	return list
}
