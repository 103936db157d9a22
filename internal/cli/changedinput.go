package cli

import (
	"errors"
	"fmt"
	"strings"

	"shardload/loader"
)

// changedAdvice says what is safe to type when an input is not what it was, "" if err is
// not about that.
func changedAdvice(err error) string {
	changed, ok := errors.AsType[*loader.ChangedInputError](err)
	if !ok {
		return ""
	}
	switch changed.When {
	case loader.ChangedGrown:
		return "load what was appended with --appended"
	case loader.ChangedComplete:
		return "where the table has a key, --on-conflict skip or update brings the rest in, each record once; " +
			"or empty the table of all its rows and load it anew with --replace; or load all of it under another --job, which stores once more what of it is there"
	case loader.ChangedOther:
		return "load the records that are new from a file of their own; or, where the table has a key, --on-conflict skip or update brings the rest in, each record once; " +
			"or empty the table of all its rows and load it anew with --replace; or, if none of its records is stored, load all of it under another --job"
	case loader.ChangedMeanwhile:
		return "when nobody writes to it any more run the same command again: it goes on, or says what cannot be"
	case loader.ChangedName:
		return fmt.Sprintf("go on with it as --job %s", shellWord(changed.Other)) // to forget that load would store its part once more
	}
	return "put it back as it was, and run the same command with --max-errors: bad records are kept aside in a file, to be mended there and loaded. " +
		"Where that is not possible and the table has a key, shardload forget " + changed.ID +
		" and --on-conflict skip load what is missing; else empty the table of all its rows and load it anew with --replace"
}

// shellWord writes s as one word of a shell's.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
