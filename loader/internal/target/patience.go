package target

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"shardload/internal/fault"
	"shardload/loader/failure"
	"shardload/loader/waiting"
)

// A Patience is how long servers may fail. Its zero limit allows no second try. It may be
// used by several goroutines.
type Patience struct {
	Limit time.Duration
	Waits *waiting.Waits // gets what is waited for; nil for none

	mu       sync.Mutex
	since    time.Time // of the first failure behind the last success
	told     time.Time // when it was last told of
	failures int
	waits    func() // ends what is shown; nil if nothing is
}

// Wait waits before the next try of what failed with err. It returns an error
// if tries have failed for too long, or ctx ends.
func (p *Patience) Wait(ctx context.Context, log *slog.Logger, err error) error {
	delay, tell, gaveUp := p.fail(err)
	if strings.Contains(err.Error(), ofColocation) {
		if delay = fault.ColocationDelay; tell != "" {
			tell = "a shard of the table's colocation group is being moved; waiting for a moment without a move"
		}
	}
	if gaveUp != nil {
		p.End()
		return gaveUp
	}
	if tell != "" {
		log.Warn(tell, "error", err)
	}
	p.show(err, delay)
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		p.End()
		return context.Cause(ctx)
	}
}

// show shows what is waited for, and when it is tried again.
func (p *Patience) show(err error, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waits != nil {
		p.waits()
	}
	p.waits = p.Waits.Begin(waiting.Wait{For: fault.Awaits(err), Err: err, Since: p.since, Next: time.Now().Add(delay), Until: p.since.Add(p.Limit)})
}

// End says that nothing is waited for any more, whatever came of it.
func (p *Patience) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

func (p *Patience) end() {
	if p.waits != nil {
		p.waits()
	}
	p.waits = nil
}

// fail counts a failure and returns how long to wait and what to tell of it, if
// anything, or that it is enough.
func (p *Patience) fail(err error) (delay time.Duration, tell string, gaveUp error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.since.IsZero() {
		p.since = now
	}
	p.failures++
	failing, awaits := now.Sub(p.since), fault.Awaits(err)
	switch {
	case p.Limit <= 0:
		return 0, "", err
	case failing > p.Limit:
		return 0, "", &failure.GaveUpError{After: failing.Round(time.Second), Err: err}
	case p.failures == 1:
		if tell = fmt.Sprintf("a server fails; trying again for up to %s", p.Limit); awaits != "" {
			tell = fmt.Sprintf("waiting for %s; trying again for up to %s", awaits, p.Limit)
		}
	case now.Sub(p.told) > fault.Reminder:
		if tell = fmt.Sprintf("a server has failed for %s now; trying again for up to %s", failing.Round(time.Second), p.Limit); awaits != "" {
			tell = fmt.Sprintf("waiting for %s, for %s now; trying again for up to %s", awaits, failing.Round(time.Second), p.Limit)
		}
	}
	if tell != "" {
		p.told = now
	}
	return fault.Backoff(p.failures - 1), tell, nil
}

// Succeed ends a row of failures.
func (p *Patience) Succeed(log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	if p.since.IsZero() {
		return
	}
	log.Info(fmt.Sprintf("going on after %s", time.Since(p.since).Round(100*time.Millisecond)))
	p.since, p.failures = time.Time{}, 0
}

// ofColocation is in Citus's error for a table that is to be made in a colocation group a
// shard of which is being moved: the lock is not waited for.
const ofColocation = "could not acquire the lock required to colocate"
