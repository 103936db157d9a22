package lane

import (
	"context"
	"slices"
)

// Assign gives a lane to a node, with all batches that are not stored yet.
func (l *Lanes) Assign(i, node int, direct bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := &l.lanes[i]
	n := len(ln.sealed)
	if ln.inFlight {
		n++
	}
	from, to := &l.queues[ln.node], &l.queues[node]
	from.load -= n
	to.load += n
	from.lanes--
	to.lanes++
	if at := slices.Index(from.ready, i); at >= 0 && ln.node != node {
		from.ready = slices.Delete(from.ready, at, at+1)
		to.ready = append(to.ready, i)
	}
	ln.node, ln.direct = node, direct
	l.changed.Broadcast()
}

// Begin says that the lanes have their nodes, and streams begin. Until then decoders
// run ahead as far as the memory goes.
func (l *Lanes) Begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = true
	l.changed.Broadcast()
}

// Next returns a batch for a stream of that node to store, or nil when there will
// be no more. The stream must give it back with Done or Again.
func (l *Lanes) Next(ctx context.Context, node int) (*Batch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := &l.queues[node]
	for len(q.ready) == 0 || l.paused {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		// A batch in flight on another node may yet be given back to this one.
		if l.ended && l.waiting+l.flying == 0 {
			return nil, nil
		}
		l.changed.Wait()
	}
	ln := &l.lanes[q.ready[0]]
	q.ready = q.ready[1:]
	b := ln.sealed[0]
	ln.sealed = ln.sealed[1:]
	ln.inFlight = true
	l.waiting--
	l.flying++
	if b.direct = ln.direct; b.direct {
		l.direct++
	}
	return b, nil
}

// Done takes the pages of a batch back, and lets the lane's next one go.
func (l *Lanes) Done(b *Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range b.Sections {
		l.pool.takeBack(&b.Sections[i])
	}
	l.pool.takeBack(&b.Aside)
	l.queues[l.lanes[b.Lane].node].load--
	l.land(b)
}

// Again takes back a batch that was not stored: it is the lane's next one.
func (l *Lanes) Again(b *Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := &l.lanes[b.Lane]
	ln.sealed = slices.Insert(ln.sealed, 0, b)
	l.waiting++
	l.land(b)
}

// land ends the flight of a batch.
func (l *Lanes) land(b *Batch) {
	ln := &l.lanes[b.Lane]
	ln.inFlight = false
	l.flying--
	if b.direct {
		l.direct--
	}
	ln.offer(b.Lane, l.queues)
	l.changed.Broadcast()
}

// Pause keeps new batches from starting and waits until no direct one is in
// flight. Others may themselves be waiting for the table's lock, behind those for
// whom it is about to be opened. Proceed ends the pause.
func (l *Lanes) Pause(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
	for l.direct > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		l.changed.Wait()
	}
	return nil
}

// Proceed ends a pause.
func (l *Lanes) Proceed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	l.changed.Broadcast()
}

// Watch wakes everybody who waits when ctx ends. The caller must call the
// function it returns.
func (l *Lanes) Watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
}
