// Package input opens what is to be loaded: a file, standard input or any reader,
// decompressed as its content says, or the user; hardly ever its name. It also knows how the files of a
// dataset are named, and counts the records of a file.
package input

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// A Source is an opened input. Read returns its decompressed bytes without a byte
// order mark. It must be closed. Where opening may have to wait for somebody, as for
// the writer of a pipe, that is left to the first Read.
type Source struct {
	// Name is the path, or "-" for standard input.
	Name string
	// Size is the length of the input as it is stored, in bytes; -1 if unknown.
	Size int64

	asked  Compression // as the user says
	is     Compression // what it is, once that is known
	ending Compression // what the end of a name speaks of, "" for nothing

	r     io.Reader
	start func() error // sets r, where that may wait
	// convert is what reads from r, nil for nobody.
	convert func(io.Reader) io.ReadCloser
	// plain is what r reads if it can be read at any place and is not compressed, and bom
	// the length of its byte order mark.
	plain Object
	bom   int64
	// object is what can be read at any place, compressed or not, and opened what it was
	// when it was opened.
	object Object
	opened Stat
	stored counter
	close  []func() error
	// abandoned says that a Read still waits; the Source is closed after it.
	abandoned atomic.Bool
}

// Open opens the file at path, which is compressed as it says. The caller must close the
// Source.
func Open(path string, as Compression) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, named(err)
	}
	s := &Source{Name: path, Size: -1, asked: as, ending: endingOf(path)}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory", path)
	case !info.Mode().IsRegular():
		s.start = s.openFile
		return s, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, named(err)
	}
	s.close = append(s.close, file.Close)
	if err := openObject(s, regular{file}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// New returns the Source of r, which is compressed as it says. Closing the Source does not
// close r.
func New(name string, r io.Reader, as Compression) (*Source, error) {
	s := &Source{Name: name, Size: -1, asked: as}
	s.start = func() error { return s.decode(r) }
	return s, nil
}

// NewCloser returns the Source of r as New does. Closing the Source closes r.
func NewCloser(name string, r io.ReadCloser, as Compression) (*Source, error) {
	s, err := New(name, r, as)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s.close = append(s.close, r.Close)
	return s, nil
}

// openFile opens the file of the Source's name, which waits for the writer of a
// named pipe.
func (s *Source) openFile() error {
	f, err := os.Open(s.Name)
	if err != nil {
		return named(err)
	}
	s.close = append(s.close, f.Close)
	return s.decode(f)
}

// openObject begins to read an object.
func openObject(s *Source, object Object) error {
	var err error
	if s.opened, err = object.Stat(); err != nil {
		return namedBy(s.Name, err)
	}
	s.Size = s.opened.Size
	if object.Random() {
		s.object = object
		s.plain = object // decode may find that it is not
	}
	r, err := object.From(0)
	if err != nil {
		return namedBy(s.Name, err)
	}
	return s.decode(r)
}

// namedBy returns err, of an object, with the name of the input.
func namedBy(name string, err error) error {
	failed, ok := errors.AsType[*fs.PathError](err)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case ok:
		return named(failed)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// named returns err with its path, and without the name of the system call.
func named(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", failed.Path, failed.Err)
	}
	return err
}

// bufferLen is how much is read at a time, in bytes.
const bufferLen = 64 << 10

// decode sets s.r to read what stored holds, decompressed if need be.
func (s *Source) decode(stored io.Reader) error {
	s.stored.r = stored
	b := borrowReader(&s.stored)
	head, err := b.Peek(headLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if s.is, err = s.compression(head); err != nil {
		return err
	}
	if s.is != None {
		s.plain = nil
		z, err := s.decompress(s.is, b)
		if err != nil {
			return s.explain(ended(err))
		}
		b = borrowReader(z) // z keeps the other one, and may read from it until it is closed
		if head, err = b.Peek(headLen); err != nil && !errors.Is(err, io.EOF) {
			return s.explain(err)
		}
		if err := s.twice(head); err != nil {
			return err
		}
	}
	if s.asked != None {
		if err := s.refuse(head); err != nil {
			return err
		}
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		s.bom = 3
		_, _ = b.Discard(3) // they are in the buffer
	}
	s.r = b
	s.close = append(s.close, func() error { return returnReader(b) })
	if s.convert != nil {
		readThrough(s, s.convert)
	}
	return nil
}

// readers are such as sources that are closed have had: the files of a set may be many, and small.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferLen) }}

func borrowReader(r io.Reader) *bufio.Reader {
	b := readers.Get().(*bufio.Reader)
	b.Reset(r)
	return b
}

func returnReader(b *bufio.Reader) error {
	b.Reset(bytes.NewReader(nil))
	readers.Put(b)
	return nil
}

// Convert makes wrap the reader of what the Source reads. Offsets are those of what comes out of
// it, so that the Source is not plain. It must be called before Read.
func (s *Source) Convert(wrap func(io.Reader) io.ReadCloser) {
	if s.r == nil {
		s.convert = wrap
		return
	}
	readThrough(s, wrap)
}

func readThrough(s *Source, wrap func(io.Reader) io.ReadCloser) {
	r := wrap(s.r)
	s.r, s.plain = r, nil
	s.close = append(s.close, r.Close)
}

// ended returns err, which io.EOF is where data were to be.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read reads decompressed bytes. An error other than io.EOF names the input.
func (s *Source) Read(p []byte) (int, error) {
	if s.r == nil {
		if err := s.start(); err != nil {
			s.start = func() error { return err } // what follows is not the beginning
			return 0, err
		}
	}
	n, err := s.r.Read(p)
	if errors.Is(err, io.EOF) && s.plain != nil && s.stored.n.Load() != s.Size {
		return n, fmt.Errorf("%s: changed while it was read: it had %d bytes, and then %d; load it when it is complete", s.Name, s.Size, s.stored.n.Load())
	}
	return n, s.explain(err)
}

// Plain reports whether the Source can be read at any place: it is a regular file, or the
// like of it in a store, that is not compressed.
func (s *Source) Plain() bool { return s.plain != nil }

// SeekTo goes to that place of a plain Source, counted in bytes without the byte
// order mark.
func (s *Source) SeekTo(offset int64) error {
	r, err := s.plain.From(s.bom + offset)
	if err != nil {
		return namedBy(s.Name, err)
	}
	s.stored.r = r
	s.stored.n.Store(s.bom + offset)
	s.r = bufio.NewReaderSize(&s.stored, bufferLen)
	return nil
}

// ReadAt reads a plain Source at that place, counted as SeekTo does, and leaves
// the place of Read as it is.
func (s *Source) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.plain.ReadAt(p, s.bom+offset)
	return n, namedBy(s.Name, err)
}

// sample is how many bytes of a file's head and tail make up its Fingerprint.
const sample = 64 << 10

// Fingerprint returns hashes over the head and the tail of a file as it is
// stored. ok is false if the Source cannot be read at any place.
func (s *Source) Fingerprint() (head, tail string, ok bool, err error) {
	if s.object == nil {
		return "", "", false, nil
	}
	head, tail, err = s.FingerprintTo(s.Size)
	return head, tail, err == nil, err
}

// FingerprintTo returns the Fingerprint that the first size bytes of a regular file
// have.
func (s *Source) FingerprintTo(size int64) (head, tail string, err error) {
	part := func(offset int64) (string, error) {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(s.object, offset, min(sample, size-offset))); err != nil {
			return "", namedBy(s.Name, err)
		}
		return hex.EncodeToString(h.Sum(nil)[:16]), nil
	}
	if head, err = part(0); err != nil {
		return "", "", err
	}
	tail, err = part(max(size-sample, 0))
	return head, tail, err
}

// BytesRead returns how much of the input, as it is stored, has been read. It may
// be called from any goroutine.
func (s *Source) BytesRead() int64 { return s.stored.n.Load() }

// Close closes what Open opened.
func (s *Source) Close() error {
	if s.abandoned.Load() {
		return nil
	}
	return s.closeAll()
}

func (s *Source) closeAll() error {
	var errs []error
	for i := len(s.close) - 1; i >= 0; i-- {
		errs = append(errs, s.close[i]())
	}
	s.close = nil
	s.r, s.start = nil, func() error { return namedBy(s.Name, fs.ErrClosed) } // what r was another one may read
	return errors.Join(errs...)
}

// A counter counts the bytes that pass.
type counter struct {
	r      io.Reader
	n      atomic.Int64
	failed error // what r failed with
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		c.failed = err
	}
	return n, err
}
