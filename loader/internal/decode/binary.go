package decode

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/citus"
	"shardload/internal/input"
	"shardload/internal/pghash"
)

// textChunks is how many chunks are decoded from their records after one of which the binary
// rows were not all sure: a column that is never sure is not tried each time.
const textChunks = 16

// What a decoder has of a feed that makes binary rows.
type binaryRows struct {
	binary   input.Rows
	textLeft int // chunks that are to be decoded from their records
}

// DecodeBinary decodes c, which is not filled, into d.records without any text, where its feed
// can do that and is sure of all values. Else it returns false, and c is to be filled and decoded.
func (d *decoder) DecodeBinary(c *input.Chunk) (done bool, err error) {
	if d.lay.Encoders == nil || d.lay.mapping != nil || !d.lay.Router.hashesFields() {
		return false, nil
	}
	if d.textLeft > 0 {
		d.textLeft--
		return false, nil
	}
	d.binary.Reset(d.rows)
	sure, err := c.AppendRows(&d.binary, min(d.lay.maxRecord, maxBinary))
	d.rows = d.binary.Data
	if err != nil || !sure {
		d.textLeft = textChunks
		return false, err
	}
	d.records, d.unsure, d.aside, d.chunk = d.records[:0], d.unsure[:0], d.aside[:0], c
	clear(d.csv)
	start, ends := int32(0), d.binary.Ends
	for i, end := range d.binary.RowEnds {
		r := record{binStart: start, binEnd: end, line: int32(i)}
		of := ends[:len(d.lay.Columns)]
		ends = ends[len(of):]
		var ok bool
		if r.lane, ok = d.lay.Router.binaryLane(d.rows[start:end], start, of, d.hashes, c.Number); !ok {
			d.textLeft = textChunks
			return false, nil
		}
		r.key = d.lay.sortKey(d.rows, of)
		d.records = append(d.records, r)
		start = end
	}
	return true, nil
}

// binaryLane finds the lane of a binary row, which stands at start and the fields of which have
// these ends, 0 for NULL. hashes has room for one of each key. It reports false for a row that
// must not be stored.
func (r *router) binaryLane(row []byte, start int32, ends, hashes []int32, chunk int64) (lane int32, ok bool) {
	for i := range r.Keys {
		k := &r.Keys[i]
		hashes[i] = 0
		if ends[k.field] == 0 {
			if k.required {
				return 0, false
			}
			continue
		}
		at := start + rowHead
		for _, end := range ends[:k.field] {
			at = max(at+nullSize, end)
		}
		if hashes[i], ok = k.hashField(row[at+nullSize-start : ends[k.field]-start]); !ok {
			return 0, false
		}
	}
	return r.lane(hashes, chunk), true
}

// Sizes in binary COPY, in bytes: of the number of fields in front of a row, and of the length in
// front of a field, which is all there is of NULL.
const (
	rowHead  = 2
	nullSize = 4
)

// hashesFields reports whether all keys can be hashed from their binary fields.
func (r *router) hashesFields() bool {
	for i := range r.Keys {
		if r.Keys[i].hashField == nil {
			return false
		}
	}
	return true
}

// fieldHasher returns what hash, a type's hasher of texts, is for its binary fields, nil if there
// is nothing.
func fieldHasher(oid uint32, hash citus.Hasher) citus.Hasher {
	switch oid {
	case pgtype.Int2OID:
		return func(v []byte) (int32, bool) { return pghash.Int8(int64(int16(binary.BigEndian.Uint16(v)))), true }
	case pgtype.Int4OID:
		return func(v []byte) (int32, bool) { return pghash.Int8(int64(int32(binary.BigEndian.Uint32(v)))), true }
	case pgtype.Int8OID:
		return func(v []byte) (int32, bool) { return pghash.Int8(int64(binary.BigEndian.Uint64(v))), true }
	case pgtype.UUIDOID:
		return func(v []byte) (int32, bool) { return pghash.Bytes(v), true }
	case pgtype.TextOID, pgtype.VarcharOID:
		return hash
	}
	return nil
}
