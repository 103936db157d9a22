//go:build unix

package generate

import (
	"os"
	"syscall"
)

// tryLock locks f until it is closed, and reports whether that was possible.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
