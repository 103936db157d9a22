package failure

import (
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
)

// shardSuffix is what a shard's name, and those of its constraints, add to the
// table's.
var shardSuffix = regexp.MustCompile(`_\d{6,}"`)

// Refused keeps of err what is shown. The names of a shard's constraints become those
// of the table's.
func Refused(err *pgconn.PgError) *RefusedError {
	e := &RefusedError{SQLState: err.Code, Message: err.Message, Detail: strings.ToValidUTF8(err.Detail[:min(len(err.Detail), MaxReason)], "")}
	if err.ConstraintName != "" || err.ColumnName != "" || strings.Contains(err.Message, `constraint "`) {
		e.Message = shardSuffix.ReplaceAllString(e.Message, `"`)
		e.Detail = shardSuffix.ReplaceAllString(e.Detail, `"`)
	}
	if fault.Duplicate(err) {
		e.Hint = "Config.OnConflict skip keeps the row that is there, update the new one"
	}
	switch err.Code {
	case fault.BadEncoding:
		e.Hint = "name the input's encoding in Config.Encoding, or convert the input"
	case fault.DiskFull:
		e.Hint = "free space on the server"
	case fault.InsufficientPrivilege:
		if err.Where == "" { // else a trigger's or a policy's
			e.Hint = "grant the right, or connect as the table's owner"
		}
	}
	return e
}

// OfConstraint reports whether e refuses a row whose values the types of the table can hold: a
// constraint, a policy, a view's condition or a trigger does, not a type.
func (e *RefusedError) OfConstraint() bool {
	switch e.SQLState {
	case fault.DeferredViolation, fault.InsufficientPrivilege:
		return true
	case fault.InternalError: // so says the coordinator of a shard's constraint
		return strings.Contains(e.Message, " violates ")
	}
	switch e.SQLState[:min(len(e.SQLState), 2)] {
	case "23", "44", "27", "09", "P0":
		return true
	}
	return false
}

// MaxReason is the longest reason that is kept of a record, in bytes: it may quote
// a value.
const MaxReason = 1000
