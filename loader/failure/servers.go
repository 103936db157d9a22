package failure

import (
	"fmt"
	"strings"
	"time"

	"shardload/internal/term"
)

// A GaveUpError reports that a server has failed for longer than Config.RetryFor.
type GaveUpError struct {
	After time.Duration
	Err   error // of the last try
}

func (e *GaveUpError) Error() string {
	return fmt.Sprintf("gave up after %s of attempts (%s): %v", e.After, e.Advice(), e.Err)
}

// Advice names the setting.
func (e *GaveUpError) Advice() string { return "Config.RetryFor" }

func (e *GaveUpError) Unwrap() error { return e.Err }

// An UnsettledError reports that transactions are left prepared on nodes of a cluster,
// which Citus does not finish: their rows are stored, or not, and nobody sees them.
type UnsettledError struct {
	Job      string
	Prepared int // transactions
}

func (e *UnsettledError) Error() string {
	return fmt.Sprintf("%s: %s prepared on the nodes, and their rows are in no count: Citus does not finish them (citus.recover_2pc_interval); "+
		"let a superuser run SELECT recover_prepared_transactions() on the coordinator, and then load it again", e.Job, term.Plural(int64(e.Prepared), "transaction")+" left")
}

// An InheritedError says that a table has children by inheritance, which TRUNCATE of
// the table would empty, too. Without their rows the table would not be empty, and
// with them rows would go that nobody has named. (Partitions are the table's own.)
type InheritedError struct {
	Table    string   // as SQL writes it
	Children []string // the same
}

func (e *InheritedError) Error() string {
	return fmt.Sprintf("%s: other tables inherit from it (%s), and emptying it would empty them; empty what you mean to empty first",
		e.Table, strings.Join(e.Children, ", "))
}
