package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// A proof is what an attempt knows of errors that a row may cause as well as the
// statement, or the state of a connection.
type proof struct {
	statement bool // it is taken without rows
	some      bool // rows were taken
	examined  bool // rows elsewhere were tried when none was taken any more

	barren int // rows in a row that were refused with such an error since one was taken
	first  int // of them
	last   string
}

// taken notes that n rows are stored.
func (p *proof) taken(n int) {
	if n > 0 {
		p.some, p.barren = true, 0
	}
}

// doubt makes sure that v, if it is unclear, is about rows: the statement must be
// taken without any. A row that it names is believed if it is refused alone: COPY
// names another one for what is too long for a page.
func (a *attempt) doubt(ctx context.Context, v *verdict) error {
	if v.kind != fault.Unclear {
		return nil
	}
	if ofStatement(v.err) {
		return a.statementError(ctx, v.err)
	}
	if !a.proof.statement {
		pgErr, err := a.refusal(ctx, a.copy(ctx, a.nothing(), 0))
		if err != nil {
			return err
		}
		if pgErr != nil {
			return a.statementError(ctx, pgErr)
		}
		a.proof.statement = true
	}
	if v.at < 0 || v.rows == 1 || v.probed {
		return nil
	}
	v.probed = true
	alone, err := a.probe(ctx, v.at)
	if err == nil && alone == nil {
		v.at = -1
	}
	return err
}

// nothing returns what COPY reads of a part without rows.
func (a *attempt) nothing() io.Reader {
	if a.p.Format == lane.FormatBinary {
		return io.MultiReader(bytes.NewReader(lane.BinaryHeader), bytes.NewReader(lane.BinaryTrailer))
	}
	return bytes.NewReader(nil)
}

// probe tries to store a row, and stores it in no case.
func (a *attempt) probe(ctx context.Context, i int) (*verdict, error) {
	_, err := a.put(ctx, a.reader(i, i+1), 1)
	if err == nil {
		err = server.Exec(ctx, a.x.conn, a.check(1))
	}
	pgErr, err := a.refusal(ctx, err)
	switch {
	case err != nil:
		return nil, err
	case pgErr != nil:
		return a.verdict(pgErr, i, i+1), nil
	}
	if err := server.Exec(ctx, a.x.conn, "ROLLBACK TO SAVEPOINT "+savepoint); err != nil {
		return nil, a.x.fail(ctx, err)
	}
	return nil, nil
}

// blame refuses row i, v being the verdict on it. Where it was found by leaving out
// rows, or may be of the statement, it must be refused once more.
func (a *attempt) blame(ctx context.Context, i int, v *verdict) error {
	if v.kind != fault.Row || v.at < 0 {
		again, err := a.try(ctx, i, i+1)
		if err != nil || again == nil {
			return err
		}
		if err := a.doubt(ctx, again); err != nil {
			return err
		}
		v = again
	}
	if v.kind == fault.Unclear {
		if err := a.witness(ctx, i, v); err != nil {
			return err
		}
		a.x.b.Unclear++
	}
	return a.refuse(i, v)
}

const (
	// barrenLimit is how many rows in a row may be refused for something unclear
	// before others are tried.
	barrenLimit = 16
	// witnesses is how many.
	witnesses = 16
)

// witness counts row i as refused for something unclear. Where no row is taken any
// more the batch is begun anew on another connection, once; and where the server
// has not taken a single row of the load either, it is no row's fault.
func (a *attempt) witness(ctx context.Context, i int, v *verdict) error {
	p := &a.proof
	if p.barren == 0 || p.last != v.err.Message {
		p.barren, p.first, p.last = 0, i, v.err.Message
	}
	if p.barren++; p.barren < barrenLimit || p.examined {
		return nil
	}
	p.examined = true
	for n := range witnesses {
		at := i + 1 + (len(a.rows)-i-1)*n/witnesses
		if at >= len(a.rows) {
			break
		}
		other, err := a.probe(ctx, at)
		if err != nil {
			return err
		}
		if other == nil || other.err.Message != p.last {
			return nil
		}
	}
	switch {
	case !a.x.b.Anew:
		a.x.b.Anew = true
		return errAnew
	case !p.some && a.x.load.Rows.Load() == 0:
		return a.everyRowError(i, v.err)
	}
	return nil
}

// statementError is that of an error that comes without any row, too. One without a
// code of its own may be of what has become of the connection.
func (a *attempt) statementError(ctx context.Context, err *pgconn.PgError) error {
	if err.Code == fault.InternalError && !a.x.b.Anew {
		a.x.b.Anew = true
		return errAnew
	}
	return a.x.fail(ctx, a.x.load.Layout.Refused(err))
}

// everyRowError says that rows up to i, and all others that were tried, are refused for
// the same reason.
func (a *attempt) everyRowError(i int, err *pgconn.PgError) error {
	first, last := a.refs[a.rows[a.proof.first].Index].Line, a.refs[a.rows[i].Index].Line
	return &failure.RowError{
		File: a.x.load.Input, Line: min(first, last), LastLine: max(first, last),
		Err: fmt.Errorf("every record that was tried is refused for the same reason: %w", a.x.load.Layout.Refused(err)),
	}
}

// What store returns of a batch that is to be stored once more from its start.
var (
	// errAnew is for another connection: what was said may be of this one's state.
	errAnew = errors.New("the batch is stored anew")
	// errDeferred is for checks of constraints before the COMMIT.
	errDeferred = errors.New("the batch is stored anew, and checked before its COMMIT")
)

// check returns the statements that check n rows against what is deferred.
func (a *attempt) check(n int64) string {
	const immediate = "SET CONSTRAINTS ALL IMMEDIATE"
	if !a.x.b.Deferred || n == 0 || a.x.node.Index != 0 || a.x.load.Target.Server.Citus == "" {
		return immediate
	}
	// Citus does not tell its nodes. This function of its own runs a statement in
	// the sessions in which the rows are.
	return fmt.Sprintf("%s; SET LOCAL client_min_messages = error; SELECT pg_catalog.worker_apply_shard_ddl_command(0, '%s') FROM %s LIMIT 1", immediate, immediate, a.x.t.Table)
}
