package fault

import (
	"errors"
	"strings"
)

// awaited says what is waited for after an error that passes: an exact SQLSTATE comes before
// its class.
var awaited = map[string]string{
	"08":               "a server that another one does not reach", // else no server would say so
	"53":               "resources of a server",
	DiskFull:           "room on a server's disk",
	"53200":            "memory on a server",
	TooManyConnections: "a connection that a server has to spare",
	"55":               "a lock that another session has",
	"57":               "a server that ends sessions or statements",
	Canceled:           "another try: a statement was cancelled or took too long",
	"57P01":            "a server that shuts down or ends sessions",
	"57P02":            "a server that restarts after a crash",
	Starting:           "a server that starts or recovers",
}

// awaitedMessages says so of what Citus reports without a SQLSTATE.
var awaitedMessages = []struct{ part, what string }{
	{"too many clients already", awaited[TooManyConnections]},
	{"remaining connection slots", awaited[TooManyConnections]},
	{"too many connections", awaited[TooManyConnections]},
	{"No space left on device", awaited[DiskFull]},
	{"out of memory", awaited["53200"]},
	{"due to lock timeout", awaited["55"]},
	{"could not obtain lock", awaited["55"]},
	{"the database system is", awaited[Starting]},
}

// Awaits says what is waited for where err passes, "" where nothing more is known than that
// a server fails.
func Awaits(err error) string {
	if passing, ok := errors.AsType[*PassingError](err); ok && passing.Awaits != "" {
		return passing.Awaits
	}
	code := Code(err)
	if code == ProtocolViolation {
		return "" // PgBouncer's, for anything
	}
	if code == InternalError || Lost(err) {
		for _, m := range awaitedMessages {
			if strings.Contains(err.Error(), m.part) {
				return m.what
			}
		}
	}
	if what := awaited[code]; what != "" || len(code) != 5 {
		return what
	}
	return awaited[code[:2]]
}
