package parquettext

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/pgcsv"
)

// Values are the values of a page or of a dictionary as they are stored.
type values struct {
	data  []byte
	width int // of each, 0 if spans has where each stands
	spans []span
	index []uint32 // into the dictionary, if dict is not nil
	dict  *dictionary
}

// A span is where a value stands.
type span struct{ start, end uint32 }

// A dictionary has the values that pages of a column chunk name by number.
type dictionary struct {
	values values
	n      int
	texts  []text // each value's text, nil while it is not made
	joined []byte // the texts

	fields  []text // each value's field of binary COPY, nil while it is not made
	encoded []byte // the fields
}

// A text is one that is written whenever its value is.
type text struct {
	start, end uint32
	err        error
}

// at returns value i. It must not be changed.
func (v *values) at(i int) []byte {
	if v.dict != nil {
		i = int(v.index[i])
		v = &v.dict.values
	}
	if v.width > 0 {
		return v.data[i*v.width : (i+1)*v.width]
	}
	s := v.spans[i]
	return v.data[s.start:s.end]
}

// mem returns what v occupies beside the page itself, in bytes.
func (v *values) mem() int { return 8*len(v.spans) + 4*len(v.index) }

// decode reads n values of the encoding.
func (p *pageReader) decode(encoding format.Encoding, data []byte, n int) (values, error) {
	if n == 0 {
		return values{width: max(p.l.width, 1)}, nil
	}
	switch encoding {
	case format.Plain:
		return plainValues(p.l, data, n)
	case plainDictionary, format.RLEDictionary:
		return p.indexes(data, n)
	case format.RLE:
		return runs(p.l, data, n)
	case format.DeltaBinaryPacked:
		return deltas(p.l, data, n)
	case format.DeltaLengthByteArray:
		return deltaLengths(p.l, data, n)
	case format.DeltaByteArray:
		return p.deltaBytes(data, n)
	case format.ByteStreamSplit:
		return splitBytes(p.l, data, n)
	}
	return values{}, fmt.Errorf("is encoded as %s, which cannot be read", encoding)
}

// plainDictionary is what old writers call the encodings of dictionaries, and of numbers of their
// values.
const plainDictionary format.Encoding = 2

// errEncoding is of values in an encoding that their type does not have.
var errEncoding = errors.New("is encoded in a way that its type does not have")

func plainValues(l *leaf, data []byte, n int) (values, error) {
	switch {
	case l.kind == format.Boolean:
		if len(data) < (n+7)/8 {
			return values{}, errCount
		}
		out := make([]byte, n)
		for i := range out {
			out[i] = data[i/8] >> (i % 8) & 1
		}
		return values{data: out, width: 1}, nil
	case l.width > 0:
		if int64(len(data)) < int64(n)*int64(l.width) {
			return values{}, errCount
		}
		return values{data: data, width: l.width}, nil
	}
	if n > len(data)/4 {
		return values{}, errCount
	}
	spans := make([]span, n)
	at := uint64(0)
	for i := range spans {
		if at+4 > uint64(len(data)) {
			return values{}, errCount
		}
		start := at + 4
		at = start + uint64(binary.LittleEndian.Uint32(data[at:]))
		if at > uint64(len(data)) {
			return values{}, errCount
		}
		spans[i] = span{uint32(start), uint32(at)}
	}
	return values{data: data, spans: spans}, nil
}

// indexes reads numbers of entries of the dictionary.
func (p *pageReader) indexes(data []byte, n int) (values, error) {
	if p.dict == nil {
		return values{}, errors.New("names values of a dictionary that is not there")
	}
	if len(data) == 0 || data[0] > 32 {
		return values{}, errPacked
	}
	u := unpacker{src: data[1:], width: uint(data[0])}
	index, err := unpack(make([]uint32, 0, n), n, &u)
	if err != nil {
		return values{}, err
	}
	for _, i := range index {
		if i >= uint32(p.dict.n) {
			return values{}, errors.New("names values that its dictionary does not have")
		}
	}
	return values{index: index, dict: p.dict}, nil
}

// runs reads booleans.
func runs(l *leaf, data []byte, n int) (values, error) {
	if l.kind != format.Boolean {
		return values{}, errEncoding
	}
	if len(data) < 4 {
		return values{}, errPacked
	}
	u := unpacker{src: data[4:], width: 1}
	out, err := unpack(make([]byte, 0, n), n, &u)
	return values{data: out, width: 1}, err
}

func deltas(l *leaf, data []byte, n int) (values, error) {
	if l.kind != format.Int32 && l.kind != format.Int64 {
		return values{}, errEncoding
	}
	numbers, _, err := readDeltas(data, n)
	if err != nil {
		return values{}, err
	}
	out := make([]byte, 0, n*l.width)
	for _, v := range numbers {
		if l.width == 4 {
			out = binary.LittleEndian.AppendUint32(out, uint32(v))
		} else {
			out = binary.LittleEndian.AppendUint64(out, uint64(v))
		}
	}
	return values{data: out, width: l.width}, nil
}

// deltaLengths reads byte arrays, the lengths of which stand in front of them.
func deltaLengths(l *leaf, data []byte, n int) (values, error) {
	if l.kind != format.ByteArray {
		return values{}, errEncoding
	}
	lengths, rest, err := readDeltas(data, n)
	if err != nil {
		return values{}, err
	}
	spans := make([]span, n)
	at := int64(0)
	for i, length := range lengths {
		if length < 0 || length > int64(len(rest))-at {
			return values{}, errCount
		}
		spans[i] = span{uint32(at), uint32(at + length)}
		at += length
	}
	return values{data: rest, spans: spans}, nil
}

// deltaBytes reads byte arrays, each of which begins with some bytes of the one before it.
// Together they may be much longer than the page.
func (p *pageReader) deltaBytes(data []byte, n int) (values, error) {
	if p.l.kind != format.ByteArray && p.l.kind != format.FixedLenByteArray {
		return values{}, errEncoding
	}
	prefixes, rest, err := readDeltas(data, n)
	if err != nil {
		return values{}, err
	}
	suffixes, rest, err := readDeltas(rest, n)
	if err != nil {
		return values{}, err
	}
	var out []byte
	spans := make([]span, n)
	last := span{}
	for i, suffix := range suffixes {
		prefix := prefixes[i]
		if prefix < 0 || prefix > int64(last.end-last.start) || suffix < 0 || suffix > int64(len(rest)) {
			return values{}, errCount
		}
		if size := int64(len(out)) + prefix + suffix; size > int64(p.limit) {
			return values{}, &limitError{size: size, limit: p.limit}
		}
		start := len(out)
		out = append(out, out[last.start:int64(last.start)+prefix]...)
		out, rest = append(out, rest[:suffix]...), rest[suffix:]
		last = span{uint32(start), uint32(len(out))}
		if p.l.width > 0 && len(out)-start != p.l.width {
			return values{}, errCount
		}
		spans[i] = last
	}
	return values{data: out, spans: spans}, nil
}

// splitBytes reads numbers, the first bytes of which stand together, then the second ones,
// and so on.
func splitBytes(l *leaf, data []byte, n int) (values, error) {
	w := l.width
	if w == 0 || l.kind == format.Boolean || l.kind == format.Int96 {
		return values{}, errEncoding
	}
	if int64(len(data)) != int64(n)*int64(w) {
		return values{}, errCount
	}
	out := make([]byte, len(data))
	for k := range w {
		for i, c := range data[k*n : (k+1)*n] {
			out[i*w+k] = c
		}
	}
	return values{data: out, width: w}, nil
}

// write makes the text of each value of the dictionary, once, as a field of COPY's text
// format.
func (d *dictionary) write(w writer, plain bool) {
	d.texts = make([]text, d.n)
	var scratch []byte
	for i := range d.texts {
		start := uint32(len(d.joined))
		var err error
		if scratch, err = w(scratch[:0], d.values.at(i)); err != nil {
			scratch = append(scratch[:0], d.values.at(i)...)
		}
		if plain && err == nil {
			d.joined = append(d.joined, scratch...)
		} else {
			d.joined = pgcsv.AppendText(d.joined, scratch)
		}
		d.texts[i] = text{start, uint32(len(d.joined)), err}
	}
	d.joined = slices.Clip(d.joined)
}
