package parquettext

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// A writer appends the text of a value, which is stored as v. What is wrong with the value
// is of its row alone.
type writer func(dst, v []byte) ([]byte, error)

// A form says how values of a leaf are written.
type form struct {
	text       writer // as PostgreSQL writes it, without any escapes
	zoned      writer // for a column with a time zone, nil if that is text
	bytea      writer // for a bytea column, nil if that is text
	json       writer // as to_json of PostgreSQL writes it
	uuid       bool   // it may be one, in a uuid column
	plain      bool   // text has neither backslashes nor control characters
	isUUID     bool   // its values are UUIDs
	isDate     bool
	isPhysical bool                         // nothing but the stored type says what values are
	integer    func(v []byte) (int64, bool) // reads an integer, if it fits
	unit       unit                         // of timestamps, 0 for other types
	adjusted   bool                         // timestamps are in UTC
	// document says that text is what a json column takes: it may be a document.
	document bool
	// refused says why values of the leaf have no text.
	refused string
}

// as returns the writer for a column that is filled in that way.
func (f *form) as(as As) (w writer, plain bool) {
	switch {
	case as == AsJSON && !f.document:
		return f.json, false
	case as == AsBytea && f.bytea != nil:
		return f.bytea, false
	case as == AsZoned && f.zoned != nil:
		return f.zoned, true
	case as == AsUUID && f.uuid:
		return uuid, true
	}
	return f.text, f.plain
}

// formOf returns the form of a leaf. Values of other types than the format allows under its
// logical type are an error.
func formOf(l *leaf) (form, error) {
	switch t := l.element.LogicalType.Value.(type) {
	case *format.StringType, *format.EnumType:
		return l.need(stringForm(), format.ByteArray)
	case *format.JsonType:
		return l.need(jsonForm(), format.ByteArray)
	case *format.BsonType:
		return form{refused: "holds BSON"}, nil
	case *format.VariantType:
		return form{refused: "holds values of the type VARIANT"}, nil
	case *format.UUIDType:
		f := stringLike(uuid)
		f.isUUID = true
		return l.needWidth(f, 16)
	case *format.Float16Type:
		return l.needWidth(floatForm(float16), 2)
	case *format.DecimalType:
		return decimalForm(l, t.Scale, t.Precision)
	case *format.DateType:
		return l.need(dateForm(), format.Int32)
	case *format.TimeType:
		return timeForm(l, unitOf(t.Unit), t.IsAdjustedToUTC)
	case *format.TimestampType:
		return timestampForm(l, unitOf(t.Unit), t.IsAdjustedToUTC)
	case *format.IntType:
		return intForm(l, t.BitWidth, t.IsSigned)
	case *format.NullType:
		return rawForm(l), nil
	case *format.GeometryType, *format.GeographyType:
		return form{text: hexText, bytea: byteaText, json: quoted(byteaJSON), plain: true}, nil
	}
	if c := l.element.ConvertedType; c.Valid {
		return convertedForm(l, c.V)
	}
	return physicalForm(l), nil
}

// convertedForm is formOf for the types that files had before there were logical ones.
func convertedForm(l *leaf, c deprecated.ConvertedType) (form, error) {
	switch c {
	case deprecated.UTF8, deprecated.Enum:
		return l.need(stringForm(), format.ByteArray)
	case deprecated.Json:
		return l.need(jsonForm(), format.ByteArray)
	case deprecated.Bson:
		return form{refused: "holds BSON"}, nil
	case deprecated.Decimal:
		return decimalForm(l, l.element.Scale.V, l.element.Precision.V)
	case deprecated.Date:
		return l.need(dateForm(), format.Int32)
	case deprecated.TimeMillis:
		return timeForm(l, millis, true)
	case deprecated.TimeMicros:
		return timeForm(l, micros, true)
	case deprecated.TimestampMillis:
		return timestampForm(l, millis, true)
	case deprecated.TimestampMicros:
		return timestampForm(l, micros, true)
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		return intForm(l, 8<<(c-deprecated.Uint8), false)
	case deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64:
		return intForm(l, 8<<(c-deprecated.Int8), true)
	case deprecated.Interval:
		return l.needWidth(stringLike(interval), 12)
	}
	return physicalForm(l), nil
}

// physicalForm is formOf for a leaf of which nothing but its stored type is known.
func physicalForm(l *leaf) form {
	switch l.kind {
	case format.Boolean:
		return form{text: boolean, json: jsonBoolean, plain: true, isPhysical: true}
	case format.Int32:
		return integerForm(int32Text, readInt32)
	case format.Int64:
		return integerForm(int64Text, readInt64)
	case format.Int96:
		return form{text: int96, zoned: suffixed(int96, "+00"), json: quoted(isoOf(int96)), plain: true}
	case format.Float:
		f := floatForm(float32Text)
		f.isPhysical = true
		return f
	case format.Double:
		f := floatForm(float64Text)
		f.isPhysical = true
		return f
	}
	return rawForm(l)
}

// need returns f if the leaf is stored as that type.
func (l *leaf) need(f form, kind format.Type) (form, error) {
	if l.kind != kind {
		return f, fmt.Errorf("column %q: is %s, which the format does not know", l.path, l.kindName())
	}
	return f, nil
}

// needWidth returns f if the leaf is stored in that many bytes.
func (l *leaf) needWidth(f form, width int) (form, error) {
	if l.width != width {
		f.text = nil
	}
	f, err := l.need(f, format.FixedLenByteArray)
	if err == nil && f.text == nil {
		err = fmt.Errorf("column %q: is %s of %d bytes, which the format does not know", l.path, l.kindName(), l.width)
	}
	return f, err
}

// numberForm is of values that JSON has, too.
func numberForm(w writer) form { return form{text: w, json: w, plain: true} }

func integerForm(w writer, read func([]byte) (int64, bool)) form {
	f := numberForm(w)
	f.integer = read
	return f
}

func dateForm() form {
	f := stringLike(date)
	f.isDate = true
	return f
}

// stringLike is of values that are strings in JSON, of letters that need no escapes.
func stringLike(w writer) form { return form{text: w, json: quoted(w), plain: true} }

func stringForm() form { return form{text: utf8Text, json: jsonString, document: true} }

func jsonForm() form { return form{text: utf8Text, json: embeddedJSON} }

// rawForm is of bytes that nothing is known about.
func rawForm(l *leaf) form {
	return form{uuid: l.width == 16, text: rawText, bytea: byteaText, json: quoted(byteaJSON), document: true}
}

// quoted returns w with quotes around.
func quoted(w writer) writer {
	return func(dst, v []byte) ([]byte, error) {
		dst, err := w(append(dst, '"'), v)
		return append(dst, '"'), err
	}
}

// suffixed returns w with something behind.
func suffixed(w writer, suffix string) writer {
	return func(dst, v []byte) ([]byte, error) {
		dst, err := w(dst, v)
		return append(dst, suffix...), err
	}
}

// isoOf returns w, which writes a timestamp, with a T in it, as JSON has it.
func isoOf(w writer) writer {
	return func(dst, v []byte) ([]byte, error) {
		start := len(dst)
		dst, err := w(dst, v)
		for i := start; i < len(dst); i++ {
			if dst[i] == ' ' {
				dst[i] = 'T'
				break
			}
		}
		return dst, err
	}
}

func uuid(dst, v []byte) ([]byte, error) {
	for i, c := range v {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[c>>4], hexDigits[c&0xf])
	}
	return dst, nil
}

const hexDigits = "0123456789abcdef"

func hexText(dst, v []byte) ([]byte, error) { return hex.AppendEncode(dst, v), nil }

func byteaText(dst, v []byte) ([]byte, error) {
	return hex.AppendEncode(append(dst, '\\', 'x'), v), nil
}

func byteaJSON(dst, v []byte) ([]byte, error) {
	return hex.AppendEncode(append(dst, '\\', '\\', 'x'), v), nil
}

func boolean(dst, v []byte) ([]byte, error) {
	if v[0] != 0 {
		return append(dst, 't'), nil
	}
	return append(dst, 'f'), nil
}

func jsonBoolean(dst, v []byte) ([]byte, error) {
	if v[0] != 0 {
		return append(dst, "true"...), nil
	}
	return append(dst, "false"...), nil
}

// isUnreadable reports whether err is of a value that is no text, whatever type it is for. Its
// bytes are refused wherever text is read.
func isUnreadable(err error) bool {
	return err == errNotUTF8 || err == errZero || err == ErrBinary
}

// Errors of values that are to be text.
var (
	errNotUTF8 = errors.New("is not UTF-8")
	errZero    = errors.New("has a zero byte, which no text of PostgreSQL can hold")
	// ErrBinary is of a value of which nothing says that it is text.
	ErrBinary = errors.New("is binary data and not UTF-8 text; its place is a bytea column")
)
