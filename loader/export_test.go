package loader

import (
	"testing"
	"time"
)

// SetChunkSize changes the usual length of a chunk until t is over.
func SetChunkSize(t testing.TB, size int) {
	old := chunkSize
	chunkSize = size
	t.Cleanup(func() { chunkSize = old })
}

// SetRemapDelay changes how long a batch that has no place waits, until t is over.
func SetRemapDelay(t testing.TB, d time.Duration) {
	old := remapDelay
	remapDelay = d
	t.Cleanup(func() { remapDelay = old })
}
