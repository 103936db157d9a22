package lane

import (
	"bytes"
	"encoding/binary"
)

// A buffer is bytes in pages. Pages are full but for the one being written and
// those behind it, which are empty.
type buffer struct {
	pages   [][]byte
	writing int // index of the page being written
	room    int // how many bytes can be appended
}

// extend adds an empty page.
func (b *buffer) extend(page []byte) {
	b.pages = append(b.pages, page)
	b.room += cap(page)
}

// append appends data, for which there must be room.
func (b *buffer) append(data []byte) {
	b.room -= len(data)
	for len(data) > 0 {
		p := &b.pages[b.writing]
		n := copy((*p)[len(*p):cap(*p)], data)
		*p = (*p)[:len(*p)+n]
		data = data[n:]
		if len(*p) == cap(*p) {
			b.writing++
		}
	}
}

// appendPair appends two numbers of 8 bytes each, for which there must be room on
// the page.
func (b *buffer) appendPair(v, w uint64) {
	p := &b.pages[b.writing]
	n := len(*p)
	*p = (*p)[:n+16]
	binary.BigEndian.PutUint64((*p)[n:], v)
	binary.BigEndian.PutUint64((*p)[n+8:], w)
	b.room -= 16
	if len(*p) == cap(*p) {
		b.writing++
	}
}

// appendUvarint appends a number in as few bytes as it takes.
func (b *buffer) appendUvarint(v uint64) {
	var scratch [binary.MaxVarintLen64]byte
	b.append(scratch[:binary.PutUvarint(scratch[:], v)])
}

// appendRange appends length bytes of b from start on to dst.
func (b *buffer) appendRange(dst []byte, start, length int) []byte {
	for at, left := start, length; left > 0; {
		size := cap(b.pages[0])
		piece := b.pages[at/size][at%size:]
		piece = piece[:min(len(piece), left)]
		dst = append(dst, piece...)
		at += len(piece)
		left -= len(piece)
	}
	return dst
}

// Bytes returns the buffer's content, for reading lines and errors.
func (b *buffer) Bytes() []byte { return bytes.Join(b.pages, nil) }
