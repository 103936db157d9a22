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

// TestHearing holds that what others have stored of a set is told once: what is taken over of it
// counts as what an earlier run has stored.
func TestHearing(t *testing.T) {
	t.Parallel()
	l := &Loader{}
	l.whole.Store(&whole{total: 10_000, before: 4000, rows: 1000})
	h := hearing{}
	open := ledger.RunStanding{}
	open.Rows = 500
	h.begin(l, &ledger.Standing{Rows: 1500, Runs: []ledger.RunStanding{open}})
	h.begin(l, &ledger.Standing{Rows: 9999}) // of each look after that
	for _, step := range []struct {
		what           string
		all, own, done int64
		others, before int64
	}{
		{"at the beginning", 1500, 0, 0, 500, 500},
		{"both store", 2100, 200, 0, 900, 500},
		{"the own run is over", 2150, 0, 200, 950, 500},
		{"the other one's is taken over, and more of it stored", 2180, 980, 200, 0, 0},
	} {
		h.done = step.done
		h.hear(l, step.all, step.own)
		if p := l.Progress(); p.Others != step.others || p.OthersBefore != step.before || p.BytesPassed != 4000+4*step.others {
			t.Errorf("%s: %+v, want %d by others, %d of them before", step.what, p, step.others, step.before)
		}
	}
}
