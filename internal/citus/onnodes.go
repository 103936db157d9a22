package citus

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
)

// An answer is what a node has answered to a query of one row and column.
type answer struct {
	Node    string
	Success bool
	Result  string // or why there is none
}

// failure returns why the node has not answered. That passes where it restarts, or the
// coordinator cannot reach it for now.
func (a answer) failure() error {
	err := fmt.Errorf("node %s: %s", a.Node, a.Result)
	said := &pgconn.PgError{Code: fault.InternalError, Message: a.Result} // without the node's code
	switch {
	case strings.Contains(a.Result, noConnection):
		return &fault.PassingError{Err: fault.Advise(err, startIt), Awaits: "node " + a.Node + ", which does not answer"}
	case fault.Passes(said):
		return &fault.PassingError{Err: err, Awaits: cmp.Or(fault.Awaits(said), "node "+a.Node+", which fails")}
	}
	return err
}

// noConnection is in what Citus says of a node that it cannot connect to, and startIt what
// to do then.
const (
	noConnection = "failed to connect"
	startIt      = "start it, and run the same command again"
)

// askNodes runs a query that asks nodes by a function of Citus's. A connection that Citus
// keeps for conn may have ended while nothing was asked of it, by idle_session_timeout:
// that is found when it is used, and the next one is new. So the nodes are asked once
// more where one that could be connected to has not answered.
func askNodes(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (answers []answer, err error) {
	for range fault.NodeTries {
		answers, err = collect(ctx, conn, pgx.RowToStructByPos[answer], sql, args...)
		if err != nil || !lostOne(answers) {
			break
		}
	}
	return answers, err
}

// lostOne reports whether a node's answer was lost on a connection that there was.
func lostOne(answers []answer) bool {
	for _, a := range answers {
		if !a.Success && !strings.Contains(a.Result, noConnection) {
			return true
		}
	}
	return false
}
