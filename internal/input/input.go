// Package input opens what is to be loaded: a file, standard input or any reader,
// decompressed by its content, not by its name. It also knows how the files of a
// dataset are named, and counts the records of a file.
package input

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Source is an opened input. Read returns its decompressed bytes without a byte
// order mark. It must be closed.
type Source struct {
	// Name is the path, or "-" for standard input.
	Name string
	// Size is the length of the input as it is stored, in bytes; -1 if unknown.
	Size int64

	r     io.Reader
	read  atomic.Int64
	close []func() error
}

// Open opens the file at path. The caller must close the Source.
func Open(path string) (*Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	size := int64(-1)
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errors.Join(err, f.Close())
	case info.IsDir():
		return nil, errors.Join(fmt.Errorf("%s: is a directory", path), f.Close())
	case info.Mode().IsRegular():
		size = info.Size()
	}
	return open(path, size, f, f.Close)
}

// New returns the Source of r. Closing the Source does not close r.
func New(name string, r io.Reader) (*Source, error) { return open(name, -1, r) }

// NewCloser returns the Source of r. Closing the Source closes r.
func NewCloser(name string, r io.ReadCloser) (*Source, error) { return open(name, -1, r, r.Close) }

func open(name string, size int64, r io.Reader, closers ...func() error) (*Source, error) {
	s := &Source{Name: name, Size: size, close: closers}
	if err := s.decode(bufio.NewReaderSize(&counter{r: r, n: &s.read}, 256<<10)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// decode sets s.r to read what b holds, decompressed if need be.
func (s *Source) decode(b *bufio.Reader) error {
	head, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return fmt.Errorf("%s: gzip: %w", s.Name, err)
		}
		s.close = append(s.close, z.Close)
		b = bufio.NewReaderSize(z, 256<<10)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return fmt.Errorf("%s: zstd: %w", s.Name, err)
		}
		s.close = append(s.close, func() error { z.Close(); return nil })
		b = bufio.NewReaderSize(z, 256<<10)
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 3 && head[3] >= '1' && head[3] <= '9':
		b = bufio.NewReaderSize(bzip2.NewReader(b), 256<<10)
	default:
		if err := refuse(s.Name, head); err != nil {
			return err
		}
	}
	if bom, _ := b.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3) // they are in the buffer
	}
	s.r = b
	return nil
}

// refuse recognises what is certainly no text.
func refuse(name string, head []byte) error {
	for _, f := range []struct{ magic, what, do string }{
		{"\xfd7zXZ\x00", "xz-compressed", "decompress it: xz -dc FILE | shardload load --table TABLE -"},
		{"PK\x03\x04", "a zip archive", "unpack it first"},
		{"\x04\x22\x4d\x18", "lz4-compressed", "decompress it: lz4 -dc FILE | shardload load --table TABLE -"},
		{"\xff\xfe", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"},
		{"\xfe\xff", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"},
		{"PGCOPY", "PostgreSQL's binary COPY format", "export it as CSV: COPY … TO … (FORMAT csv, HEADER)"},
		{"PAR1", "a Parquet file", "convert it to CSV"},
	} {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return fmt.Errorf("%s: is %s, not CSV; %s", name, f.what, f.do)
		}
	}
	return nil
}

// Read reads decompressed bytes. An error other than io.EOF names the input.
func (s *Source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("%s: the compressed data end too early; is the file complete?", s.Name)
	}
	return n, fmt.Errorf("%s: %w", s.Name, err)
}

// BytesRead returns how much of the input, as it is stored, has been read. It may
// be called from any goroutine.
func (s *Source) BytesRead() int64 { return s.read.Load() }

// Close closes what Open opened.
func (s *Source) Close() error {
	var errs []error
	for i := len(s.close) - 1; i >= 0; i-- {
		errs = append(errs, s.close[i]())
	}
	s.close = nil
	return errors.Join(errs...)
}

// A counter counts the bytes that pass.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
