package lane

import (
	"bytes"
	"encoding/binary"
)

// A buffer is bytes in pages. Room is taken in it first, by whoever may change it, and written to
// later, perhaps by another goroutine: a page has its whole length until trim.
type buffer struct {
	pages [][]byte
	size  int // bytes that are taken
	room  int // how many more can be
}

// extend adds a page.
func (b *buffer) extend(page []byte) {
	b.pages = append(b.pages, page[:cap(page)])
	b.room += cap(page)
}

// take takes n bytes, for which there must be room, for w to write.
func (b *buffer) take(n int, w *writer) {
	*w = writer{left: n}
	if n == 0 {
		return
	}
	size := cap(b.pages[0])
	w.rest, w.next = b.pages[b.size/size][b.size%size:], b.pages[b.size/size+1:]
	b.size += n
	b.room -= n
}

// trim gives pages the length of what is in them: all but the last that has something are full,
// and those after it are empty. Nobody may be writing.
func (b *buffer) trim() {
	left := b.size
	for i, page := range b.pages {
		n := min(left, cap(page))
		b.pages[i] = page[:n]
		left -= n
	}
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

// A writer writes what was taken of a buffer. What is next to that on the same pages may be
// written by others at the same time.
type writer struct {
	rest []byte // of the page that is being written
	next [][]byte
	left int // bytes; less than 0 if there were too many
}

// write writes data.
func (w *writer) write(data []byte) {
	w.left -= len(data)
	n := copy(w.rest, data)
	w.rest = w.rest[n:]
	if n < len(data) {
		w.writeOn(data[n:])
	}
}

// writeOn writes data on the next pages.
func (w *writer) writeOn(data []byte) {
	for len(data) > 0 && w.left >= 0 {
		w.rest, w.next = w.next[0], w.next[1:]
		n := copy(w.rest, data)
		w.rest, data = w.rest[n:], data[n:]
	}
}

// writePair writes two numbers of 8 bytes each, which never lie on two pages.
func (w *writer) writePair(v, u uint64) {
	if w.left -= keySize; w.left < 0 {
		return
	}
	if len(w.rest) == 0 {
		w.rest, w.next = w.next[0], w.next[1:]
	}
	binary.BigEndian.PutUint64(w.rest, v)
	binary.BigEndian.PutUint64(w.rest[8:], u)
	w.rest = w.rest[keySize:]
}

// writeUvarint writes a number in as few bytes as it takes.
func (w *writer) writeUvarint(v uint64) {
	if v < 0x80 && len(w.rest) > 0 {
		w.left--
		w.rest[0] = byte(v)
		w.rest = w.rest[1:]
		return
	}
	var scratch [binary.MaxVarintLen64]byte
	w.write(scratch[:binary.PutUvarint(scratch[:], v)])
}

// appendUvarint writes a number at the end of b, where there is room for any.
func (b *buffer) appendUvarint(v uint64) {
	var w writer
	b.take(uvarintLen(v), &w)
	w.writeUvarint(v)
}
