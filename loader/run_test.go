package loader

import (
	"context"
	"errors"
	"testing"

	"shardload/internal/ledger"
)

// TestBeatWhileClosing holds that a beat which finds the run without its owner ends the load,
// unless it is this load itself that closes the run.
func TestBeatWhileClosing(t *testing.T) {
	t.Parallel()
	of := &roster{l: &Loader{}, set: &ledger.Job{}}
	begin := func() (*running, context.Context) {
		r := of.newRunning(nil, nil)
		r.tally.begin(0)
		ctx, lost := context.WithCancelCause(t.Context())
		r.lost = lost
		return r, ctx
	}

	r, ctx := begin()
	if r.over(errors.New("a server that is away")) || ctx.Err() != nil {
		t.Error("a beat that failed ends the run")
	}
	if !r.over(ledger.ErrEpoch) || !errors.Is(context.Cause(ctx), ledger.ErrEpoch) {
		t.Error("the run goes on that another process has")
	}

	r, ctx = begin()
	r.Ends(ledger.Place{})
	if !r.over(ledger.ErrEpoch) || ctx.Err() != nil {
		t.Error("the load ends for a beat that finds the run closed, which it has closed itself")
	}
}
