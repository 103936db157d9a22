// Package fault says what an error means for a load: one place knows the
// SQLSTATEs, so that no two parts of a load judge the same error differently.
package fault

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// A Kind is what an error means for a load. What a server says of a row is never
// believed for its SQLSTATE alone: a trigger may raise any. The kind is what to try
// first; who stores rows then proves which of them is at fault.
type Kind int

const (
	// Ours is an error that no server has made, and that does not pass: of a file or
	// of the program.
	Ours Kind = iota
	// Row is what the content of a row causes. Where the server names the row, that
	// is believed.
	Row
	// Unclear is what a row may cause as well as the statement: a value of type
	// ltree fails with a syntax error, a trigger with a lack of rights. The row must
	// be refused alone, twice, while the statement is taken without it.
	Unclear
	// Moved says that what is written to is no longer there.
	Moved
	// Passing is what may pass by itself: a connection that was lost or refused, a
	// server that restarts or fails over, a conflict, a lack of room. It is no row's.
	Passing
	// Changed says that rows have another form than the table wants: it was changed
	// since the load has looked at it.
	Changed
	// Refused is what neither another try nor another row mends.
	Refused
)

func (k Kind) String() string {
	return [...]string{"ours", "a row's", "unclear", "moved", "passing", "changed", "refused"}[k]
}

// A PassingError makes an error one that passes, whatever it is.
type PassingError struct {
	Err    error
	Awaits string // what is waited for, "" if Err tells
}

func (e *PassingError) Error() string { return e.Err.Error() }

func (e *PassingError) Unwrap() error { return e.Err }

// A StatementError makes an error one of the statement, which is no row's, whatever its
// SQLSTATE.
type StatementError struct{ Err error }

func (e *StatementError) Error() string { return e.Err.Error() }

func (e *StatementError) Unwrap() error { return e.Err }

// Of returns what err means.
func Of(err error) Kind {
	if err == nil {
		return Ours
	}
	if _, ok := errors.AsType[*PassingError](err); ok {
		return Passing
	}
	if statement, ok := errors.AsType[*StatementError](err); ok {
		if kind := Of(statement.Err); kind != Row && kind != Unclear {
			return kind
		}
		return Refused
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting && pgErr.Code == ProtocolViolation {
			return ofLogin(pgErr)
		}
		return ofServer(pgErr)
	}
	if errors.Is(err, context.Canceled) {
		return Ours
	}
	if failed, ok := errors.AsType[net.Error](err); ok {
		// A file's error is one, too, by its number: a full disk is no server's.
		if _, number := failed.(syscall.Errno); !number {
			return Passing
		}
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED, context.DeadlineExceeded} {
		if errors.Is(err, lost) {
			return Passing
		}
	}
	if pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
		return Passing
	}
	return Ours
}

// Passes reports whether err may pass by itself.
func Passes(err error) bool { return Of(err) == Passing }

// MayBeRow reports whether err may be about the content of a row.
func MayBeRow(err error) bool {
	kind := Of(err)
	return kind == Row || kind == Unclear
}

// ofServer returns what a server's error means.
func ofServer(err *pgconn.PgError) Kind {
	kind := ofCode(err.Code)
	switch {
	case err.Routine == "exec_stmt_raise":
		// A function of the user's has raised it, under a SQLSTATE of its choice.
		if kind != Row {
			return Unclear
		}
	case err.Code == InternalError:
		// Citus reports so what a node says, without the node's SQLSTATE.
		return ofMessage(err.Message, kind)
	case err.Code == UndefinedTable && err.Where == "":
		return Moved // the statement's own table; a function's has a context
	case err.Code == ProtocolViolation && severity(err) == "FATAL":
		return Passing // the connection's, as PgBouncer calls what befalls a server
	case err.Code == FeatureNotSupported && strings.Contains(err.Message, "during recovery"):
		return Passing // a standby refuses BEGIN READ WRITE so
	}
	return kind
}

// severity returns the severity in the language of the program.
func severity(err *pgconn.PgError) string {
	if err.SeverityUnlocalized != "" {
		return err.SeverityUnlocalized
	}
	return err.Severity // PgBouncer's
}

// ofLogin returns what it means that a connection pooler does not let the role in:
// that it has no server for it passes.
func ofLogin(err *pgconn.PgError) Kind {
	for _, passing := range []string{"server login", "server conn", "cannot connect to server", "query_wait_timeout", "no more connections allowed", "shutting down"} {
		if strings.Contains(err.Message, passing) {
			return Passing
		}
	}
	return Refused
}

// ofCode returns what a SQLSTATE means.
func ofCode(code string) Kind {
	if kind, ok := codes[code]; ok {
		return kind
	}
	if len(code) == 5 {
		if class, ok := classes[code[:2]]; ok {
			return class.kind
		}
	}
	return Unclear // a user's own class: raised by a trigger
}
