package generate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// writeFile makes the file of that name from what fill writes. The file appears
// whole or not at all; one that stood there before stays until then. Errors name
// the file, not the temporary one beside it.
func writeFile(name string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return fileError(name, err)
	}
	defer func() {
		if err != nil {
			f.Close() // the first error matters; this one does not
			os.Remove(f.Name())
			err = fileError(name, err)
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// fileError says what went wrong with the file of that name.
func fileError(name string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	} else if link, ok := errors.AsType[*os.LinkError](err); ok {
		err = link.Err
	}
	advice := ""
	switch {
	case errors.Is(err, syscall.ENOSPC):
		advice = ": free some space, or write to another folder"
	case errors.Is(err, fs.ErrPermission):
		advice = ": write to a folder of your own"
	}
	return fmt.Errorf("write %s: %w%s", name, err, advice)
}

// A digest counts and sums what is written through it.
type digest struct {
	w     io.Writer
	bytes int64
	sum   hash.Hash
}

func newDigest(w io.Writer) *digest { return &digest{w: w, sum: sha256.New()} }

func (d *digest) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.sum.Write(p[:n])
	d.bytes += int64(n)
	return n, err
}

func (d *digest) sha256() string { return hex.EncodeToString(d.sum.Sum(nil)) }
