package pgcsv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// csvRules are those of COPY's FORMAT csv.
type csvRules struct{}

func (csvRules) traits() *traits { return &csvTraits }

var csvTraits = traits{name: "csv", delimiter: ',', extension: ".csv", stray: "unquoted "}

var quote = []byte{'"'}

func (csvRules) odd(b []byte) bool { return bytes.Count(b, quote)%2 == 1 }

func (csvRules) special(record []byte) bool { return bytes.IndexByte(record, '"') >= 0 }

func (csvRules) breaks([]byte, int) bool { return true }

func (csvRules) cutEnd(data []byte) ([]byte, bool) { return data, false }

func (csvRules) check(delimiter byte, null string) error {
	var errs []error
	if delimiter == '"' {
		errs = append(errs, fmt.Errorf("delimiter %q cannot separate fields", delimiter))
	}
	if strings.Contains(null, `"`) {
		errs = append(errs, errors.New("the null string cannot contain a quote"))
	}
	return errors.Join(errs...)
}

func (csvRules) complaint([]byte) string { return "" }

func (csvRules) endMark(before18 bool) error {
	if !before18 {
		return nil
	}
	return errors.New(`\. on a line by itself ends the data for PostgreSQL, but more may follow; remove the line, or quote it ("\.") if it is a value`)
}

func (csvRules) looksLike(record []byte, delimiter byte, fields int) string {
	if delimiter != '\t' && bytes.Count(record, []byte{'\t'}) == fields-1 {
		return byTabs
	}
	for _, sep := range []string{";", "|", "\t"} {
		if delimiter != sep[0] && bytes.Contains(record, []byte(sep)) {
			return fmt.Sprintf("are its fields separated by %q?", sep)
		}
	}
	return ""
}

func (csvRules) eol(b []byte, from int, quoted, final bool) EOL {
	for i := from; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '\n' || c == '\r'):
			return eolAt(b, i, final)
		}
	}
	return EOLUnknown
}

func (csvRules) lastEnd(buf []byte, last byte) int {
	quotes := bytes.Count(buf, quote)
	for end := len(buf); ; {
		i := bytes.LastIndexByte(buf[:end], last)
		if i < 0 {
			return 0
		}
		quotes -= bytes.Count(buf[i+1:end], quote)
		if quotes%2 == 0 {
			return i + 1
		}
		end = i
	}
}

func (r csvRules) firstEnd(buf []byte, from int, quoted bool, last byte) int {
	for i := from; i < len(buf); {
		j := bytes.IndexByte(buf[i:], last)
		if j < 0 {
			return 0
		}
		quoted = quoted != r.odd(buf[i:i+j])
		if i += j + 1; !quoted {
			return i
		}
	}
	return 0
}

func (csvRules) recordEnd(rest []byte, last byte) (end int, lines int64, quotes bool) {
	quoted := false
	for from := 0; ; {
		i := bytes.IndexByte(rest[from:], last)
		line := rest[from:]
		if i >= 0 {
			line = rest[from : from+i]
		}
		if q := bytes.Count(line, quote); q > 0 {
			quotes = true
			quoted = quoted != (q%2 == 1)
		}
		if i < 0 {
			return len(rest), lines, quotes
		}
		from += i + 1
		lines++
		if !quoted {
			return from, lines, quotes
		}
	}
}

func (csvRules) hasStray(record []byte, c byte) bool {
	quoted := false
	for _, b := range record {
		if b == '"' {
			quoted = !quoted
		} else if b == c && !quoted {
			return true
		}
	}
	return false
}

func (csvRules) appendFields(dst []Field, record []byte, delimiter byte, special bool) []Field {
	if !special {
		return appendPlainFields(dst, record, delimiter)
	}
	for start := 0; ; {
		end := start + fieldLen(record[start:], delimiter)
		sawQuote := bytes.IndexByte(record[start:end], '"') >= 0
		if sawQuote {
			end = start + quotedLen(record[start:], delimiter)
		}
		dst = append(dst, Field{Start: int32(start), End: int32(end), Quoted: sawQuote})
		if end == len(record) {
			return dst
		}
		start = end + 1
	}
}

// fieldLen returns how far it is to the next delimiter, or to the end.
func fieldLen(rest []byte, delimiter byte) int {
	if i := bytes.IndexByte(rest, delimiter); i >= 0 {
		return i
	}
	return len(rest)
}

// quotedLen returns how far it is to the next delimiter outside quotes, or to the
// end.
func quotedLen(rest []byte, delimiter byte) int {
	quoted := false
	for i, c := range rest {
		if c == '"' {
			quoted = !quoted
		} else if c == delimiter && !quoted {
			return i
		}
	}
	return len(rest)
}

// AppendField appends v as one field, quoted only where it has to be so that COPY
// reads back the same bytes and never NULL. The null string is the empty one.
func AppendField(dst, v []byte, delimiter byte) []byte {
	if !needsQuotes(v, delimiter) {
		return append(dst, v...)
	}
	dst = append(dst, '"')
	for _, c := range v {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func needsQuotes(v []byte, delimiter byte) bool {
	if len(v) == 0 || string(v) == `\.` {
		return true
	}
	for _, c := range v {
		if c == '"' || c == '\n' || c == '\r' || c == delimiter {
			return true
		}
	}
	return false
}
