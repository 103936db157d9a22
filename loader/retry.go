package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// transient reports whether err may pass by itself: a connection that was lost or
// refused, a server that restarts or fails over, a conflict with another
// transaction.
func transient(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return transientCode(pgErr)
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	if errors.Is(err, errUnreachable) {
		return true
	}
	if failed, ok := errors.AsType[net.Error](err); ok {
		// A file's error is one, too, by its number: a full disk is no server's.
		if _, number := failed.(syscall.Errno); !number {
			return true
		}
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED, context.DeadlineExceeded} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// passingMessages are in errors without a code of their own that pass by themselves.
var passingMessages = []string{
	"could not acquire the lock required to colocate", // a shard of the group is being moved or split
	// libpq's, of a connection between the coordinator and a node that crashes.
	"server closed the connection unexpectedly",
	"could not receive data from server",
	"could not send data to server",
	"no connection to the server",
	"connection not open",
}

// transientCode reports the same of what a server says.
func transientCode(err *pgconn.PgError) bool {
	switch err.Code {
	case "40001", "40P01", // conflicts
		"53300",                            // too many connections
		"57P01", "57P02", "57P03", "57P05", // the server stops, has crashed, or starts
		"25006": // it has become a standby, or a standby is becoming it
		return true
	case "58030": // as Citus calls a node that it loses in a COPY
		return strings.Contains(err.Message, "COPY")
	case "XX000":
		for _, passing := range passingMessages {
			if strings.Contains(err.Message, passing) {
				return true
			}
		}
		return false
	}
	return strings.HasPrefix(err.Code, "08") && err.Code != "08P01" // which is about what was sent
}

// Delays between attempts grow from the first to the longest, and vary by half.
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 10 * time.Second
)

// backoff returns how long to wait before the next attempt after that many
// failures.
func backoff(failures int) time.Duration {
	d := longestDelay
	if failures < 7 {
		d = min(firstDelay<<failures, longestDelay)
	}
	return d/2 + rand.N(d)
}

// A patience is how long attempts may fail. Its zero limit allows none. It may be
// used by several goroutines.
type patience struct {
	limit time.Duration

	mu       sync.Mutex
	since    time.Time // of the first failure behind the last success
	told     time.Time // when it was last told of
	failures int
}

// reminder is how often a server that keeps failing is told of.
const reminder = 30 * time.Second

// A GaveUpError reports that a server has failed for longer than Config.RetryFor.
type GaveUpError struct {
	After time.Duration
	Err   error // of the last attempt
}

func (e *GaveUpError) Error() string {
	return fmt.Sprintf("gave up after %s of attempts (--retry-for): %v", e.After, e.Err)
}

func (e *GaveUpError) Unwrap() error { return e.Err }

// wait waits before the next attempt of what failed with err. It returns an error
// if attempts have failed for too long, or ctx ends.
func (p *patience) wait(ctx context.Context, log *slog.Logger, err error) error {
	delay, tell, gaveUp := p.fail(err)
	if gaveUp != nil {
		return gaveUp
	}
	if tell != "" {
		log.Warn(tell, "error", err)
	}
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fail counts a failure and returns how long to wait and what to tell of it, if
// anything, or that it is enough.
func (p *patience) fail(err error) (delay time.Duration, tell string, gaveUp error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.since.IsZero() {
		p.since = now
	}
	p.failures++
	failing := now.Sub(p.since)
	switch {
	case p.limit <= 0:
		return 0, "", err
	case failing > p.limit:
		return 0, "", &GaveUpError{After: failing.Round(time.Second), Err: err}
	case p.failures == 1:
		tell = fmt.Sprintf("a server fails; trying again for up to %s", p.limit)
	case now.Sub(p.told) > reminder:
		tell = fmt.Sprintf("a server has failed for %s now; trying again for up to %s", failing.Round(time.Second), p.limit)
	}
	if tell != "" {
		p.told = now
	}
	return backoff(p.failures - 1), tell, nil
}

// succeed ends a row of failures.
func (p *patience) succeed(log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return
	}
	log.Info(fmt.Sprintf("going on after %s", time.Since(p.since).Round(100*time.Millisecond)))
	p.since, p.failures = time.Time{}, 0
}

// persist calls fn until it succeeds, fails for good, or has failed for too long.
func (l *Loader) persist(ctx context.Context, fn func() error) error {
	p := patience{limit: l.cfg.RetryFor}
	for {
		err := fn()
		if err == nil {
			p.succeed(l.cfg.Log)
		}
		if err == nil || ctx.Err() != nil || !transient(err) {
			return err
		}
		if err := p.wait(ctx, l.cfg.Log, err); err != nil {
			return err
		}
	}
}
