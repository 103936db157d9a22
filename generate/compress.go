package generate

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Compression is how a file's bytes are packed.
type Compression string

// The compressions.
const (
	Uncompressed Compression = ""
	Gzip         Compression = "gzip"
	Zstd         Compression = "zstd"
	Snappy       Compression = "snappy" // of Parquet alone
)

// suffix returns the end of a packed file's name.
func (c Compression) suffix() string {
	switch c {
	case Gzip:
		return ".gz"
	case Zstd:
		return ".zst"
	}
	return ""
}

func (c Compression) validate(f Format) error {
	if c == Snappy && f == Parquet {
		return nil
	}
	if c != Uncompressed && c.suffix() == "" {
		return fmt.Errorf("compression %q: want gzip or zstd", string(c))
	}
	return nil
}

// A packer appends src, packed, to dst. It stays with one goroutine.
//
// Every block is packed by itself, as a member of gzip or a frame of zstd, which
// may stand one after another in a file: the bytes do not depend on the number of
// goroutines, and packed parts are put together like plain ones. It costs 1 to 2 %
// of the size.
type packer func(dst, src []byte) ([]byte, error)

// newPacker returns a packer, or nil if there is nothing to pack.
func (c Compression) newPacker() (packer, error) {
	switch c {
	case Gzip:
		return newGzipPacker(), nil
	case Zstd:
		// A window as long as a block finds all that a longer one would, and takes a
		// tenth of the memory.
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return func(dst, src []byte) ([]byte, error) { return w.EncodeAll(src, dst), nil }, nil
	}
	return nil, nil
}

func newGzipPacker() packer {
	w := gzip.NewWriter(nil)
	return func(dst, src []byte) ([]byte, error) {
		buf := bytes.NewBuffer(dst)
		w.Reset(buf)
		if _, err := w.Write(src); err != nil {
			return dst, fmt.Errorf("gzip: %w", err)
		}
		if err := w.Close(); err != nil {
			return dst, fmt.Errorf("gzip: %w", err)
		}
		return buf.Bytes(), nil
	}
}
