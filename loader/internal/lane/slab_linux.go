package lane

import "syscall"

// madvHugepage is MADV_HUGEPAGE, which package syscall does not have.
const madvHugepage = 14

// newSlab returns n bytes of memory for pages. Rows go to all lanes in turn and are
// read in another order, all over memory, which takes the processor less time in
// huge pages: the client's by about a twentieth.
func newSlab(n int) []byte {
	slab := make([]byte, n)
	// An advice, to which not every kernel listens.
	_ = syscall.Madvise(slab, madvHugepage)
	return slab
}
