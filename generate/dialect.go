package generate

import "fmt"

// A Format is a format of COPY.
type Format int

// The formats.
const (
	CSV  Format = iota // FORMAT csv: RFC 4180 but for its \n; NULL is an empty field, an empty string ""
	Text               // FORMAT text, COPY's own: tabs, backslashes, \N
)

func (f Format) String() string {
	if f == Text {
		return "text"
	}
	return "csv"
}

// MarshalText returns f's name.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText sets f from its name.
func (f *Format) UnmarshalText(text []byte) error {
	switch string(text) {
	case "csv":
		*f = CSV
	case "text":
		*f = Text
	default:
		return fmt.Errorf("format %q: want csv or text", text)
	}
	return nil
}

// A dialect is how a Format writes fields. A field is first appended as it is and
// then ended, which mends the few that must not stay so: field contents are the
// same code for every format, and cost a scan.
type dialect struct {
	format    Format
	delimiter byte
	null      string
	odd       [256]bool // bytes that a field cannot hold as they are
}

func csvDialect() dialect {
	d := dialect{format: CSV, delimiter: ','}
	for _, c := range []byte(",\"\n\r") {
		d.odd[c] = true
	}
	return d
}

func textDialect() dialect {
	d := dialect{format: Text, delimiter: '\t', null: `\N`}
	for _, c := range []byte("\\\n\r\t") {
		d.odd[c] = true
	}
	return d
}

// end ends the field of any bytes that begins at dst[start].
func (d *dialect) end(dst []byte, start int) []byte {
	field := dst[start:]
	odd := len(field) == 0 || string(field) == `\.`
	for _, c := range field {
		odd = odd || d.odd[c]
	}
	if odd {
		dst = d.mend(dst, start)
	}
	return append(dst, d.delimiter)
}

// mend writes the field at dst[start] anew, so that COPY reads what it is now. In
// CSV an empty field would be NULL, and \. alone the end of the data. The new form
// is made behind the old one and moved over it, which needs no memory of its own.
func (d *dialect) mend(dst []byte, start int) []byte {
	end := len(dst)
	if d.format == Text {
		dst = appendEscaped(dst, dst[start:end])
	} else {
		dst = appendQuoted(dst, dst[start:end])
	}
	n := copy(dst[start:], dst[end:])
	return dst[:start+n]
}

func appendQuoted(dst, field []byte) []byte {
	dst = append(dst, '"')
	for _, c := range field {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func appendEscaped(dst, field []byte) []byte {
	for _, c := range field {
		switch c {
		case '\\':
			dst = append(dst, `\\`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendInt appends a whole field.
func (d *dialect) appendInt(dst []byte, v int64) []byte {
	return append(appendInt(dst, uint64(v)), d.delimiter)
}
