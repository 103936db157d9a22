package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// A proof is what a sifter knows of errors that a row may cause as well as the
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
func (s *sifter) doubt(ctx context.Context, v *verdict) error {
	if v.kind != fault.Unclear {
		return nil
	}
	if ofStatement(v.err) {
		return s.statementError(ctx, v.err)
	}
	if !s.proof.statement {
		pgErr, err := s.refusal(ctx, s.copy(ctx, 0, 0))
		if err != nil {
			return err
		}
		if pgErr != nil {
			return s.statementError(ctx, pgErr)
		}
		s.proof.statement = true
	}
	if v.at < 0 || v.rows == 1 || v.probed {
		return nil
	}
	v.probed = true
	alone, err := s.probe(ctx, v.at)
	if err == nil && alone == nil {
		v.at = -1
	}
	return err
}

// probe tries to store a row, and stores it in no case.
func (s *sifter) probe(ctx context.Context, i int) (*verdict, error) {
	_, err := s.of.put(ctx, i, i+1)
	if err == nil {
		err = server.Exec(ctx, s.x.conn, s.check(1))
	}
	pgErr, err := s.refusal(ctx, err)
	switch {
	case err != nil:
		return nil, err
	case pgErr != nil:
		return s.verdict(pgErr, i, i+1), nil
	}
	if err := server.Exec(ctx, s.x.conn, "ROLLBACK TO SAVEPOINT "+savepoint); err != nil {
		return nil, s.x.fail(ctx, err)
	}
	return nil, nil
}

// blame refuses row i, v being the verdict on it. Where it was found by leaving out
// rows, or may be of the statement, it must be refused once more.
func (s *sifter) blame(ctx context.Context, i int, v *verdict) error {
	if v.kind != fault.Row || v.at < 0 {
		again, err := s.try(ctx, i, i+1)
		if err != nil || again == nil {
			return err
		}
		if err := s.doubt(ctx, again); err != nil {
			return err
		}
		v = again
	}
	if v.kind == fault.Unclear {
		if err := s.witness(ctx, i, v); err != nil {
			return err
		}
		s.x.b.Unclear++
	}
	return s.refuse(i, v)
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
func (s *sifter) witness(ctx context.Context, i int, v *verdict) error {
	p := &s.proof
	if p.barren == 0 || p.last != v.err.Message {
		p.barren, p.first, p.last = 0, i, v.err.Message
	}
	if p.barren++; p.barren < barrenLimit || p.examined {
		return nil
	}
	p.examined = true
	for n := range witnesses {
		at := i + 1 + (s.n-i-1)*n/witnesses
		if at >= s.n {
			break
		}
		other, err := s.probe(ctx, at)
		if err != nil {
			return err
		}
		if other == nil || other.err.Message != p.last {
			return nil
		}
	}
	switch {
	case !s.x.b.Anew:
		s.x.b.Anew = true
		return errAnew
	case !p.some && s.x.load.Rows.Load() == 0:
		return s.everyRowError(i, v.err)
	}
	return nil
}

// statementError is that of an error that comes without any row, too. One without a
// code of its own may be of what has become of the connection.
func (s *sifter) statementError(ctx context.Context, err *pgconn.PgError) error {
	if err.Code == fault.InternalError && !s.x.b.Anew {
		s.x.b.Anew = true
		return errAnew
	}
	return s.x.fail(ctx, s.x.load.Layout.Refused(err))
}

// everyRowError says that rows up to i, and all others that were tried, are refused for
// the same reason.
func (s *sifter) everyRowError(i int, err *pgconn.PgError) error {
	_, one := s.of.ref(s.proof.first)
	_, other := s.of.ref(i)
	span := lane.Span{First: one.Spot(), Last: other.Spot()}
	if span.First.Source == span.Last.Source && span.First.Line > span.Last.Line {
		span.First, span.Last = span.Last, span.First
	}
	row := &failure.RowError{
		Err: fmt.Errorf("every record that was tried is refused for the same reason: %w", s.x.load.Layout.Refused(err)),
	}
	placeAt(row, span, s.x.load.Input)
	return row
}

// What store returns of a batch that is to be stored once more from its start.
var (
	// errAnew is for another connection: what was said may be of this one's state.
	errAnew = errors.New("the batch is stored anew")
	// errDeferred is for checks of constraints before the COMMIT.
	errDeferred = errors.New("the batch is stored anew, and checked before its COMMIT")
)

// check returns the statements that check n rows against what is deferred.
func (s *sifter) check(n int64) string {
	const immediate = "SET CONSTRAINTS ALL IMMEDIATE"
	if !s.x.b.Deferred || n == 0 || s.x.node.Index != 0 || s.x.load.Target.Server.Citus == "" {
		return immediate
	}
	// Citus does not tell its nodes. This function of its own runs a statement in
	// the sessions in which the rows are.
	return fmt.Sprintf("%s; SET LOCAL client_min_messages = error; SELECT pg_catalog.worker_apply_shard_ddl_command(0, '%s') FROM %s LIMIT 1", immediate, immediate, s.x.t.Table)
}
