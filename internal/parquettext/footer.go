package parquettext

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/fault"
)

// Magic stands at both ends of a Parquet file.
const Magic = "PAR1"

// encryptedMagic stands at the end of a file the metadata of which are encrypted.
const encryptedMagic = "PARE"

// tail is the length of what ends a file: the length of the footer, and the magic.
const tail = 8

// maxFooter is the longest footer that is read, in bytes. In memory it takes some ten times
// as much.
const maxFooter = 64 << 20

// readFooter returns a file's metadata, and where they begin.
func readFooter(r io.ReaderAt, size int64) (*format.FileMetaData, int64, error) {
	if size < int64(len(Magic))+tail {
		return nil, 0, errors.New("is too short for a Parquet file")
	}
	var head [len(Magic)]byte
	if err := readAt(r, head[:], 0); err != nil {
		return nil, 0, err
	}
	var end [tail]byte
	if err := readAt(r, end[:], size-tail); err != nil {
		return nil, 0, err
	}
	switch magic := string(end[4:]); {
	case string(head[:]) == encryptedMagic || magic == encryptedMagic:
		return nil, 0, errEncrypted
	case string(head[:]) != Magic:
		return nil, 0, fmt.Errorf("is no Parquet file: it begins with %q, want %q", head[:], Magic)
	case magic != Magic:
		return nil, 0, fault.Advise(fmt.Errorf("is no whole Parquet file: it ends with %q, want %q", end[4:], Magic), "copy or write it anew, it may have been cut short")
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	start := size - tail - n
	switch {
	case n > maxFooter:
		return nil, 0, fmt.Errorf("its footer is of %d bytes, and at most %d are read", n, maxFooter)
	case start < int64(len(Magic)):
		return nil, 0, fmt.Errorf("its footer is said to be of %d bytes, more than the file has", n)
	}
	b := make([]byte, n)
	if err := readAt(r, b, start); err != nil {
		return nil, 0, err
	}
	end2, err := structLen(b)
	if err != nil {
		return nil, 0, fmt.Errorf("footer: %w", err)
	}
	meta := new(format.FileMetaData)
	if err := decodeStruct(b[:end2], meta); err != nil {
		return nil, 0, fmt.Errorf("footer: %w", err)
	}
	if meta.EncryptionAlgorithm.Value != nil {
		return nil, 0, errEncrypted
	}
	return meta, start, nil
}

// errEncrypted is of a file that only its owner's keys open.
var errEncrypted = fault.Advise(errors.New("is an encrypted Parquet file"), "decrypt it: write it anew without encryption")

// readAt fills b with the bytes at that offset.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("ends at byte %d, where more is said to be", offset+int64(n))
	}
	return err
}
