package parquettext

import (
	"encoding/binary"
	"math"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/pgcopy"
)

// An encoder appends a value, which is stored as v, as a field of binary COPY, if it is sure
// that COPY would store the same of the value's text. Else dst comes back with its old length.
type encoder func(dst, v []byte, scratch *[]byte) ([]byte, bool)

// Rows are rows of a chunk as binary COPY has them.
type Rows struct {
	Data []byte
	// Ends has for each row where each of its fields ends in Data, 0 for one that is NULL.
	Ends []int32
	// RowEnds has for each row where it ends.
	RowEnds []int32
}

// Reset empties rows, which keep their memory, and makes data that of Data.
func (rows *Rows) Reset(data []byte) {
	rows.Data, rows.Ends, rows.RowEnds = data[:0], rows.Ends[:0], rows.RowEnds[:0]
}

// SetTypes says which types the columns have that the fields go into, so that AppendRows can
// be asked. It returns false if one of them has no binary form here.
func (r *Reader) SetTypes(types []Type, opts pgcopy.Options) bool {
	for i := range r.cells {
		c := &r.cells[i]
		encode, ok := pgcopy.For(types[i].OID, types[i].Mod, opts)
		if !ok {
			return false
		}
		c.encodeText = encode
		if !c.nested {
			c.encode = c.encoderFor(types[i].OID, encode)
		}
	}
	r.binary = true
	return true
}

// A Type is a type of PostgreSQL, below all domains, and its modifier.
type Type struct {
	OID uint32
	Mod int32
}

// encoderFor returns the encoder of a flat column for a type. The text of the value decides
// where the bytes of both are not known to mean the same.
func (c *cell) encoderFor(oid uint32, text pgcopy.Encoder) encoder {
	l := c.node.leaf
	if e := l.direct(oid); e != nil {
		return e
	}
	if c.isText {
		return func(dst, v []byte, _ *[]byte) ([]byte, bool) { return text(dst, v) }
	}
	write := c.writer
	return func(dst, v []byte, scratch *[]byte) ([]byte, bool) {
		out, err := write((*scratch)[:0], v)
		*scratch = out
		if err != nil {
			return dst, false
		}
		return text(dst, out)
	}
}

// direct returns the encoder of a type whose values are made of the leaf's without their
// text, nil if there is none.
func (l *leaf) direct(oid uint32) encoder {
	f := &l.values
	switch {
	case f.integer != nil:
		return integerFor(oid, f.integer)
	case f.unit != 0:
		return timestampFor(oid, f.unit, f.adjusted)
	case f.isDate && oid == pgtype.DateOID:
		return encodeDate
	case f.isPhysical && l.kind == format.Double && oid == pgtype.Float8OID:
		return encodeFloat8
	case f.isPhysical && l.kind == format.Float && oid == pgtype.Float4OID:
		return encodeFloat4
	case f.isPhysical && l.kind == format.Boolean && oid == pgtype.BoolOID:
		return encodeBool
	case l.isRaw() && oid == pgtype.ByteaOID:
		return encodeBytes
	case l.width == 16 && (f.uuid || f.isUUID) && oid == pgtype.UUIDOID:
		return encodeBytes
	}
	return nil
}

// integerFor returns the encoder of integers that value reads, nil for a type that is none.
func integerFor(oid uint32, value func([]byte) (int64, bool)) encoder {
	switch oid {
	case pgtype.Int2OID:
		return func(dst, v []byte, _ *[]byte) ([]byte, bool) {
			n, ok := value(v)
			if !ok || n != int64(int16(n)) {
				return dst, false
			}
			return binary.BigEndian.AppendUint16(append(dst, 0, 0, 0, 2), uint16(n)), true
		}
	case pgtype.Int4OID:
		return func(dst, v []byte, _ *[]byte) ([]byte, bool) {
			n, ok := value(v)
			if !ok || n != int64(int32(n)) {
				return dst, false
			}
			return binary.BigEndian.AppendUint64(dst, 4<<32|uint64(uint32(n))), true
		}
	case pgtype.Int8OID:
		return func(dst, v []byte, _ *[]byte) ([]byte, bool) {
			n, ok := value(v)
			if !ok {
				return dst, false
			}
			return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), uint64(n)), true
		}
	}
	return nil
}

func readInt32(v []byte) (int64, bool) { return int64(int32(binary.LittleEndian.Uint32(v))), true }

func readUint32(v []byte) (int64, bool) { return int64(binary.LittleEndian.Uint32(v)), true }

func readInt64(v []byte) (int64, bool) { return int64(binary.LittleEndian.Uint64(v)), true }

func readUint64(v []byte) (int64, bool) {
	n := binary.LittleEndian.Uint64(v)
	return int64(n), n <= math.MaxInt64
}

const (
	// epoch is the day from which PostgreSQL counts, 2000-01-01, counted since 1970-01-01.
	epoch = 10_957
	// firstDay and lastDay are 0001-01-01 and 9999-12-31: other dates are left to the server.
	firstDay = -719_162
	lastDay  = 2_932_896
)

func encodeDate(dst, v []byte, _ *[]byte) ([]byte, bool) {
	day, _ := readInt32(v)
	if day < firstDay || day > lastDay {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(dst, 4<<32|uint64(uint32(int32(day-epoch)))), true
}

// timestampFor returns the encoder of times of the unit, nil if the type's values depend on more
// than that: those without a zone on that of the session.
func timestampFor(oid uint32, u unit, adjusted bool) encoder {
	if oid != pgtype.TimestampOID && (oid != pgtype.TimestamptzOID || !adjusted) {
		return nil
	}
	const us = secondsPerDay * int64(micros)
	return func(dst, v []byte, _ *[]byte) ([]byte, bool) {
		at := int64(binary.LittleEndian.Uint64(v))
		switch u {
		case millis:
			if at < firstDay*secondsPerDay*int64(millis) || at >= (lastDay+1)*secondsPerDay*int64(millis) {
				return dst, false
			}
			at *= int64(micros / millis)
		case nanos:
			if at%int64(nanos/micros) != 0 {
				return dst, false // the server rounds
			}
			at /= int64(nanos / micros)
		}
		if at < firstDay*us || at >= (lastDay+1)*us {
			return dst, false
		}
		return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), uint64(at-epoch*us)), true
	}
}

func encodeFloat8(dst, v []byte, _ *[]byte) ([]byte, bool) {
	f := binary.LittleEndian.Uint64(v)
	if n := math.Float64frombits(f); math.IsNaN(n) || n != 0 && math.Abs(n) < 0x1p-1022 {
		return dst, false // as its text is
	}
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), f), true
}

func encodeFloat4(dst, v []byte, _ *[]byte) ([]byte, bool) {
	f := binary.LittleEndian.Uint32(v)
	if n := float64(math.Float32frombits(f)); math.IsNaN(n) || n != 0 && math.Abs(n) < 0x1p-126 {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(dst, 4<<32|uint64(f)), true
}

func encodeBool(dst, v []byte, _ *[]byte) ([]byte, bool) {
	return append(dst, 0, 0, 0, 1, v[0]), true
}

func encodeBytes(dst, v []byte, _ *[]byte) ([]byte, bool) {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...), true
}

// AppendRows appends the rows of a chunk to rows as binary COPY has them. It reports false if
// it is not sure of one of the values, or if a row is longer than max bytes: the chunk's
// records are to be taken then, and rows has nothing of use.
func (r *Reader) AppendRows(rows *Rows, chunk int64, max int) (sure bool, err error) {
	defer recovered(&err)
	if !r.binary {
		return false, nil
	}
	w, g, index, err := r.open(chunk, true)
	if err != nil {
		return false, err
	}
	defer r.spare.Put(w)
	from, to := r.f.groups[index].rowsOf(chunk)
	sure, err = r.appendBinary(rows, w, int(to-from), max)
	clear(w.cursors)
	if sure || err != nil {
		r.finish(g, index, chunk)
	}
	return sure, err
}

func (r *Reader) appendBinary(rows *Rows, w *rowWriter, n, max int) (sure bool, err error) {
	data, ends := rows.Data, rows.Ends
	defer func() { rows.Data, rows.Ends = data, ends }()
	for range n {
		start := len(data)
		data = pgcopy.AppendFieldCount(data, int16(len(r.cells)))
		at := w.cursors
		for i := range r.cells {
			c := &r.cells[i]
			length := len(data)
			if data, sure, err = c.appendField(data, at[:c.leaves], &w.scratch); !sure || err != nil {
				return false, err
			}
			end := int32(len(data))
			if len(data) == length { // NULL
				data = pgcopy.AppendNull(data)
				end = 0
			}
			ends = append(ends, end)
			at = at[c.leaves:]
		}
		if len(data)-start > max || len(data) > maxText {
			return false, nil
		}
		rows.RowEnds = append(rows.RowEnds, int32(len(data)))
	}
	return true, nil
}

// appendField appends the field of the row on which the cursors stand, nothing for NULL, and
// goes on to the next.
func (c *cell) appendField(dst []byte, at []cursor, scratch *[]byte) (out []byte, sure bool, err error) {
	if c.nested {
		return c.encodeNested(dst, at, scratch)
	}
	cur := &at[0]
	if cur.pg != nil && cur.i == cur.pg.n {
		cur.settle()
	}
	pg := cur.pg
	if pg == nil {
		return dst, false, errRows
	}
	i, v := cur.i, cur.v
	cur.i++
	if pg.defs != nil && pg.defs[i] != cur.leaf.def {
		return dst, true, nil
	}
	cur.v++
	if d := pg.values.dict; d != nil {
		f := &d.fields[pg.values.index[v]]
		return append(dst, d.encoded[f.start:f.end]...), f.end > f.start, nil
	}
	dst, sure = c.encode(dst, pg.values.at(v), scratch)
	return dst, sure, nil
}

func (c *cell) encodeNested(dst []byte, at []cursor, scratch *[]byte) (out []byte, sure bool, err error) {
	null, bad, err := c.nestedText(at, scratch)
	switch {
	case null || err != nil:
		return dst, null, err
	case bad != nil:
		return dst, false, nil
	}
	dst, sure = c.encodeText(dst, *scratch)
	return dst, sure, nil
}

// encode makes the field of each value of the dictionary, once. One that it is not sure of is
// empty, which no field is.
func (d *dictionary) encode(e encoder) {
	d.fields = make([]text, d.n)
	var scratch []byte
	for i := range d.fields {
		start := uint32(len(d.encoded))
		d.encoded, _ = e(d.encoded, d.values.at(i), &scratch)
		d.fields[i] = text{start: start, end: uint32(len(d.encoded))}
	}
}
