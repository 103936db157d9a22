package parquettext

import (
	"encoding/binary"
	"errors"

	"github.com/parquet-go/parquet-go/encoding/thrift"
)

// errShort says that a Thrift struct goes on after the bytes that are there.
var errShort = errors.New("ends inside its metadata")

// errThrift says that bytes are no Thrift struct.
var errThrift = errors.New("its metadata cannot be read")

// Types of the compact protocol.
const (
	thriftStop = iota
	thriftTrue
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

// maxThriftDepth is how deeply structs and lists may be nested; those of Parquet need ten.
const maxThriftDepth = 24

// A walker finds the end of a Thrift struct. It makes sure that no length in it is larger
// than what is there, so that a decoder may believe them all.
type walker struct {
	b  []byte
	at int
}

// structLen returns the length of the struct of the compact protocol at the head of b. The
// error is errShort if b ends before it does.
func structLen(b []byte) (int, error) {
	w := walker{b: b}
	err := w.value(thriftStruct, 0)
	return w.at, err
}

// decodeStruct decodes b, which is one struct and nothing else, into v.
func decodeStruct(b []byte, v any) error {
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), b, v); err != nil {
		return errThrift
	}
	return nil
}

func (w *walker) skip(n uint64) error {
	if n > uint64(len(w.b)-w.at) {
		return errShort
	}
	w.at += int(n)
	return nil
}

func (w *walker) byte() (byte, error) {
	if w.at >= len(w.b) {
		return 0, errShort
	}
	w.at++
	return w.b[w.at-1], nil
}

func (w *walker) varint() (uint64, error) {
	v, n := binary.Uvarint(w.b[w.at:])
	switch {
	case n < 0:
		return 0, errThrift
	case n == 0:
		return 0, errShort
	}
	w.at += n
	return v, nil
}

func (w *walker) value(kind byte, depth int) error {
	if depth > maxThriftDepth {
		return errThrift
	}
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		return w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := w.varint()
		return err
	case thriftDouble:
		return w.skip(8)
	case thriftBinary:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thriftList, thriftSet:
		return w.list(depth)
	case thriftMap:
		return w.pairs(depth)
	case thriftStruct:
		return w.fields(depth)
	}
	return errThrift
}

func (w *walker) fields(depth int) error {
	for {
		head, err := w.byte()
		if err != nil || head == thriftStop {
			return err
		}
		if head>>4 == 0 {
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		kind := head & 0xf
		if kind == thriftTrue || kind == thriftFalse {
			continue // the type is the value
		}
		if err := w.value(kind, depth+1); err != nil {
			return err
		}
	}
}

func (w *walker) list(depth int) error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	return w.elements(n, depth, head&0xf)
}

func (w *walker) pairs(depth int) error {
	n, err := w.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := w.byte()
	if err != nil {
		return err
	}
	return w.elements(n, depth, kinds>>4, kinds&0xf)
}

// minElement is what a struct in a list of Parquet's takes at least, in bytes. A list of
// shorter ones would take a hundred times its length in memory.
const minElement = 3

// elements goes over n elements of each of the kinds.
func (w *walker) elements(n uint64, depth int, kinds ...byte) error {
	if n > uint64(len(w.b)-w.at) {
		return errShort
	}
	start := w.at
	for range n {
		for _, kind := range kinds {
			if err := w.value(kind, depth+1); err != nil {
				return err
			}
		}
	}
	if kinds[0] == thriftStruct && uint64(w.at-start) < n*minElement {
		return errThrift
	}
	return nil
}
