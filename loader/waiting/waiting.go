// Package waiting has what a load waits for: a server that is away, a lock, a COMMIT that is not
// complete on all nodes. Whoever waits says so, and whoever shows a load asks; neither knows the
// other.
package waiting

import (
	"slices"
	"sync"
	"time"
)

// A Wait is something without which a piece of work does not go on.
type Wait struct {
	For   string    // what is waited for, in words; "" if no more is known than Err
	Err   error     // what has failed, nil if nothing has
	Since time.Time // when the wait began
	Next  time.Time // of the next try, zero if it is not tried again and again
	Until time.Time // when it is given up, zero for never
}

// Waits has what a piece of work waits for at the moment, for whoever shows that. It may be
// used by several goroutines; the methods of nil do nothing.
type Waits struct {
	mu   sync.Mutex
	list []*waiting // the one that began last comes last
}

// A waiting is a Wait under way.
type waiting struct {
	Wait
	still func() bool // nil for until it is ended
}

// Begin notes that w is waited for, until end is called, more than once if one likes.
func (ws *Waits) Begin(w Wait) (end func()) { return ws.BeginWhile(w, nil) }

// BeginWhile is Begin for what is not waited for any more once still says so. It is asked by
// Now, and must not call other methods.
func (ws *Waits) BeginWhile(what Wait, still func() bool) (end func()) {
	if ws == nil {
		return func() {}
	}
	w := &waiting{what, still}
	if w.Since.IsZero() {
		w.Since = time.Now()
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.list = append(ws.list, w)
	return func() {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		ws.list = slices.DeleteFunc(ws.list, func(of *waiting) bool { return of == w })
	}
}

// Now returns what is waited for: of several waits the one that began last. ok is false if
// there is none.
func (ws *Waits) Now() (w Wait, ok bool) {
	if ws == nil {
		return w, false
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.list = slices.DeleteFunc(ws.list, func(of *waiting) bool { return of.still != nil && !of.still() })
	if len(ws.list) == 0 {
		return w, false
	}
	return ws.list[len(ws.list)-1].Wait, true
}
