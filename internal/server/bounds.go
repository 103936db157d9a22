package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"unicode/utf8"
)

// What a server may send at most. Whoever is behind an address must not fill our
// memory, and an error that quotes a whole record is of no use.
const (
	// maxMessage bounds a message. What we ask for are numbers, names and marks.
	maxMessage = 64 << 20
	// maxReport is the length at which an error or a notice is cut, and maxField
	// what is kept of each of its texts: its beginning and its end.
	maxReport = 64 << 10
	maxField  = 16 << 10
	// maxUnread bounds what is kept of a server that sends and sends and does not
	// read what we have to say.
	maxUnread = 64 << 20
)

// errFlood reports a server that sends more than it may.
var errFlood = errors.New("the server sends without end and does not read what it is sent")

// A guarded is a connection whose driver keeps what the server sends while it cannot
// send itself. It is watched: see Watch.
type guarded struct {
	net.Conn
	traced
	writing atomic.Bool
	unread  atomic.Int64 // received since the Write under way began
}

func (g *guarded) Write(p []byte) (int, error) {
	g.unread.Store(0)
	g.writing.Store(true)
	g.begin()
	n, err := g.Conn.Write(p)
	err = g.end(err)
	g.writing.Store(false)
	return n, err
}

func (g *guarded) Read(p []byte) (int, error) {
	g.begin()
	n, err := g.Conn.Read(p)
	err = g.end(err)
	if g.writing.Load() && g.unread.Add(int64(n)) > maxUnread {
		_ = g.Close() // so that the Write ends, too
		return 0, errFlood
	}
	return n, err
}

// A trimmer hands on what a server sends, and cuts long errors and notices.
type trimmer struct {
	r    *bufio.Reader
	pass int    // bytes of the current message that are handed on as they are
	out  []byte // what has been made of a message that is cut

	// Of a message that is being cut:
	typ   byte
	left  int    // of its body
	code  byte   // of its current field, 0 before one
	field []byte // what is kept of it
	more  bool   // than is kept
}

func newTrimmer(r io.Reader) *trimmer { return &trimmer{r: bufio.NewReaderSize(r, 8<<10)} }

func (t *trimmer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case len(t.out) > 0 && t.left == 0:
			n := copy(p, t.out)
			t.out = t.out[n:]
			return n, nil
		case t.pass > 0:
			n, err := t.r.Read(p[:min(len(p), t.pass)])
			t.pass -= n
			return n, err
		case t.left > 0:
			if err := t.cut(); err != nil {
				return 0, err
			}
		default:
			if err := t.next(); err != nil {
				return 0, err
			}
		}
	}
}

// next looks at the head of a message. It may be called again after an error: a
// deadline that has passed is none for the connection.
func (t *trimmer) next() error {
	const headSize = 5 // type and length, which counts itself
	head, err := t.r.Peek(headSize)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	body := int(int32(binary.BigEndian.Uint32(head[1:]))) - 4
	if (head[0] != 'E' && head[0] != 'N') || body <= maxReport {
		t.pass = headSize + max(body, 0)
		return nil
	}
	t.typ, t.left, t.code, t.field, t.more = head[0], body, 0, nil, false
	t.out = make([]byte, headSize, maxField)
	_, err = t.r.Discard(headSize)
	return err
}

// cut reads a piece of the message.
func (t *trimmer) cut() error {
	piece, err := t.r.Peek(max(1, min(t.left, t.r.Buffered())))
	if err != nil {
		return err
	}
	for rest := piece; len(rest) > 0; {
		rest = rest[t.take(rest):]
	}
	t.left -= len(piece)
	if t.left == 0 {
		t.endField()
		t.out = append(t.out, 0)
		t.out[0] = t.typ
		binary.BigEndian.PutUint32(t.out[1:], uint32(len(t.out)-1))
	}
	_, err = t.r.Discard(len(piece))
	return err
}

// take reads the start of a piece of the message, and returns how much of it: a field
// is a code and a text that ends in zero.
func (t *trimmer) take(piece []byte) int {
	if t.code == 0 {
		t.code = piece[0] // the last one is zero
		return 1
	}
	end := bytes.IndexByte(piece, 0)
	if end == 0 {
		t.endField()
		return 1
	}
	if end < 0 {
		end = len(piece)
	}
	if t.field = append(t.field, piece[:end]...); len(t.field) >= 2*maxField {
		// Its end says where, as in a CONTEXT of many lines.
		t.field = append(t.field[:maxField/2], t.field[len(t.field)-maxField/2:]...)
		t.more = true
	}
	return end
}

// endField writes what is kept of the current field, if there is room.
func (t *trimmer) endField() {
	text := t.field
	if len(text) > maxField || t.more {
		head, tail := text[:maxField/2], text[len(text)-maxField/2:]
		text = append(append(wholeEnd(head), " ... "...), wholeStart(tail)...)
	}
	if t.code != 0 && len(t.out)+len(text) < maxReport {
		t.out = append(append(append(t.out, t.code), text...), 0)
	}
	t.code, t.field, t.more = 0, t.field[:0], false
}

// wholeEnd returns a copy of text without a character that is cut at its end.
func wholeEnd(text []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(text); i++ {
		if c := text[len(text)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(text[len(text)-i:]) {
				text = text[:len(text)-i]
			}
			break
		}
	}
	return append([]byte(nil), text...)
}

// wholeStart returns text without a character that is cut at its start.
func wholeStart(text []byte) []byte {
	for i := 0; i < utf8.UTFMax && i < len(text); i++ {
		if utf8.RuneStart(text[i]) {
			return text[i:]
		}
	}
	return text
}
