package parquettext

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// errLength says that a page is not as long, decompressed, as its header says.
var errLength = errors.New("is not as long, decompressed, as its header says")

// A codec decompresses src into dst, all of which it has to fill. It never writes more.
type codec func(dst, src []byte) error

// codecs has the codec of each kind of compression that is read.
var codecs = map[format.CompressionCodec]codec{
	format.Uncompressed: copyAll,
	format.Snappy:       unsnappy,
	format.Gzip:         gunzip,
	format.Brotli:       unbrotli,
	format.Lz4:          unlz4Hadoop,
	format.Lz4Raw:       unlz4,
	format.Zstd:         unzstd,
}

func copyAll(dst, src []byte) error {
	if len(dst) != len(src) {
		return errLength
	}
	copy(dst, src)
	return nil
}

func unsnappy(dst, src []byte) error {
	if n, err := snappy.DecodedLen(src); err != nil || n != len(dst) {
		return errLength
	}
	_, err := snappy.Decode(dst, src)
	return err
}

var gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}

func gunzip(dst, src []byte) error {
	z := gzips.Get().(*gzip.Reader)
	defer gzips.Put(z)
	if err := z.Reset(bytes.NewReader(src)); err != nil {
		return err
	}
	return readAll(dst, z)
}

func unbrotli(dst, src []byte) error { return readAll(dst, brotli.NewReader(bytes.NewReader(src))) }

// readAll fills dst from r, which must end there.
func readAll(dst []byte, r io.Reader) error {
	if _, err := io.ReadFull(r, dst); err != nil {
		return fmt.Errorf("%w: %w", errLength, err)
	}
	switch n, err := r.Read(make([]byte, 1)); {
	case n > 0:
		return errLength
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// zstds are decoders that never write more than there is room for.
var zstds = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderConcurrency(0))
})

func unzstd(dst, src []byte) error {
	z, err := zstds()
	if err != nil {
		return err
	}
	out, err := z.DecodeAll(src, dst[:0:len(dst)])
	if err == nil && len(out) != len(dst) {
		return errLength
	}
	return err
}

func unlz4(dst, src []byte) error {
	n, err := lz4.UncompressBlock(src, dst)
	if err == nil && n != len(dst) {
		return errLength
	}
	return err
}

// unlz4Hadoop reads what old writers meant by LZ4: blocks with their lengths in front, as
// Hadoop frames them, or, of other writers, one block without.
func unlz4Hadoop(dst, src []byte) error {
	if unlz4Blocks(dst, src) == nil {
		return nil
	}
	return unlz4(dst, src)
}

func unlz4Blocks(dst, src []byte) error {
	for len(src) > 0 {
		if len(src) < 8 {
			return errLength
		}
		long, short := binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:])
		src = src[8:]
		if uint64(long) > uint64(len(dst)) || uint64(short) > uint64(len(src)) {
			return errLength
		}
		if err := unlz4(dst[:long], src[:short]); err != nil {
			return err
		}
		dst, src = dst[long:], src[short:]
	}
	if len(dst) > 0 {
		return errLength
	}
	return nil
}
