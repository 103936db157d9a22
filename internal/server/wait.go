package server

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
)

// Starting reports whether a server that could not be reached is there and may let us
// in soon: it starts, recovers or stops, has no connection left, or hangs up. A server
// of which nothing is heard is another matter: its name or port may be wrong, and
// nobody wants to wait to be told so.
func Starting(err error) bool {
	if fault.Server(err) {
		return fault.Passes(err)
	}
	for _, hangsUp := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, hangsUp) {
			return true
		}
	}
	return false
}

// A Patience says how long servers may fail with what passes.
type Patience struct {
	For  time.Duration
	Tell func(err error) // is called once, before the first wait; may be nil
}

// Persist calls fn until it succeeds, or fails with what does not pass, or has failed for
// too long.
func (p Patience) Persist(ctx context.Context, passes func(error) bool, fn func() error) error {
	var since time.Time
	for failures := 0; ; failures++ {
		err := fn()
		if err == nil || ctx.Err() != nil || !passes(err) {
			return err
		}
		switch {
		case failures > 0 && time.Since(since) > p.For:
			return err
		case failures == 0:
			since = time.Now()
			if p.Tell != nil {
				p.Tell(err)
			}
		}
		select {
		case <-time.After(min(fault.Backoff(failures), fault.LongestPause)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// OpenWithin does what Open does, again and again while the server is Starting.
func OpenWithin(ctx context.Context, cfg *pgx.ConnConfig, p Patience) (conn *pgx.Conn, err error) {
	err = p.Persist(ctx, Starting, func() (err error) {
		conn, err = Open(ctx, cfg)
		return err
	})
	return conn, err
}
