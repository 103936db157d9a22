package cli

import (
	"slices"
	"sync"
)

// A live line is the last one of the terminal, as long as a bar has it. The cursor stands before
// it. So what is written next is written over it, and a terminal that becomes narrower, and
// breaks it in two, leaves the cursor before both.
type liveLine struct {
	mu    sync.Mutex
	shown bool
	list  []*activity // under way, the one that is shown comes last
}

// push begins to show a.
func (l *liveLine) push(a *activity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, a)
}

// pop ends that.
func (l *liveLine) pop(a *activity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.DeleteFunc(l.list, func(of *activity) bool { return of == a })
}

// isLast reports whether a is the one to show.
func (l *liveLine) isLast(a *activity) bool { return len(l.list) > 0 && l.list[len(l.list)-1] == a }

// draw calls draw, which draws a in the line, unless another one is shown.
func (l *liveLine) draw(a *activity, draw func(*activity)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isLast(a) {
		l.shown = true
		draw(a)
	}
}

// unless calls tell unless another one is shown.
func (l *liveLine) unless(a *activity, tell func(*activity)) {
	l.mu.Lock()
	last := l.isLast(a)
	l.mu.Unlock()
	if last {
		tell(a)
	}
}

// instead calls write, which writes whole lines, after it has called clear if the line is there.
// That is drawn again when it is next polled.
func (l *liveLine) instead(clear, write func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		clear()
	}
	l.shown = false
	write()
}
