package localpg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// newDirs are directories that were made, each in the one before.
type newDirs []string

// mkdirAll is os.MkdirAll, but what it makes has that mode whatever the umask.
func (n *newDirs) mkdirAll(dir string, mode os.FileMode) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := n.mkdirAll(filepath.Dir(dir), mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // somebody else starts a cluster in it
		}
		return err
	}
	*n = append(*n, dir)
	return os.Chmod(dir, mode)
}

// has reports whether dir, which was to be made, was not there before.
func (n newDirs) has(dir string) bool { return len(n) > 0 && n[len(n)-1] == dir }

// remove removes them, as long as nothing else has moved in.
func (n newDirs) remove() {
	for _, dir := range slices.Backward(n) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
}
