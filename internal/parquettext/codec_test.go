package parquettext

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// packed returns data packed by each codec.
func packed(t *testing.T, data []byte) map[format.CompressionCodec][]byte {
	t.Helper()
	var b, z bytes.Buffer
	w := gzip.NewWriter(&z)
	br := brotli.NewWriter(&b)
	for _, err := range []error{second(w.Write(data)), w.Close(), second(br.Write(data)), br.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	block := make([]byte, lz4.CompressBlockBound(len(data)))
	n, err := lz4.CompressBlock(data, block, nil)
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	block = block[:n]
	half := make([]byte, lz4.CompressBlockBound(len(data)))
	var frames []byte // as Hadoop cuts them
	for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		n, err := lz4.CompressBlock(part, half, nil)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		frames = binary.BigEndian.AppendUint32(frames, uint32(len(part)))
		frames = binary.BigEndian.AppendUint32(frames, uint32(n))
		frames = append(frames, half[:n]...)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[format.CompressionCodec][]byte{
		format.Uncompressed: data, format.Snappy: snappy.Encode(nil, data), format.Gzip: z.Bytes(), format.Brotli: b.Bytes(),
		format.Zstd: e.EncodeAll(data, nil), format.Lz4Raw: block, format.Lz4: frames,
		-1: block, // LZ4 as others than Hadoop meant it
	}
}

func second(_ int, err error) error { return err }

// TestCodecs holds that each codec fills exactly what it is given, and finds out if there is more
// or less, or other bytes than there were.
func TestCodecs(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef, "), 1000)
	for kind, src := range packed(t, data) {
		name, decode := kind.String(), codecs[kind]
		if kind < 0 {
			name, decode = "LZ4 without frames", codecs[format.Lz4]
		}
		dst := make([]byte, len(data), 2*len(data))
		if err := decode(dst, src); err != nil || !bytes.Equal(dst, data) {
			t.Errorf("%s: %v", name, err)
		}
		for _, n := range []int{0, 1, len(data) - 1, len(data) + 1, 2 * len(data)} {
			behind := dst[:cap(dst)]
			copy(behind[min(n, len(data)):], bytes.Repeat([]byte{'-'}, len(behind)))
			if err := decode(dst[:n:n], src); err == nil {
				t.Errorf("%s: %d bytes are taken for %d", name, len(data), n)
			}
			if i := bytes.IndexFunc(behind[n:], func(r rune) bool { return r != '-' }); i >= 0 {
				t.Errorf("%s: byte %d was written behind the end", name, i)
			}
		}
		if err := decode(dst[:len(data)], src[:len(src)/2]); err == nil {
			t.Errorf("%s: half of it is taken for the whole", name)
		}
	}
}
