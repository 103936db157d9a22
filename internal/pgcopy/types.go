package pgcopy

import (
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/pgarray"
)

// An Encoder appends the value whose text form is v as one field: its length in
// bytes, then its binary form. It reports whether it is sure of the value. If it
// is not, dst comes back with its old length, and the caller sends the record as
// text for the server to judge.
//
// v must not overlap dst. What lies behind v, up to its capacity, may be read, but
// means nothing. An Encoder may be called from many goroutines at once.
type Encoder func(dst, v []byte) ([]byte, bool)

// Options says what the meaning of a text depends on beside its type. The zero
// value is safe everywhere and leaves more to the server.
type Options struct {
	// UTF8 says that text reaches the server byte for byte: its own encoding and
	// the input's are both UTF8. Otherwise only ASCII is sure.
	UTF8 bool

	// ArrayNulls says that array_nulls is on at the server, as it is unless
	// somebody switched it off, so that NULL without quotes is a null element.
	// Otherwise an array with that word in it is not sure.
	ArrayNulls bool
}

// Lengths of text beyond which a value is left to the server. The server's own
// limit for a field is 1 GiB, and the binary form of an array is at most 7 times
// as long as its text.
const (
	maxValue = 512 << 20
	maxArray = 64 << 20
)

// For returns the encoder of the built-in type with that OID, or false if it has
// none here. Below a domain its base type is meant: the server checks what the
// domain adds. typmod is the type modifier as in pg_attribute, -1 for none; an
// array's is that of its elements.
//
// Types are known by their OID alone, an array by its own: what pg_type calls
// the element of a type tells no array from a point or a name.
func For(typeOID uint32, typmod int32, opts Options) (enc Encoder, ok bool) {
	if elem := pgarray.ElementOf(typeOID); elem != 0 {
		if enc = scalar(elem, typmod, opts); enc != nil {
			enc = arrayOf(elem, enc, opts)
		}
		return enc, enc != nil
	}
	enc = scalar(typeOID, typmod, opts)
	return enc, enc != nil
}

// scalar returns the encoder of a type that is no array, or nil.
func scalar(oid uint32, typmod int32, opts Options) Encoder {
	switch oid {
	case pgtype.Int2OID:
		return int2
	case pgtype.Int4OID:
		return int4
	case pgtype.Int8OID:
		return int8
	case pgtype.Float4OID:
		return float4
	case pgtype.Float8OID:
		return float8
	case pgtype.NumericOID:
		return numericOf(typmod)
	case pgtype.BoolOID:
		return boolean
	case pgtype.TextOID:
		return textOf(opts)
	case pgtype.VarcharOID:
		return varcharOf(typmod, opts)
	case pgtype.JSONOID:
		return jsonOf(opts)
	case pgtype.JSONBOID:
		return jsonbOf(opts)
	case pgtype.ByteaOID:
		return bytea
	case pgtype.UUIDOID:
		return uuid
	case pgtype.DateOID:
		return date
	case pgtype.TimestampOID:
		return timestamp
	case pgtype.TimestamptzOID:
		return timestamptz
	}
	return nil
}
