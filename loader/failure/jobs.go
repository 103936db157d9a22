package failure

import (
	"fmt"

	"shardload/internal/term"
)

// A CompleteError reports that all of an input was loaded by an earlier run.
type CompleteError struct {
	Job      string
	Rows     int64
	When     string
	Rejected int64
	Rejects  string // the file of rejected records, "" if there are none
	// Lately is how many of them a set has of what was new when it was loaded last; of one input
	// it is Rejected.
	Lately int64
	// Rows that met one of the same key, as in Result.
	Updated, Skipped int64
	Filtered         int64 // records that the load's condition left out
	Parts            int   // files of a set, 0 for one input
	// Of is the set of which the input is a part, "" for none.
	Of string
	// Keyed says that each record has the key of a row that it has become: to load the
	// input once more, into the table as it is, could store none of them.
	Keyed bool
}

func (e *CompleteError) Error() string {
	rows := term.Plural(e.Rows, "row")
	if e.Updated > 0 {
		rows += fmt.Sprintf(", %d of them updated", e.Updated)
	}
	if e.Skipped > 0 {
		rows += fmt.Sprintf(", %d of them skipped", e.Skipped)
	}
	if e.Filtered > 0 {
		rows += fmt.Sprintf(" and %s left out by the condition", term.Plural(e.Filtered, "record"))
	}
	if e.Rejected > 0 {
		rows += fmt.Sprintf(" and %s in %s", term.Plural(e.Rejected, "rejected record"), e.Rejects)
	}
	if e.Parts > 0 {
		rows += " of " + term.Plural(int64(e.Parts), "file")
	}
	if e.Of != "" {
		rows += ", as one of the files of " + e.Of
	}
	text := fmt.Sprintf("%s was loaded completely on %s, %s", e.Job, e.When, rows)
	if e.Keyed {
		return text
	}
	return text + "; " + e.Advice()
}

// Advice says how to load it again all the same; "" where no row could be stored twice.
func (e *CompleteError) Advice() string {
	if e.Keyed {
		return ""
	}
	return "to load it once more, beside the rows that are there, name another job"
}

// A JobError reports why the job cannot go on.
type JobError struct {
	Job     string
	Problem string
	Do      string // what to do next
}

func (e *JobError) Error() string { return fmt.Sprintf("%s: %s; %s", e.Job, e.Problem, e.Do) }

// Advice is what to do next.
func (e *JobError) Advice() string { return e.Do }

const (
	Anew = "empty the table and load it anew"
	// Fresh is anew for a table without rows.
	Fresh = "load it anew into the empty table"
	// Beside says what another job does with records of which some may be stored.
	Beside = "load all of it as another job, which stores once more what of it is there"
	// Renamed is for a file that seems to be one which was loaded under another path.
	Renamed = "give it that name again, or leave it out; or, to store its rows once more, load it alone under a job name of its own"
)
