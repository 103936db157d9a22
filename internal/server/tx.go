package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
)

// Tx runs fn in a transaction of ours on conn: every statement of ours runs in one.
// What it writes is committed if fn returns nil, else undone. Where conn is in a transaction
// already, which must be ours, fn runs in that one, and ends nothing.
func Tx(ctx context.Context, conn *pgx.Conn, k Kind, fn func() error) error {
	return TxFrom(ctx, conn, k, &pgx.Batch{}, fn)
}

// TxFrom does what Tx does, and runs the queries of first before fn, in one round trip with
// what opens the transaction.
func TxFrom(ctx context.Context, conn *pgx.Conn, k Kind, first *pgx.Batch, fn func() error) error {
	pg := conn.PgConn()
	if pg.TxStatus() != 'I' {
		if err := send(ctx, conn, first); err != nil {
			return err
		}
		return fn()
	}
	err := send(ctx, conn, opened(pg, k, first))
	if err == nil {
		err = fn()
	}
	if err != nil {
		if failed := Rollback(ctx, pg); failed != nil && !pg.IsClosed() {
			return errors.Join(err, failed)
		}
		return err
	}
	if k == Read { // an error that fn knows what to make of has ended it, too
		return Rollback(ctx, pg)
	}
	return commit(ctx, pg)
}

// send runs the queries of batch.
func send(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	if batch.Len() == 0 {
		return nil
	}
	return conn.SendBatch(ctx, batch).Close()
}

// Ask runs the queries of batch as Tx does for Read, in one round trip with what opens the
// transaction and ends it.
func Ask(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	pg := conn.PgConn()
	if pg.TxStatus() != 'I' {
		return send(ctx, conn, batch)
	}
	whole := opened(pg, Read, batch)
	whole.Queue("ROLLBACK")
	err := send(ctx, conn, whole)
	if failed := Rollback(ctx, pg); failed != nil && (err == nil || !pg.IsClosed()) {
		return errors.Join(err, failed)
	}
	return err
}

// opened returns the queries of batch after those that open a transaction.
func opened(pg *pgconn.PgConn, k Kind, batch *pgx.Batch) *pgx.Batch {
	whole := &pgx.Batch{}
	for _, sql := range Statements(pg, k) {
		whole.Queue(sql)
	}
	whole.QueuedQueries = append(whole.QueuedQueries, batch.QueuedQueries...)
	return whole
}

// BeginFunc does what Tx does for Write, with a driver's transaction. The first statements,
// one each, run in the round trip that makes it ours.
func BeginFunc(ctx context.Context, conn *pgx.Conn, fn func(pgx.Tx) error, first ...string) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		if err := Within(ctx, conn.PgConn(), first...); err != nil {
			return err
		}
		return fn(tx)
	})
}

// commit ends a transaction, of which something must not have failed unseen.
func commit(ctx context.Context, pg *pgconn.PgConn) error {
	result, err := pg.Exec(ctx, "COMMIT").ReadAll()
	if err != nil {
		return err
	}
	if len(result) != 1 || result[0].CommandTag.String() != "COMMIT" {
		return errors.New("the server rolled the transaction back without an error")
	}
	return nil
}

// Rollback ends a transaction, also after an interrupt, unless its connection is lost
// and has ended it.
func Rollback(ctx context.Context, pg *pgconn.PgConn) error {
	if pg.IsClosed() || pg.TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fault.RollbackGrace)
	defer cancel()
	if err := Exec(ctx, pg, "ROLLBACK"); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}
