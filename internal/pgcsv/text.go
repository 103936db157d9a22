package pgcsv

import "bytes"

// A Dialect is one of the two formats of COPY that are text.
type Dialect byte

// The dialects. In CSV a quote changes what follows it, in Text a backslash.
const (
	CSV  Dialect = iota // COPY's FORMAT csv
	Text                // COPY's FORMAT text
)

func (d Dialect) String() string {
	if d == Text {
		return "text"
	}
	return "csv"
}

// Delimiter returns the byte that separates fields unless another one is named.
func (d Dialect) Delimiter() byte {
	if d == Text {
		return '\t'
	}
	return ','
}

// Null returns what stands for NULL unless another string is named.
func (d Dialect) Null() string {
	if d == Text {
		return `\N`
	}
	return ""
}

// AppendFields appends the fields of record, which is one record without its line
// break. An empty record has one empty field.
func (d Dialect) AppendFields(dst []Field, record []byte, delimiter byte) []Field {
	if d == Text {
		return appendTextFields(dst, record, delimiter, bytes.IndexByte(record, '\\') >= 0)
	}
	return AppendFields(dst, record, delimiter, bytes.IndexByte(record, '"') >= 0)
}

// Values returns the values of the fields of record, NULL or not.
func (d Dialect) Values(record []byte, delimiter byte) (values []string) {
	var value, scratch []byte
	for _, f := range d.AppendFields(nil, record, delimiter) {
		value, scratch = f.Value(record, scratch)
		values = append(values, string(value))
	}
	return values
}

// appendTextFields is AppendFields of a record that has backslashes, or has none.
func appendTextFields(dst []Field, record []byte, delimiter byte, backslashes bool) []Field {
	if !backslashes {
		return AppendFields(dst, record, delimiter, false)
	}
	for start, from := 0, 0; ; {
		end := len(record)
		if i := bytes.IndexByte(record[from:], delimiter); i >= 0 {
			end = from + i
		}
		if end < len(record) && escaped(record[start:], end-start) {
			from = end + 1
			continue
		}
		dst = append(dst, Field{Start: int32(start), End: int32(end), Escaped: bytes.IndexByte(record[start:end], '\\') >= 0})
		if end == len(record) {
			return dst
		}
		start, from = end+1, end+1
	}
}

// escaped reports whether b[i] has an odd number of backslashes before it, which take
// its meaning away.
func escaped(b []byte, i int) bool {
	n := 0
	for i > n && b[i-n-1] == '\\' {
		n++
	}
	return n%2 == 1
}

// appendUnescaped appends what the text dialect means by raw.
func appendUnescaped(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		if i++; i == len(raw) {
			return dst // COPY drops a backslash at the end
		}
		c, n := unescape(raw[i:])
		dst = append(dst, c)
		i += n - 1
	}
	return dst
}

// unescape returns the byte that b means after a backslash, and how many bytes of b say
// so.
func unescape(b []byte) (c byte, n int) {
	switch c := b[0]; c {
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'v':
		return '\v', 1
	case 'x':
		if v, n := digits(b[1:min(len(b), 3)], 16); n > 0 {
			return v, 1 + n
		}
		return c, 1
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return digits(b[:min(len(b), 3)], 8)
	default:
		return c, 1
	}
}

// digits returns the number, without what is too large for a byte, that the digits at
// the beginning of b are to that base, and how many they are.
func digits(b []byte, base byte) (v byte, n int) {
	for _, c := range b {
		d := byte(255)
		switch {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c && c <= 'f':
			d = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			d = c - 'A' + 10
		}
		if d >= base {
			break
		}
		v = v*base + d
		n++
	}
	return v, n
}

// cutEnd takes the line that ends the data, \. alone, off them, if it is their last record.
func cutEnd(data []byte) (rest []byte, ended bool) {
	rest, ended = bytes.CutSuffix(bytes.TrimRight(data, "\r\n"), []byte(`\.`))
	n := len(rest)
	if !ended || n > 0 && (rest[n-1] != '\n' && rest[n-1] != '\r' || escaped(rest, n-1)) {
		return data, false
	}
	return rest, true
}

// TextComplaint returns COPY's words for a record of the text dialect that it would not
// take for one record, "" if there are none. A backslash at the end of the input, which
// COPY drops, would take the meaning of the line break from a record that is sent among
// others.
func TextComplaint(record []byte) string {
	for i := 0; i < len(record); i++ {
		if record[i] != '\\' {
			continue
		}
		switch i++; {
		case i == len(record):
			return "a backslash is left at the end of the data"
		case record[i] == '.':
			return "end-of-copy marker corrupt"
		}
	}
	return ""
}

// lastTextEnd returns the position after the last record that ends in buf, 0 if none
// does.
func lastTextEnd(buf []byte, last byte) int {
	for end := len(buf); ; {
		i := bytes.LastIndexByte(buf[:end], last)
		if i < 0 || !escaped(buf, i) {
			return i + 1
		}
		end = i
	}
}

// firstTextEnd returns the position after the first record that ends at or after from,
// 0 if none does.
func firstTextEnd(buf []byte, from int, last byte) int {
	for {
		i := bytes.IndexByte(buf[from:], last)
		if i < 0 {
			return 0
		}
		if from += i + 1; !escaped(buf, from-1) {
			return from
		}
	}
}

// textEOL is DetectEOL for the text dialect.
func textEOL(b []byte, final bool) EOL {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\':
			i++
		case c == '\n':
			return LF
		case c == '\r' && i+1 < len(b):
			if b[i+1] == '\n' {
				return CRLF
			}
			return CR
		case c == '\r' && final:
			return CR
		}
	}
	return EOLUnknown
}

// textRecordEnd returns the position after the first record of rest, the number of line
// breaks in it, and whether it has backslashes.
func textRecordEnd(rest []byte, last byte) (end int, lines int64, backslashes bool) {
	for from := 0; ; {
		i := bytes.IndexByte(rest[from:], last)
		if i < 0 {
			return len(rest), lines, backslashes || bytes.IndexByte(rest[from:], '\\') >= 0
		}
		backslashes = backslashes || bytes.IndexByte(rest[from:from+i], '\\') >= 0
		from += i + 1
		lines++
		if !backslashes || !escaped(rest, from-1) {
			return from, lines, backslashes
		}
	}
}

// strayInText reports whether c stands in record without a backslash before it.
func strayInText(record []byte, c byte) bool {
	for i, b := range record {
		if b == c && !escaped(record, i) {
			return true
		}
	}
	return false
}
