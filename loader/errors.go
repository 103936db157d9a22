package loader

import "shardload/loader/failure"

// The errors that Open and Load end with, by their short names; package failure has their
// fields and what they say. errors.As finds them in whatever Load returns.
type (
	// A RowError names the input record that could not be stored.
	RowError = failure.RowError
	// A RefusedError is the server's reason for not taking a row.
	RefusedError = failure.RefusedError
	// A TooManyError reports that more records would have to be rejected than
	// Config.MaxErrors allows.
	TooManyError = failure.TooManyError
	// A PreflightError reports what would stop every load into the table, found before it
	// began.
	PreflightError = failure.PreflightError
	// A CompleteError reports that all of an input was loaded by an earlier run.
	CompleteError = failure.CompleteError
	// A JobError reports why the load of an input cannot go on.
	JobError = failure.JobError
	// A ChangedInputError reports that an input is not what it was.
	ChangedInputError = failure.ChangedInputError
	// A ChangedError reports that somebody changed what the table is while it was being
	// loaded.
	ChangedError = failure.ChangedError
	// An IndexError reports that an index that was dropped for a load could not be built.
	IndexError = failure.IndexError
	// A GaveUpError reports that a server has failed for longer than Config.RetryFor.
	GaveUpError = failure.GaveUpError
	// An UnsettledError reports that transactions are left prepared on nodes of a cluster.
	UnsettledError = failure.UnsettledError
	// An InheritedError says that other tables inherit from the one that is to be emptied.
	InheritedError = failure.InheritedError

	// A Change is when an input became another one.
	Change = failure.Change
	// An ErrorLimit says how many records of a job may be rejected.
	ErrorLimit = failure.ErrorLimit
	// A Reason is why records of a job were rejected, and how often.
	Reason = failure.Reason
)

// The changes of an input that is known already.
const (
	ChangedBegun     = failure.ChangedBegun
	ChangedComplete  = failure.ChangedComplete
	ChangedGrown     = failure.ChangedGrown
	ChangedOther     = failure.ChangedOther
	ChangedMeanwhile = failure.ChangedMeanwhile
	ChangedName      = failure.ChangedName
)

// ParseErrorLimit reads a limit as "100" or "0.5%".
func ParseErrorLimit(s string) (ErrorLimit, error) { return failure.ParseErrorLimit(s) }
