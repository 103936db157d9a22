package fault

import (
	"math/rand/v2"
	"time"
)

// How long servers are waited for, and how often they are tried, stands here, and nowhere
// else in what a load uses: who changes one limit sees those that go with it.

// Of a load, and of its batches.
const (
	// RetryFor is how long a load tries servers that fail, unless it is told
	// otherwise.
	RetryFor = 5 * time.Minute
	// Reminder is how often a server that keeps failing is told of.
	Reminder = 30 * time.Second
	// StartOvers is how often a load begins anew from the marks, with nothing stored
	// between, before it gives up.
	StartOvers = 5
	// LossTries is how often a batch is sent over connections that are lost before the
	// load begins anew from the marks, with smaller ones.
	LossTries = 3
	// BlameTries is how often a single value that the server refused among others must be
	// refused alone before it is blamed.
	BlameTries = 2
)

// Of connections.
const (
	// ReachTimeout is how long a node may take to answer when a route is chosen.
	// Addresses that mean nothing outside the cluster often lead to where nobody
	// answers at all.
	ReachTimeout = 5 * time.Second
	// ConnectTimeout ends the wait for a server that does not answer at all, where
	// the user has not said how long to wait. libpq would wait for minutes.
	ConnectTimeout = 15 * time.Second
	// LongestPause is the longest between two tries of a server that starts: somebody
	// sits before the command that waits for it.
	LongestPause = 2 * time.Second
	// StayTries is how often a connection is made anew that is lost before anything was
	// asked of it.
	StayTries = 3

	// KeepAliveIdle, KeepAliveInterval and KeepAliveCount are for what libpq leaves to the
	// kernel, whose own defaults are hours. A peer that is gone is noticed after
	// idle + interval * count: a minute.
	KeepAliveIdle     = 30 * time.Second
	KeepAliveInterval = 10 * time.Second
	KeepAliveCount    = 3

	// Silence is how long nothing must be heard of a statement before the server is asked
	// on another connection what it is doing, and AnswerLosses how often in a row it must
	// say that it has answered.
	Silence      = 5 * time.Second
	AnswerLosses = 2

	// CommitGrace is how long an interrupted load waits for the answer to a COMMIT
	// that is under way: long enough for most, short enough for a person.
	CommitGrace = 1500 * time.Millisecond
	// RollbackGrace is how long a server may take to roll back.
	RollbackGrace = 10 * time.Second
	// CloseGrace is how long a connection may take to close.
	CloseGrace = time.Second
)

// Of stores of objects: servers of files, and those that speak S3.
const (
	// StoreSilence is how long a store may send nothing in the middle of an answer, or before
	// it, until it is asked again.
	StoreSilence = 30 * time.Second
	// StoreProbe is how long it may take to find out whether this machine is one of a cloud,
	// which tells it credentials.
	StoreProbe = time.Second
	// StoreIdle is how long a connection to a store is kept that nothing is asked on.
	StoreIdle = 90 * time.Second
	// StoreGrain is how finely a store notes when an object was changed last.
	StoreGrain = 2 * time.Second
)

// Of locks.
const (
	// BusyLimit is how long the lock of a job is waited for. A process that was killed
	// or interrupted holds its locks until the server notices.
	BusyLimit = 5 * time.Second

	// LockLimit is how long an advisory lock is waited for, unless the caller says
	// otherwise, and LockTold after how long it is told who has it. It is asked for again
	// and again, with pauses that grow from the first to the last.
	LockLimit     = time.Minute
	LockTold      = 2 * time.Second
	FirstLockPoll = 5 * time.Millisecond
	LastLockPoll  = 100 * time.Millisecond

	// Endless is how long a lock is waited for that another load holds to its end, which may
	// take days.
	Endless = 100 * 365 * 24 * time.Hour

	// ListLock is how long whoever lists jobs waits for who has a stranger's table of them
	// locked.
	ListLock = 5 * time.Second

	// MarksLimit is how long the marks of a job may be locked by a transaction before it
	// is taken for one that is prepared.
	MarksLimit = 10 * time.Second

	// BeatEvery is how often the owner of a run says that it is alive, and BeatLost how long it
	// must not have done so, by the clock of who looks, before the run is taken over. LockGone and
	// LockIdle are how long nobody must have had the lock of its job, for that to be done at once:
	// where the owner's process is known to be gone, and where it is not.
	BeatEvery = 5 * time.Second
	BeatLost  = 30 * time.Second
	LockGone  = time.Second
	LockIdle  = 10 * time.Second

	// FirstRunPoll is how long it takes until it is looked again whether others have ended their
	// runs of a set: most end about when this process has nothing left to begin. Pauses grow from
	// it to LockGone.
	FirstRunPoll = 30 * time.Millisecond

	// FencePoll is how often the fence looks for somebody who waits at it.
	FencePoll = 500 * time.Millisecond
	// FenceLimit is how long the batches in flight may take before the load gives up
	// while somebody waits at the fence: one of them may wait for a lock of the very
	// transaction that waits there, which no server sees as a deadlock.
	FenceLimit = 5 * time.Minute
	// LookTries is how often a table is looked at that is dropped or made anew meanwhile.
	LookTries = 5
	// SlowEnd is how long the end of a job may take before the user is told why.
	SlowEnd = 5 * time.Second
)

// Of shards that are moved.
const (
	// RemapTries and RemapDelay are for a shard that is not where it was.
	// Coordinator and workers learn of a move one after the other, so a map read at
	// once may still be the old one.
	RemapTries = 40
	RemapDelay = 250 * time.Millisecond

	// HoldWait is how long a lock that holds off moves is waited for, and HoldPause how
	// long after that a move has to begin. If it were waited for without end, the move,
	// our transaction and the fence would wait for each other in a circle that no server
	// sees.
	HoldWait  = 500 * time.Millisecond
	HoldPause = 100 * time.Millisecond

	// ColocationDelay is between two tries to make a table in a colocation group a shard
	// of which is being moved: between two moves its lock is free for a moment only.
	ColocationDelay = 20 * time.Millisecond
)

// Of Citus.
const (
	// RecoverPoll is how often a wait for Citus, which finishes what is prepared,
	// looks again, and RecoverSlack how much longer than Citus's own interval it
	// lasts. RecoverLeast is how long it lasts where Citus does not finish anything by
	// itself: what is prepared may just be about to be committed.
	RecoverPoll  = time.Second
	RecoverSlack = 15 * time.Second
	RecoverLeast = 3 * time.Second

	// NodeTries is how often nodes are asked over Citus's own connections to them, which
	// may have ended while nothing was asked.
	NodeTries = 2
)

// Delays between tries grow from the first to the longest, and vary by half.
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 10 * time.Second
)

// Backoff returns how long to wait before the next try after that many failures.
func Backoff(failures int) time.Duration {
	d := longestDelay
	if failures < 7 {
		d = min(firstDelay<<failures, longestDelay)
	}
	return d/2 + rand.N(d)
}
