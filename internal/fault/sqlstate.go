package fault

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs that are asked for by name.
const (
	ProtocolViolation      = "08P01"
	FeatureNotSupported    = "0A000"
	NullNotAllowed         = "22004"
	BadEncoding            = "22021"
	InvalidText            = "22P02" // invalid_text_representation
	BadBinary              = "22P03"
	BadRecord              = "22P04" // bad_copy_file_format
	Untranslatable         = "22P05" // untranslatable_character
	ForeignKeyViolation    = "23503"
	UniqueViolation        = "23505"
	WrongPassword          = "28P01"
	NotAuthorized          = "28000"
	NoDatabase             = "3D000"
	NoSchema               = "3F000"
	DeferredViolation      = "40002" // transaction_integrity_constraint_violation
	InsufficientPrivilege  = "42501"
	InvalidName            = "42602"
	UndefinedColumn        = "42703"
	UndefinedTable         = "42P01"
	DuplicateDatabase      = "42P04"
	InvalidColumnReference = "42P10"
	DiskFull               = "53100"
	TooManyConnections     = "53300"
	LockNotAvailable       = "55P03"
	LimitExceeded          = "54000" // program_limit_exceeded
	Canceled               = "57014" // query_canceled
	Starting               = "57P03" // cannot_connect_now
	InternalError          = "XX000"
)

// classes decides for each class of SQLSTATEs. Those that codes has are exceptions.
var classes = map[string]struct {
	kind Kind
	why  string
}{
	"00": {Unclear, "success is no error: a function has raised it"},
	"01": {Unclear, "a warning is no error: a function has raised it"},
	"02": {Unclear, "no data: a function has raised it"},
	"03": {Refused, "statement not yet complete: of the embedded SQL, not of a server"},
	"08": {Passing, "connection exception"},
	"09": {Row, "triggered action exception: a row has triggered it"},
	"0A": {Unclear, "feature not supported: of a value's syntax, or of the statement"},
	"0B": {Refused, "invalid transaction initiation"},
	"0F": {Unclear, "locator exception: no server raises it by itself"},
	"0L": {Unclear, "invalid grantor: no load grants, a trigger may"},
	"0P": {Unclear, "invalid role: of a value of type regrole, or of a setting"},
	"0Z": {Unclear, "diagnostics exception: within a function"},
	"10": {Row, "XQuery error: of a value"},
	"20": {Row, "case not found: CASE in a function met no value of its list"},
	"21": {Row, "cardinality violation: a query within a function or check gave several rows"},
	"22": {Row, "data exception"},
	"23": {Row, "integrity constraint violation"},
	"24": {Unclear, "invalid cursor state: within a function"},
	"25": {Refused, "invalid transaction state"},
	"26": {Refused, "invalid statement name: a pooler has given another server"},
	"27": {Row, "triggered data change violation"},
	"28": {Refused, "invalid authorization: of the connection"},
	"2B": {Unclear, "dependent privileges: a trigger's"},
	"2D": {Unclear, "invalid transaction termination: a function ends the transaction"},
	"2F": {Unclear, "routine exception: of a function, for its argument or always"},
	"34": {Unclear, "invalid cursor name: within a function"},
	"38": {Row, "external routine exception: a function does not like its argument"},
	"39": {Unclear, "external routine invocation: of a function, for its argument or always"},
	"3B": {Unclear, "savepoint exception: within a function"},
	"3D": {Refused, "invalid catalog name: of the connection"},
	"3F": {Unclear, "invalid schema name: of a value of type regclass, or of the statement"},
	"40": {Passing, "transaction rollback: a conflict with another transaction"},
	"42": {Unclear, "syntax error or access rule: ltree, tsvector, jsonpath and regclass use it of values"},
	"44": {Row, "WITH CHECK OPTION violation"},
	"53": {Passing, "insufficient resources: others free them"},
	"54": {Unclear, "program limit exceeded: of a long row, but COPY names the wrong one for it"},
	"55": {Unclear, "object not in prerequisite state: a trigger's, or of a new enum value"},
	"57": {Passing, "operator intervention"},
	"58": {Passing, "system error: of the server's disks and files"},
	"72": {Passing, "snapshot too old"},
	"F0": {Refused, "configuration file error"},
	"HV": {Unclear, "foreign data wrapper: of a row in a foreign partition, or of its server"},
	"P0": {Row, "PL/pgSQL error: raised for a row"},
	"XX": {Refused, "internal error: data or an index are corrupt"},
}

// codes decides for SQLSTATEs that mean something else than their class.
var codes = map[string]Kind{
	ProtocolViolation:     Changed, // COPY: a binary row has other fields than the table
	BadBinary:             Changed,
	BadRecord:             Changed, // the decoders have found it a record
	"25006":               Passing, // read only: the server has become a standby, or ceases to be one
	"25P03":               Passing, // idle_in_transaction_session_timeout
	"25P04":               Passing, // transaction_timeout
	"2200H":               Unclear, // a sequence is used up: not for this row alone
	"39P03":               Refused, // an event trigger is wrong: of a statement that makes tables
	DeferredViolation:     Row,     // an integrity constraint, of the standard's
	InsufficientPrivilege: Unclear,
	"53400":               Refused, // a limit that was set: temp_file_limit
	LockNotAvailable:      Passing,
	"57P04":               Refused, // the database was dropped
	"58P01":               Unclear, // undefined_file: of a library, or of a dictionary
	"58P02":               Refused, // duplicate_file
	"58P03":               Unclear, // file_name_too_long
	"HV00N":               Passing, // a foreign server cannot be reached
	InternalError:         Unclear, // see ofMessage
}

// Citus reports what befalls a node without the code that the node gave it. It is
// told by how the message begins,
var passingBeginnings = []string{
	"could not acquire the lock required to colocate", // a shard of the group is being moved or split
	"terminating connection",
	"terminating background worker",
	"canceling statement due to",
	"canceling the transaction since it was involved in a distributed deadlock",
	"deadlock detected",
	"could not serialize access",
	"could not obtain lock",
	"tuple concurrently updated", // of a catalog: a shard of the group is being moved
	"tuple concurrently deleted",
	"the database system is", // starting up, shutting down, in recovery mode
	"database is not accepting commands",
	"sorry, too many clients already",
	"too many connections for",
	"remaining connection slots are reserved",
	"cannot execute COPY FROM",
	"cannot execute INSERT in a read-only transaction",
	"cannot set transaction read-write mode during recovery",
	"out of memory",
	"out of shared memory",
	"could not extend file",
	"could not fork",
	"connection to the remote node",
	"connection to server at",
}

// or by what libpq says, wherever it stands, of a connection between the coordinator
// and a node that crashes.
var passingMessages = []string{
	"failure on connection marked as essential", // of Citus, to a node
	"server closed the connection unexpectedly",
	"could not receive data from server",
	"could not send data to server",
	"could not connect to server",
	"no connection to the server",
	"connection not open",
	"SSL connection has been closed unexpectedly",
	"lost synchronization with server",
	"No space left on device",
}

// movedMessage is of a shard that Citus no longer knows, because it was split for
// example.
const movedMessage = "could not find valid entry for shard"

// rowMessages are in errors without a code of their own that rows cause.
var rowMessages = []string{" violates ", "conflicting key value"}

// ofMessage returns what an error means whose code says nothing. The messages are
// those of servers that speak English; of others the kind is usual.
func ofMessage(message string, usual Kind) Kind {
	if strings.Contains(message, movedMessage) {
		return Moved
	}
	// What rows cause comes first: their values may be in it.
	for _, rows := range rowMessages {
		if strings.Contains(message, rows) {
			return Row
		}
	}
	for _, passing := range passingBeginnings {
		if strings.HasPrefix(message, passing) {
			return Passing
		}
	}
	for _, passing := range passingMessages {
		if strings.Contains(message, passing) {
			return Passing
		}
	}
	return usual
}

// Code returns the SQLSTATE of err, "" if no server has made it.
func Code(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}

// Is reports whether err is a server's, of one of these SQLSTATEs.
func Is(err error, codes ...string) bool {
	code := Code(err)
	for _, c := range codes {
		if code == c && code != "" {
			return true
		}
	}
	return false
}

// Denied reports whether err says that the role may not do that.
func Denied(err error) bool { return Is(err, InsufficientPrivilege) }

// Server reports whether a server has made err.
func Server(err error) bool { return Code(err) != "" }

// Lost reports whether err says that a connection was lost or not made: one between
// the nodes of a cluster, if the client's own holds.
func Lost(err error) bool { return strings.HasPrefix(Code(err), "08") && !Is(err, ProtocolViolation) }

// Gone reports whether err says that the table or shard of the statement is no
// longer there.
func Gone(err error) bool { return Of(err) == Moved }

// ShardGone reports whether err says that Citus no longer knows a shard. Writes that
// it places itself fail so, too.
func ShardGone(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == InternalError && strings.Contains(pgErr.Message, movedMessage)
}

// Duplicate reports whether err says that a key is there already. Through the
// coordinator of a cluster only its words tell.
func Duplicate(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code == UniqueViolation || strings.HasPrefix(pgErr.Message, "duplicate key value"))
}
