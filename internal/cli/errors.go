package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shardload/internal/fault"
	"shardload/internal/term"
	"shardload/loader"
)

// Exit statuses. The help of the command lists them.
const (
	statusDone        = 0
	statusFailed      = 1
	statusUsage       = 2
	statusRejected    = 3
	statusDifference  = 4
	statusInterrupted = 130
)

// A usageError is the caller's mistake. It exits 2 and shows what to type next.
type usageError struct{ msg, try string }

func (e *usageError) Error() string { return e.msg }

// usagef returns a usageError that points at the help of cmd.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{msg: fmt.Sprintf(format, args...), try: cmd.CommandPath() + " --help"}
}

// usageFor makes cobra's complaint about a command line a usageError.
func usageFor(cmd *cobra.Command, err error) error {
	if _, ok := errors.AsType[*usageError](err); ok {
		return err
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if failed, ok := errors.AsType[*strconv.NumError](err); ok {
			flag := invalid.GetFlag()
			return usagef(cmd, "invalid argument %q for %q flag: %s", invalid.GetValue(), "--"+flag.Name, wantedNumber(flag, failed))
		}
	}
	return usagef(cmd, "%s", err)
}

// wantedNumber says what a flag takes instead of what is no number, or none for it.
func wantedNumber(flag *pflag.Flag, failed *strconv.NumError) string {
	if errors.Is(failed, strconv.ErrRange) {
		return "the number is too large"
	}
	switch kind := flag.Value.Type(); {
	case kind == "bool":
		return "want true or false"
	case strings.HasPrefix(kind, "float"):
		return "want a number such as 0.5"
	case strings.HasPrefix(kind, "uint"):
		return "want a whole number, 0 or more"
	}
	return "want a whole number such as 1000000 or 1_000_000"
}

// A differenceError says that verification found differences.
type differenceError struct{ what string }

func (e *differenceError) Error() string { return e.what }

// A rejectedError says that all is done, but records were rejected.
type rejectedError struct{ what string }

func (e *rejectedError) Error() string { return e.what }

// A goneError is of a server that is gone: what its error advises is left out.
type goneError struct{ err error }

func (e *goneError) Error() string {
	text := e.err.Error()
	for _, said := range fault.Advices(e.err) {
		text = strings.ReplaceAll(text, "; "+said, "")
	}
	return text
}

func (e *goneError) Unwrap() error { return e.err }

// exitStatus maps the error of a verb to the statuses that the help documents.
func exitStatus(ctx context.Context, err error) int {
	if err == nil {
		return statusDone
	}
	if interrupted(ctx, err) {
		return statusInterrupted
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return statusUsage
	}
	if _, ok := errors.AsType[*rejectedError](err); ok {
		return statusRejected
	}
	if _, ok := errors.AsType[*differenceError](err); ok {
		return statusDifference
	}
	return statusFailed
}

// interrupted reports whether err is, or came of, the end of ctx: then it does not
// matter which of the things under way was the first to notice.
func interrupted(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, context.Canceled))
}

// describe returns what the user is told of err: without its noise, and with what
// to do next. The text is fit for a terminal.
func describe(ctx context.Context, err error) string {
	if err == nil {
		return ""
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		return term.Line(usage.msg) + "\ntry: " + usage.try
	}
	if interrupted(ctx, err) {
		return "interrupted"
	}
	if gone, ok := errors.AsType[*goneError](err); ok {
		return term.Line(gone.Error())
	}
	if text, ok := describeServerFailure(err); ok {
		return term.Line(text)
	}
	return typed(strings.TrimRight(term.Error(err), "\n"), err) + advice(err)
}

// describeFailure is describe of what is neither wrong usage nor an interrupt, for
// machines: as it is.
func describeFailure(err error) string {
	if text, ok := describeServerFailure(err); ok {
		return text
	}
	return typed(strings.TrimRight(err.Error(), "\n"), err) + advice(err)
}

// describeServerFailure is describeServer for an error that ends a verb.
func describeServerFailure(err error) (text string, ok bool) {
	text, ok = describeServer(err)
	gaveUp, longer := errors.AsType[*loader.GaveUpError](err)
	if ok && longer { // one of the cluster's perhaps, and not the one that the user has named
		text = fmt.Sprintf("gave up after %s of attempts (--retry-for): %s", gaveUp.After, strings.TrimSuffix(text, nameAnother))
	}
	return text, ok
}
