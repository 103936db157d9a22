package selection

import (
	"encoding/binary"
	"strconv"

	"github.com/jackc/pgx/v5/pgtype"
)

// datum returns the bytes of a CONST that is not NULL: of a value that is passed by value
// those of a word, else as it lies in memory. The server writes them as 5 [ 20 0 0 0 120 ].
func (n *node) datum() ([]byte, bool) {
	for _, f := range n.fields {
		if f.key != "constvalue" {
			continue
		}
		if len(f.values) < 3 || f.values[1].word != "[" || f.values[len(f.values)-1].word != "]" {
			return nil, false
		}
		var data []byte
		for _, v := range f.values[2 : len(f.values)-1] {
			b, err := strconv.Atoi(v.word) // of a char, which may have a sign
			if err != nil || b < -128 || b > 255 {
				return nil, false
			}
			data = append(data, byte(b))
		}
		return data, true
	}
	return nil, false
}

// text returns the value of a CONST of type text, in the server's encoding.
func (n *node) text() (string, bool) {
	if n.kind != "CONST" || n.number("consttype") != pgtype.TextOID || n.get("constisnull").word != "false" {
		return "", false
	}
	data, ok := n.datum()
	if !ok || len(data) < 4 {
		return "", false
	}
	// The length of a varlena, its header with it, lies in 30 bits (src/include/varatt.h):
	// the upper ones of a little-endian word, the lower ones of a big-endian one.
	if binary.LittleEndian.Uint32(data) != uint32(len(data))<<2 && binary.BigEndian.Uint32(data) != uint32(len(data)) {
		return "", false
	}
	return string(data[4:]), true
}
