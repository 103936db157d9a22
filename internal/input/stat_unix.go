//go:build unix

package input

import (
	"os"
	"syscall"
)

// numbersOf returns the numbers of a file and of the device on which it lies.
func numbersOf(info os.FileInfo) (device, inode uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev), s.Ino
	}
	return 0, 0
}
