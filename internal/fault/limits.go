package fault

import (
	"math/rand/v2"
	"time"
)

// How long servers are waited for, and how often they are tried.
const (
	// RetryFor is how long a load tries servers that fail, unless it is told
	// otherwise.
	RetryFor = 5 * time.Minute
	// Reminder is how often a server that keeps failing is told of.
	Reminder = 30 * time.Second

	// ReachTimeout is how long a node may take to answer when a route is chosen.
	// Addresses that mean nothing outside the cluster often lead to where nobody
	// answers at all.
	ReachTimeout = 5 * time.Second
	// CommitGrace is how long an interrupted load waits for the answer to a COMMIT
	// that is under way: long enough for most, short enough for a person.
	CommitGrace = 1500 * time.Millisecond
	// CloseGrace is how long a connection may take to close.
	CloseGrace = time.Second

	// BusyTries and BusyDelay are for the lock of a job. A process that was killed
	// holds its locks until the server notices.
	BusyTries = 20
	BusyDelay = 250 * time.Millisecond

	// RemapTries and RemapDelay are for a shard that is not where it was.
	// Coordinator and workers learn of a move one after the other, so a map read at
	// once may still be the old one.
	RemapTries = 40
	RemapDelay = 250 * time.Millisecond

	// RecoverPoll is how often a wait for Citus, which finishes what is prepared,
	// looks again, and RecoverSlack how much longer than Citus's own interval it
	// lasts.
	RecoverPoll  = time.Second
	RecoverSlack = 15 * time.Second
)

// Delays between attempts grow from the first to the longest, and vary by half.
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 10 * time.Second
)

// Backoff returns how long to wait before the next attempt after that many
// failures.
func Backoff(failures int) time.Duration {
	d := longestDelay
	if failures < 7 {
		d = min(firstDelay<<failures, longestDelay)
	}
	return d/2 + rand.N(d)
}
