// Package regular opens files of which we know the name, and others may have put there what
// they like: a pipe under that name would be waited for without end, and no signal ends an
// open that waits.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Open opens the file at path to read it. A link to a regular file is one.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// OpenFile is os.OpenFile for regular files alone.
func OpenFile(path string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, perm)
	return only(path, f, err)
}

// OpenIn is OpenFile within root.
func OpenIn(root *os.Root, name string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, perm)
	return only(name, f, err)
}

// only returns f if it is a regular file.
func only(name string, f *os.File, err error) (*os.File, error) {
	if errors.Is(err, syscall.ENXIO) { // a pipe that nobody reads, or a socket
		return nil, notRegular(name)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, f.Close(), notRegular(name))
	}
	return f, nil
}

func notRegular(name string) error { return fmt.Errorf("%s: it is no regular file", name) }

// ReadFile is os.ReadFile for regular files alone.
func ReadFile(path string) ([]byte, error) { return Read(Open(path)) }

// Read reads all of a file that was just opened, if err is nil, and closes it.
func Read(f *os.File, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	return text, errors.Join(err, f.Close())
}
