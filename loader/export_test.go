package loader

import "testing"

// SetChunkSize changes the usual length of a chunk until t is over.
func SetChunkSize(t testing.TB, size int) {
	old := chunkSize
	chunkSize = size
	t.Cleanup(func() { chunkSize = old })
}
