package failure

import (
	"fmt"

	"shardload/internal/term"
)

// A Change is when an input became another one.
type Change string

// The changes of an input that is known already.
const (
	// ChangedBegun is that of an input which an earlier run has begun to load: records
	// that are stored may not be what they were, or elsewhere.
	ChangedBegun Change = "begun"
	// ChangedComplete is that of an input which was loaded completely, and of which much
	// is what it was: most of its records may be stored.
	ChangedComplete Change = "complete"
	// ChangedGrown is that of an input which was loaded completely, and has all of that
	// at its beginning. Config.Appended loads what follows.
	ChangedGrown Change = "grown"
	// ChangedOther is that of an input which was loaded completely, and does not begin with
	// that, where only what was appended is to be loaded, by Config.Appended.
	ChangedOther Change = "other"
	// ChangedMeanwhile is that of a file which somebody has changed while it was read.
	ChangedMeanwhile Change = "meanwhile"
	// ChangedName is that of an input of which a load under another name, Other, was
	// begun.
	ChangedName Change = "name"
)

// A ChangedInputError reports that an input is not what it was, so that to load it would
// store records twice or not at all.
type ChangedInputError struct {
	Job, ID string // by which the input's load is known
	When    Change
	How     string // what is another, "" if it is not known
	Stored  int64  // of ChangedBegun: up to which byte some of it may be stored
	Rows    int64  // that are stored
	Other   string // the name under which it was begun
}

func (e *ChangedInputError) Error() string {
	how := e.How
	if how == "" {
		how = "it was changed in the middle"
	}
	switch e.When {
	case ChangedMeanwhile:
		return e.Job + ": was changed while it was loaded; what is stored may be of both"
	case ChangedGrown:
		return fmt.Sprintf("%s: was loaded completely, %s, and has grown since: %s", e.Job, term.Plural(e.Rows, "row"), how)
	case ChangedComplete:
		return fmt.Sprintf("%s: was loaded completely, %s, and was changed since, though much of it is what it was: %s", e.Job, term.Plural(e.Rows, "row"), how)
	case ChangedOther:
		return fmt.Sprintf("%s: was loaded completely, %s, and does not begin with what was loaded, so that nothing was appended to it: %s", e.Job, term.Plural(e.Rows, "row"), how)
	case ChangedName:
		return fmt.Sprintf("%s: has the content of %s, of which an earlier run has stored a part", e.Job, e.Other)
	}
	return fmt.Sprintf("%s: an earlier run began to load it, and since then %s, before byte %d, up to which some of it is stored", e.Job, how, e.Stored)
}

// A ChangedError reports that the table, or the cluster that has it, is no longer what it was
// when the load began. Rows that were on their way meanwhile may be missing.
type ChangedError struct {
	Table string
	How   string // what is another, "" if it is not known
}

func (e *ChangedError) Error() string {
	how := ""
	if e.How != "" {
		how = ": " + e.How
	}
	return e.Table + " is no longer what it was when the load began" + how + "; " + e.Advice()
}

// Advice says what to do.
func (e *ChangedError) Advice() string { return "check what it holds, or " + Anew }
