package generate

import (
	"os"
	"syscall"
)

// startWriteback has the disk begin with n bytes of f, and does not wait for it.
// Only speed depends on it.
func startWriteback(f *os.File, offset, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(f.Fd()), offset, n, write)
}
