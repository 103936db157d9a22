package pgcsv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

var textTraits = traits{
	name: "text", dialect: Dialect{Format: Text, Delimiter: '\t', Null: `\N`}, extension: ".txt", rareHeader: true, byRecord: true, stray: "literal ",
	check: checkText, endMark: func(int) error { return ErrAfterEnd }, complaint: textComplaint, looksLike: textLooksLike, cutEnd: textCutEnd,
}

// textRules are those of COPY's FORMAT text.
type textRules struct{}

func (textRules) after([]byte, state) state { return outside }

func (textRules) breaks(record []byte, i int) bool { return !escaped(record, i) }

func (textRules) special(record []byte) bool { return bytes.IndexByte(record, '\\') >= 0 }

func checkText(d Dialect) error {
	if d.Quote != 0 || d.Escape != 0 {
		return errors.New("the text format has no quotes")
	}
	if strings.IndexByte(`\.abcdefghijklmnopqrstuvwxyz0123456789`, d.Delimiter) >= 0 {
		return fmt.Errorf("delimiter %q cannot separate fields of the text format", d.Delimiter)
	}
	return nil
}

func textLooksLike(record []byte, delimiter byte, fields int) string {
	switch {
	case IsObject(record):
		return likeJSON
	case delimiter != '\t' && bytes.Count(record, []byte{'\t'}) == fields-1:
		return byTabs
	case bytes.Count(record, []byte{','}) >= fields-1:
		return "is it CSV?"
	}
	return ""
}

// byTabs is of a record that should have other fields.
const byTabs = "its fields are separated by tabs: is it in the text format of COPY?"

func (textRules) appendFields(dst []Field, record []byte, delimiter byte, special bool) []Field {
	if !special {
		return appendPlainFields(dst, record, delimiter)
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
		f := Field{Start: int32(start), End: int32(end)}
		if bytes.IndexByte(record[start:end], '\\') >= 0 {
			f.Escape = '\\'
		}
		dst = append(dst, f)
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

func textCutEnd(data []byte) (rest []byte, ended bool) {
	line := bytes.TrimSuffix(bytes.TrimSuffix(data, []byte{'\n'}), []byte{'\r'})
	rest, ended = bytes.CutSuffix(line, []byte(`\.`))
	n := len(rest)
	if !ended || n > 0 && (rest[n-1] != '\n' && rest[n-1] != '\r' || escaped(rest, n-1)) {
		return data, false
	}
	return rest, true
}

// A backslash at the end of the input, which COPY drops, would take the meaning of the line
// break from a record that is sent among others.
func textComplaint(record []byte) string {
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

func (textRules) lastEnd(buf []byte, last byte) int {
	for end := len(buf); ; {
		i := bytes.LastIndexByte(buf[:end], last)
		if i < 0 || !escaped(buf, i) {
			return i + 1
		}
		end = i
	}
}

func (textRules) firstEnd(buf []byte, from int, _ state, last byte) int {
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

func (textRules) eol(b []byte, _ int, _ state, final bool) EOL {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '\\':
			i++
		case '\n', '\r':
			return eolAt(b, i, final)
		}
	}
	return EOLUnknown
}

func (textRules) recordEnd(rest []byte, last byte) (end int, lines int64, backslashes bool) {
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

func (textRules) hasStray(record []byte, c byte) bool {
	for i, b := range record {
		if b == c && !escaped(record, i) {
			return true
		}
	}
	return false
}

// AppendText appends v as one field of the text format in its default dialect, so that COPY reads
// back the same bytes and never NULL.
func AppendText(dst, v []byte) []byte {
	start := 0
	for i, c := range v {
		var by byte
		switch c {
		case '\\':
			by = c
		case '\t':
			by = 't'
		case '\n':
			by = 'n'
		case '\r':
			by = 'r'
		default:
			continue
		}
		dst = append(dst, v[start:i]...)
		dst = append(dst, '\\', by)
		start = i + 1
	}
	return append(dst, v[start:]...)
}
