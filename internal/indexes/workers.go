package indexes

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
)

// workers are the connections of a Builder, each with an index at a time.
type workers struct {
	*Builder
	waiting *ledger.WaitingIndexes
	done    atomic.Int64 // indexes that are built

	mu   sync.Mutex
	idle []*pgx.Conn
}

func newWorkers(b *Builder) *workers { return &workers{Builder: b} }

// tell says how many indexes are built.
func (w *workers) tell() { w.Tell(int(w.done.Load()), len(w.waiting.Indexes)) }

// each calls do for each of list, for some at a time. One that fails does not stop the others.
func (w *workers) each(ctx context.Context, list []task, do func(context.Context, *pgx.Conn, task) error) error {
	atOnce := max(w.AtOnce, 1)
	if onCitus(w.Target) {
		atOnce = min(atOnce, nodesAtOnce)
	}
	next := make(chan task, len(list))
	for _, x := range list {
		next <- x
	}
	close(next)
	errs := make([]error, min(atOnce, len(list)))
	var working sync.WaitGroup
	for i := range errs {
		working.Go(func() {
			for x := range next {
				err := w.do(ctx, func(conn *pgx.Conn) error { return do(ctx, conn, x) })
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					errs[i] = errors.Join(errs[i], w.failed(x, err))
				}
			}
		})
	}
	working.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// failed is the error of an index that could not be built.
func (w *workers) failed(x task, err error) error {
	return &failure.IndexError{Table: w.shown(), Index: server.Shown(x.Name), Kept: w.waiting.Table, Name: server.Literal(x.Name), Err: err}
}

// do calls fn with a connection that nobody else has, again and again as Persist does.
func (w *workers) do(ctx context.Context, fn func(*pgx.Conn) error) error {
	return w.Persist(ctx, func() error {
		conn, err := w.take(ctx)
		if err != nil {
			return err
		}
		defer w.leave(conn)
		return fn(conn)
	})
}

func (w *workers) take(ctx context.Context) (*pgx.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		conn := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return conn, nil
	}
	return w.Connect(ctx)
}

// leave keeps a connection for the next task, unless it is lost or in the middle of something.
func (w *workers) leave(conn *pgx.Conn) {
	if conn.IsClosed() {
		return
	}
	if conn.PgConn().TxStatus() != 'I' {
		server.CloseSoon(conn.PgConn())
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, conn)
}

func (w *workers) close() {
	for _, conn := range w.idle {
		server.CloseSoon(conn.PgConn())
	}
}
