package cli

import "time"

const (
	// speedOver is how long a rate looks back: over some batches, and not so long that it
	// would hide that a server has become slow.
	speedOver = 10 * time.Second
	// speedStep is the least time between two looks that are kept.
	speedStep = speedOver / 20
)

// A speed is how fast a piece of work goes on now: a moving average.
type speed struct{ looks []look }

// A look is how far the work was.
type look struct {
	at          time.Time
	rows, bytes int64
}

// add notes how far the work is.
func (s *speed) add(at time.Time, rows, bytes int64) {
	now := look{at, rows, bytes}
	switch n := len(s.looks); {
	case n >= 2 && at.Sub(s.looks[n-2].at) < speedStep:
		s.looks[n-1] = now
	default:
		s.looks = append(s.looks, now)
	}
	for len(s.looks) > 2 && at.Sub(s.looks[1].at) >= speedOver {
		s.looks = s.looks[1:]
	}
}

// rates returns rows and bytes in a second, of work that began with none at begun.
func (s *speed) rates(begun time.Time) (rows, bytes int64) {
	if len(s.looks) == 0 {
		return 0, 0
	}
	from, to := look{at: begun}, s.looks[len(s.looks)-1]
	if to.at.Sub(begun) > speedOver {
		from = s.looks[0]
	}
	over := to.at.Sub(from.at)
	// What another process has begun, and this one goes on with, may be told of a little later.
	return rate(max(to.rows-from.rows, 0), over), rate(max(to.bytes-from.bytes, 0), over)
}
