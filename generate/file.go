package generate

import (
	"bytes"
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

	"shardload/internal/regular"
)

// writeFile makes the file of that name from what fill writes. The file appears
// whole or not at all, also if the machine fails. One that stands there already stays:
// with other bytes it is an error. Errors name the file, not the temporary one beside
// it.
func writeFile(name string, fill func(io.Writer) error) error { return putFile(name, fill, publish) }

// replaceFile is writeFile of a file that may stand there, and is replaced then.
func replaceFile(name string, fill func(io.Writer) error) error {
	return putFile(name, fill, os.Rename)
}

func putFile(name string, fill func(io.Writer) error, publish func(part, name string) error) (err error) {
	f, err := createPart(name)
	if err != nil {
		return fileError(name, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error matters; this one does not
			_ = os.Remove(f.Name())
			err = fileError(name, err)
		}
	}()
	if err := fill(&steadyWriter{f: f}); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := publish(f.Name(), name); err != nil {
		return err
	}
	return regular.SyncDir(filepath.Dir(name))
}

// errOthers is why a file is not written.
var errOthers = errors.New("another file stands there, which is not of this dataset or has been changed since: " +
	"it is left alone; remove it, or write to another folder")

// publish gives the part file its name, which no other file must have: one with the
// same bytes is as good.
func publish(part, name string) error {
	err := os.Link(part, name)
	if err != nil && !errors.Is(err, fs.ErrExist) { // some file systems have no links
		if _, there := os.Lstat(name); errors.Is(there, fs.ErrNotExist) {
			return os.Rename(part, name)
		}
	}
	if err != nil && !sameBytes(part, name) {
		return errOthers
	}
	return os.Remove(part)
}

// sameBytes reports whether two regular files hold the same.
func sameBytes(one, other string) bool {
	var files [2]*os.File
	for i, name := range []string{one, other} {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		if files[i], err = regular.Open(name); err != nil {
			return false
		}
		defer func() { _ = files[i].Close() }() // only read
	}
	a, b := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, err1 := io.ReadFull(files[0], a)
		m, err2 := io.ReadFull(files[1], b)
		switch {
		case !bytes.Equal(a[:n], b[:m]):
			return false
		case err1 != nil || err2 != nil: // of a regular file nearly always the end
			ended := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
			return ended(err1) && ended(err2)
		}
	}
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
