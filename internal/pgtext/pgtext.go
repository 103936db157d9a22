// Package pgtext knows, for the common types, how the server writes a value that
// it was given as text: value::type::text. It is sure of most values that another
// database or program would export, and says so where it is not: the server is to
// be asked then.
//
// The server is meant to write under DateStyle ISO, TimeZone UTC,
// extra_float_digits 1 and bytea_output hex.
package pgtext

import (
	"github.com/jackc/pgx/v5/pgtype"
)

// A Form returns how the server writes the value whose text form is v: v itself,
// or what it has written into scratch, which v must not overlap. sure is false
// where the server is to be asked.
//
// A text that the server would refuse may come back as it is: no table has it. A
// Form may be called from many goroutines at once.
type Form func(v, scratch []byte) (text []byte, sure bool)

// Options says what the meaning of a text depends on beside its type. The zero
// value is safe everywhere and leaves more to the server.
type Options struct {
	// UTF8 says that text reaches the server byte for byte: its own encoding and
	// the input's are both UTF8. Otherwise only ASCII is sure.
	UTF8 bool

	// ArrayNulls says that array_nulls is on at the server: an element NULL without
	// quotes is NULL, not the text of that name.
	ArrayNulls bool

	// UTC says that a time without a zone is one in UTC where the type has zones.
	UTC bool
}

// For returns the Form of the built-in type with that OID, or false if it has none
// here. Below a domain its base type is meant. typmod is the type modifier as in
// pg_attribute, -1 for none; an array's is that of its elements.
func For(typeOID uint32, typmod int32, o Options) (form Form, ok bool) {
	form = scalar(typeOID, typmod, o)
	if form == nil {
		form = array(typeOID, typmod, o)
	}
	return form, form != nil
}

// scalar returns the Form of a type that is no array, or nil.
func scalar(oid uint32, typmod int32, o Options) Form {
	switch oid {
	case pgtype.Int2OID:
		return integer("32768")
	case pgtype.Int4OID:
		return integer("2147483648")
	case pgtype.Int8OID:
		return integer("9223372036854775808")
	case pgtype.Float4OID:
		return float(6, 6)
	case pgtype.Float8OID:
		return float(15, 15)
	case pgtype.NumericOID:
		return numeric(typmod)
	case pgtype.BoolOID:
		return boolean
	case pgtype.TextOID, pgtype.JSONOID:
		return Text(o)
	case pgtype.VarcharOID:
		return varchar(typmod, o)
	case pgtype.BPCharOID:
		return bpchar(o)
	case pgtype.JSONBOID:
		return jsonb(o)
	case pgtype.ByteaOID:
		return bytea
	case pgtype.UUIDOID:
		return uuid
	case pgtype.DateOID:
		return date
	case pgtype.TimeOID:
		return timeOfDay(typmod)
	case pgtype.TimestampOID:
		return timestamp(typmod)
	case pgtype.TimestamptzOID:
		return timestamptz(typmod, o)
	}
	return nil
}
