package cli

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/localpg"
	"shardload/internal/pgcsv"
	"shardload/internal/pgjson"
	"shardload/internal/provision"
	"shardload/internal/refill"
	"shardload/internal/selection"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader"
)

// An errorJSON is an error for machines.
type errorJSON struct {
	Code     string `json:"code"`                // one of docs/errors.md
	Message  string `json:"message"`             // what standard error says
	File     string `json:"file,omitempty"`      // the input that is at fault
	Line     int64  `json:"line,omitempty"`      // on which the record begins, from 1; of Parquet its row
	LastLine int64  `json:"last_line,omitempty"` // of the range in which the record is, if it is not known more closely
	Column   string `json:"column,omitempty"`    // of the table
	SQLState string `json:"sqlstate,omitempty"`  // the server's
	Do       string `json:"do,omitempty"`        // what to do next
}

// The codes of errors that are no type of their own.
const (
	codeUsage       = "usage"
	codeInterrupted = "interrupted"
	codeFailed      = "failed"
)

// An errorCode is a name of errors that are alike.
type errorCode struct {
	code string
	is   func(error) bool
	do   string // what to do, where such an error does not say it
}

// errorCodes has them in the order in which they are tried: what an error wraps comes after it.
// docs/errors.md says what each means.
func errorCodes() []errorCode {
	return []errorCode{
		{codeUsage, is[*usageError], ""},
		{"rejected", is[*rejectedError], "mend the rejected records and load them"},
		{"difference", is[*differenceError], "see what differs, and why"},
		{"too_many_errors", is[*loader.TooManyError], "mend the input, or allow more with --max-errors"},
		{"gave_up", is[*loader.GaveUpError], "run the same command again once the server is there"},
		{"input_changed", is[*loader.ChangedInputError], ""},
		{"table_changed", is[*loader.ChangedError], ""},
		{"job", is[*loader.JobError], ""},
		{"unsettled", is[*loader.UnsettledError], "let a superuser run SELECT recover_prepared_transactions() on the coordinator, and load it again"},
		{"inherited", is[*loader.InheritedError], "empty what is meant to be empty first"},
		{"marks_gone", func(err error) bool { return errors.Is(err, ledger.ErrMarksGone) }, ""},
		{"progress_denied", is[*ledger.DeniedError], "let its owner grant the rights"},
		{"untrusted_table", is[*ledger.UntrustedError], "let its owner, or a superuser, drop it or give it to the owner of the target"},
		{"no_job", is[*noJobError], "shardload status lists the jobs"},
		{"job_running", func(err error) bool { return errors.Is(err, ledger.ErrWorking) }, "wait for the load, or end it"},
		{"locked", is[*server.LockedError], "wait for who has the lock, or end it"},
		{"selection", is[*selection.MistakeError], "mend --select or --where"},
		{"bad_record", is[*loader.RowError], "mend the record"},
		{"cannot_load", is[*loader.PreflightError], ""},
		{"no_table", is[*catalog.NotFoundError], "make the table, or name it with its schema"},
		{"table_shape", is[*provision.ShapeError], "use another schema or database"},
		{"bad_input", unreadable, "mend the input"},
		{"server_parameter", is[*server.ParamError], "mend what is said of the server"},
		{"server_refused", func(err error) bool { return is[*pgconn.ConnectError](err) && is[*pgconn.PgError](err) }, ""},
		{"no_server", is[*pgconn.ConnectError], ""},
		{"denied", fault.Denied, "let the owner grant the right, or connect as another role"},
		{"server_error", is[*pgconn.PgError], ""},
		{"no_postgresql", func(err error) bool { return errors.Is(err, localpg.ErrNotInstalled) }, "install PostgreSQL, or name its programs' directory in SHARDLOAD_PG_BIN"},
		{"no_cluster", func(err error) bool { return errors.Is(err, localpg.ErrNoCluster) }, "shardload cluster start"},
		{"no_file", func(err error) bool { return errors.Is(err, fs.ErrNotExist) }, "check the name"},
		{"file", is[*fs.PathError], ""},
	}
}

// unreadable reports whether err is of an input from which no records can be cut.
func unreadable(err error) bool {
	return is[*pgjson.FrameError](err) || is[*pgcsv.SkipError](err) || is[*refill.TooLongError](err) || errors.Is(err, pgcsv.ErrOpenQuote) || errors.Is(err, pgcsv.ErrAfterEnd)
}

// is reports whether err is, or wraps, an E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// codeOf returns the code of err.
func codeOf(ctx context.Context, err error) errorCode {
	if interrupted(ctx, err) && !is[*usageError](err) {
		return errorCode{code: codeInterrupted}
	}
	for _, c := range errorCodes() {
		if c.is(err) {
			return c
		}
	}
	return errorCode{code: codeFailed}
}

// errorDocument returns what --json says of an error.
func errorDocument(ctx context.Context, err error) *errorJSON {
	code := codeOf(ctx, err)
	doc := &errorJSON{Code: code.code, Message: messageOf(ctx, err)}
	if doc.Code == codeInterrupted {
		return doc
	}
	doc.Do = cmp.Or(whatToDo(err), code.do)
	if row, ok := errors.AsType[*loader.RowError](err); ok {
		doc.File, doc.Line, doc.LastLine, doc.Column = row.File, row.Line, row.LastLine, row.Column
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok && doc.File == "" {
		doc.File = path.Path
	}
	doc.SQLState = fault.Code(err)
	if refused, ok := errors.AsType[*loader.RefusedError](err); ok {
		doc.SQLState = refused.SQLState
	}
	return doc
}

// messageOf returns what standard error says of err, in one line and as it is.
func messageOf(ctx context.Context, err error) string {
	if usage, ok := errors.AsType[*usageError](err); ok {
		return usage.msg
	}
	if interrupted(ctx, err) {
		return "interrupted"
	}
	return strings.TrimRight(describeFailure(err), "\n")
}

// onlyFlag is advice that names what the text is about.
var onlyFlag = regexp.MustCompile(`^--[a-z-]+$`)

// whatToDo returns what can be done about err, in flags.
func whatToDo(err error) string {
	if usage, ok := errors.AsType[*usageError](err); ok {
		return usage.try
	}
	if is[*loader.TooManyError](err) {
		return "" // not what its last record advises
	}
	var list []string
	for _, said := range fault.Advices(err) {
		if said = inFlags.Replace(term.Line(said)); !onlyFlag.MatchString(said) {
			list = append(list, said)
		}
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		if hint := connectHint(failed.Config, err); hint != "" {
			list = append(list, hint)
		}
	}
	if more := strings.TrimPrefix(advice(err), "; "); more != "" {
		list = append(list, more)
	}
	return strings.Join(list, "; ")
}
