package generate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// writeFile makes the file of that name from what fill writes. The file appears
// whole or not at all, also if the machine fails; one that stood there before stays
// until then. Errors name the file, not the temporary one beside it.
func writeFile(name string, fill func(io.Writer) error) (err error) {
	f, err := createPart(name)
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
	if err := fill(&steadyWriter{f: f}); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// A steadyWriter keeps the disk busy while a file is written, which would otherwise
// wait for the end and then be waited for.
type steadyWriter struct {
	f              *os.File
	written, begun int64
}

// writebackEvery is how many bytes the disk gets at a time.
const writebackEvery = 16 << 20

func (w *steadyWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.written += int64(n)
	if w.written-w.begun >= writebackEvery {
		startWriteback(w.f, w.begun, w.written-w.begun)
		w.begun = w.written
	}
	return n, err
}

// syncDir makes the names of files in dir as lasting as the files.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// fileError says what went wrong with the file of that name.
func fileError(name string, err error) error {
	if known, ok := errors.AsType[*writeError](err); ok {
		return known // it is about another file, which was written beside this one
	}
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
	return &writeError{name, err, advice}
}

// A writeError says which file could not be written, and what to do.
type writeError struct {
	name   string
	err    error
	advice string
}

func (e *writeError) Error() string { return fmt.Sprintf("write %s: %v%s", e.name, e.err, e.advice) }

func (e *writeError) Unwrap() error { return e.err }

// A digest counts and sums what is written through it.
type digest struct {
	w     io.Writer
	bytes int64
	crc   uint32
	sha   hash.Hash // nil without SHA-256
}

func newDigest(w io.Writer, sha bool) *digest {
	d := &digest{w: w}
	if sha {
		d.sha = sha256.New()
	}
	return d
}

func (d *digest) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.bytes += int64(n)
	d.crc = crc32.Update(d.crc, castagnoli, p[:n])
	if d.sha != nil {
		d.sha.Write(p[:n])
	}
	return n, err
}

// castagnoli is the polynomial that processors know.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (d *digest) crc32c() string { return fmt.Sprintf("%08x", d.crc) }

func (d *digest) sha256() string {
	if d.sha == nil {
		return ""
	}
	return hex.EncodeToString(d.sha.Sum(nil))
}
