package input

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// headLen is how much of an input is looked at to learn what it is, in bytes: the header
// of a tar archive is that long, and all others are shorter.
const headLen = 512

// The bytes by which formats begin. Some are also text, or text in an old encoding: what
// follows has to be what the format says.
const (
	gzipMagic  = "\x1f\x8b"
	zstdMagic  = "\x28\xb5\x2f\xfd"
	bzip2Magic = "BZh"
	xzMagic    = "\xfd7zXZ\x00"
)

// A verdict says whether an input is of a format.
type verdict int

const (
	no    verdict = iota
	short         // nothing speaks against it, but there is too little to be sure
	yes
)

// sniff returns how an input is compressed that begins with head, which is shorter than
// headLen only where the input is. sure is false if head is too short to tell.
func sniff(head []byte) (c Compression, sure bool) {
	for _, f := range []struct {
		is   Compression
		test func([]byte) verdict
	}{{Gzip, isGzip}, {Zstd, isZstd}, {Bzip2, isBzip2}, {XZ, isXZ}} {
		if v := f.test(head); v != no {
			return f.is, v == yes
		}
	}
	return None, true
}

// begins compares b with magic, as far as b goes.
func begins(b []byte, magic string) verdict {
	switch {
	case strings.HasPrefix(string(b[:min(len(b), len(magic))]), magic):
		return yes
	case len(b) > 0 && strings.HasPrefix(magic, string(b[:min(len(b), len(magic))])):
		return short
	}
	return no
}

// isGzip looks at the header of a member: RFC 1952, 2.3.
func isGzip(b []byte) verdict {
	const method, reserved = 8, 0xe0
	switch v := begins(b, gzipMagic); {
	case v != yes:
		return v
	case len(b) > 2 && b[2] != method, len(b) > 3 && b[3]&reserved != 0:
		return no
	case len(b) < 10:
		return short
	}
	return yes
}

// isZstd looks at the header of a frame and of its first block: RFC 8878, 3.1.
func isZstd(b []byte) verdict {
	const maxBlock = 128 << 10
	if len(b) >= 4 && b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18" {
		return yes // a frame to be skipped, as pzstd writes it
	}
	if v := begins(b, zstdMagic); v != yes {
		return v
	}
	var h zstd.Header
	switch rest, err := h.DecodeAndStrip(b); {
	case err != nil && len(b) >= zstd.HeaderMaxSize, len(b) > 4 && b[4]&(1<<3) != 0:
		return no
	case err != nil || len(rest) < 3:
		return short
	case !h.FirstBlock.OK || max(h.FirstBlock.CompressedSize, h.FirstBlock.DecompressedSize) > maxBlock:
		return no
	}
	return yes
}

// isBzip2 looks at the level and at the number by which a block begins, or the end of an
// empty file.
func isBzip2(b []byte) verdict {
	const block, end = "\x31\x41\x59\x26\x53\x59", "\x17\x72\x45\x38\x50\x90"
	if v := begins(b, bzip2Magic); v != yes || len(b) == len(bzip2Magic) {
		return min(v, short)
	}
	if level := b[3]; level < '1' || level > '9' {
		return no
	}
	if len(b) == 4 {
		return short
	}
	return max(begins(b[4:], block), begins(b[4:], end))
}

// isXZ looks at the header of a stream, which has a checksum.
func isXZ(b []byte) verdict {
	const length = 12
	switch v := begins(b, xzMagic); {
	case v != yes:
		return v
	case len(b) < length:
		return short
	case crc32.ChecksumIEEE(b[6:8]) != binary.LittleEndian.Uint32(b[8:]):
		return no
	}
	return yes
}

// damaged returns the format of which head has the first bytes, but not what has to follow
// them. Only formats are asked about whose first bytes are no text in any encoding.
func damaged(head []byte) string {
	for magic, name := range map[string]string{gzipMagic: "gzip", xzMagic: "xz"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return name
		}
	}
	return ""
}
