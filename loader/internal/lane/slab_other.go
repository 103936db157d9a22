//go:build !linux

package lane

// newSlab returns n bytes of memory for pages.
func newSlab(n int) []byte { return make([]byte, n) }
