package places

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"shardload/internal/fault"
	"shardload/loader/failure"
)

// A patience is how long a store may fail. It may be used by several goroutines.
type patience struct {
	name  string // of the object
	limit time.Duration
	log   *slog.Logger

	mu       sync.Mutex
	since    time.Time // of the first failure after the last byte
	told     time.Time
	failures int
	heard    bool // the store has answered once
}

// succeed ends a row of failures.
func (p *patience) succeed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = true
	if !p.told.IsZero() {
		p.log.Info(fmt.Sprintf("%s: going on after %s", p.name, time.Since(p.since).Round(100*time.Millisecond)))
	}
	p.since, p.told, p.failures = time.Time{}, time.Time{}, 0
}

// wait waits before the next try of what failed with err. It returns an error if there is to be
// none.
func (p *patience) wait(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	delay, err := p.fail(err)
	if err != nil {
		return err
	}
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fail counts a failure, and returns how long to wait, or that it is enough.
func (p *patience) fail(err error) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit <= 0 || !passes(err, p.heard) {
		return 0, err
	}
	now := time.Now()
	if p.since.IsZero() {
		p.since = now
	}
	failing := now.Sub(p.since)
	delay := fault.Backoff(p.failures)
	p.failures++
	if status, ok := errors.AsType[*statusError](err); ok {
		delay = max(delay, status.after)
	}
	if failing > p.limit || delay > p.limit {
		return 0, &failure.GaveUpError{After: failing.Round(time.Second), Err: err}
	}
	if p.failures > 1 && now.Sub(p.told) > fault.Reminder {
		p.log.Warn(fmt.Sprintf("%s: the store fails; trying again for up to %s", p.name, p.limit), "error", err)
		p.told = now
	}
	return delay, nil
}

// passes reports whether what failed with err may go well at another time. heard says that the
// store has answered once.
func passes(err error, heard bool) bool {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.passes()
	}
	for _, final := range []func(error) bool{is[*finalError], is[*ChangedError], is[*tls.CertificateVerificationError], is[x509.UnknownAuthorityError], is[x509.HostnameError], is[x509.CertificateInvalidError]} {
		if final(err) {
			return false
		}
	}
	if of, ok := errors.AsType[*net.DNSError](err); ok && of.IsNotFound {
		return heard
	}
	// Once a store has spoken, whatever breaks its answer off is the way's.
	return heard || errors.Is(err, errSilent) || fault.Passes(err)
}

// is reports whether err is, or wraps, a T.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
