package route

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/server"
)

// ErrHeld says that a shard is about to be moved, and ErrElsewhere that one is no longer
// where the job has noted it.
var (
	ErrHeld      = errors.New("a shard is about to be moved")
	ErrElsewhere = errors.New("a shard was moved")
)

// HoldMoves keeps the shards of the table where they are until the fence is opened, so
// that what nodes have only prepared is not left behind. The batch's own transaction
// has locked them before: if a move waits for that, it is let through first. They must
// be where noted has them: whoever finds one elsewhere later, and the job not complete,
// takes it for one that was moved away from what was prepared.
func (f *Fence) HoldMoves(ctx context.Context, noted ledger.Files) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	sql := fmt.Sprintf("SAVEPOINT %s; SET LOCAL lock_timeout = %d; %s; SET LOCAL lock_timeout = 0; ", holdSavepoint, fault.HoldWait.Milliseconds(), citus.HoldSQL(f.t.Table.OID))
	results, err := f.conn.PgConn().Exec(ctx, sql+citus.PlacedSQL(f.t.Table.OID)).ReadAll()
	switch {
	case fault.Is(err, fault.LockNotAvailable):
		err = ErrHeld
	case err != nil:
		return fmt.Errorf("hold off moves of shards: %w", err)
	case !placedAs(results[len(results)-1], noted):
		err = ErrElsewhere
	}
	if f.held = err == nil; f.held {
		return nil
	}
	if err := f.undoHold(ctx); err != nil {
		return err
	}
	return err
}

// placedAs reports whether all placements of noted are among those of a result.
func placedAs(now *pgconn.Result, noted ledger.Files) bool {
	var places []string
	for _, row := range now.Rows {
		places = append(places, string(row[0]))
	}
	return noted.Within(places)
}

// LetMove ends what holdMoves has begun.
func (f *Fence) LetMove(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = false
	return f.undoHold(ctx)
}

func (f *Fence) undoHold(ctx context.Context) error {
	if err := server.Exec(ctx, f.conn.PgConn(), "ROLLBACK TO SAVEPOINT "+holdSavepoint+"; RELEASE SAVEPOINT "+holdSavepoint); err != nil {
		return fmt.Errorf("let shards be moved: %w", err)
	}
	return nil
}

// Holds reports whether moves are held off. The locks go with the connection.
func (f *Fence) Holds() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = f.held && !f.conn.IsClosed()
	return f.held
}

// holdSavepoint is where the fence's transaction goes back to where a move goes first.
const holdSavepoint = "shardload"
