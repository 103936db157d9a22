package pgcsv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

var csvTraits = traits{
	name: "csv", dialect: Dialect{Format: CSV, Delimiter: ',', Quote: '"', Escape: '"'}, extension: ".csv", stray: "unquoted ",
	check: checkCSV, endMark: csvEndMark, looksLike: csvLooksLike,
	complaint: func([]byte) string { return "" },
	cutEnd:    func(data []byte) ([]byte, bool) { return data, false },
}

// csvRules are those of COPY's FORMAT csv where two quotes are one inside quotes.
type csvRules struct{ quote byte }

// count returns the number of quotes in b.
func (r csvRules) count(b []byte) int { return bytes.Count(b, []byte{r.quote}) }

func (r csvRules) after(b []byte, s state) state { return s ^ state(r.count(b)%2) }

func (r csvRules) special(record []byte) bool { return bytes.IndexByte(record, r.quote) >= 0 }

func (csvRules) breaks([]byte, int) bool { return true }

func checkCSV(d Dialect) error {
	if d.Quote == 0 {
		return nil
	}
	var errs []error
	for _, b := range []byte{d.Quote, d.Escape} {
		if b == '\n' || b == '\r' || b == 0 || b >= 0x80 {
			errs = append(errs, fmt.Errorf("%q can be neither quote nor escape: it must be one ASCII character, and no line break", b))
		}
	}
	if d.Delimiter == d.Quote {
		errs = append(errs, fmt.Errorf("delimiter %q cannot separate fields", d.Delimiter))
	}
	if strings.IndexByte(d.Null, d.Quote) >= 0 {
		errs = append(errs, errors.New("the null string cannot contain a quote"))
	}
	return errors.Join(errs...)
}

// endMarkIsData is the first version for which \. in CSV is data like any other.
const endMarkIsData = 180000

func csvEndMark(version int) error {
	if version >= endMarkIsData {
		return nil
	}
	return errors.New(`\. on a line by itself ends the data for PostgreSQL, but more may follow; remove the line, or quote it ("\.") if it is a value`)
}

// likeJSON is of a record that should have other fields.
const likeJSON = "is it JSON?"

// IsObject reports whether record is written like an object of JSON.
func IsObject(record []byte) bool {
	record = bytes.TrimSpace(record)
	return len(record) > 1 && record[0] == '{' && bytes.IndexByte(record, '"') > 0 && record[len(record)-1] == '}'
}

func csvLooksLike(record []byte, delimiter byte, fields int) string {
	if IsObject(record) {
		return likeJSON
	}
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

func (r csvRules) eol(b []byte, from int, s state, final bool) EOL {
	for i := from; i < len(b); i++ {
		switch c := b[i]; {
		case c == r.quote:
			s ^= inside
		case s == outside && (c == '\n' || c == '\r'):
			return eolAt(b, i, final)
		}
	}
	return EOLUnknown
}

func (r csvRules) lastEnd(buf []byte, last byte) int {
	quotes := r.count(buf)
	for end := len(buf); ; {
		i := bytes.LastIndexByte(buf[:end], last)
		if i < 0 {
			return 0
		}
		quotes -= r.count(buf[i+1 : end])
		if quotes%2 == 0 {
			return i + 1
		}
		end = i
	}
}

func (r csvRules) firstEnd(buf []byte, from int, s state, last byte) int {
	for i := from; i < len(buf); {
		j := bytes.IndexByte(buf[i:], last)
		if j < 0 {
			return 0
		}
		s = r.after(buf[i:i+j], s)
		if i += j + 1; s == outside {
			return i
		}
	}
	return 0
}

func (r csvRules) recordEnd(rest []byte, last byte) (end int, lines int64, quotes bool) {
	quoted := false
	for from := 0; ; {
		i := bytes.IndexByte(rest[from:], last)
		line := rest[from:]
		if i >= 0 {
			line = rest[from : from+i]
		}
		if q := r.count(line); q > 0 {
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

func (r csvRules) hasStray(record []byte, c byte) bool {
	quoted := false
	for _, b := range record {
		if b == r.quote {
			quoted = !quoted
		} else if b == c && !quoted {
			return true
		}
	}
	return false
}

func (r csvRules) appendFields(dst []Field, record []byte, delimiter byte, special bool) []Field {
	if !special {
		return appendPlainFields(dst, record, delimiter)
	}
	for start := 0; ; {
		end := start + fieldLen(record[start:], delimiter)
		var quote byte
		if bytes.IndexByte(record[start:end], r.quote) >= 0 {
			quote = r.quote
			end = start + quotedLen(record[start:], delimiter, quote)
		}
		dst = append(dst, Field{Start: int32(start), End: int32(end), Quote: quote, Escape: quote})
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
func quotedLen(rest []byte, delimiter, quote byte) int {
	quoted := false
	for i, c := range rest {
		if c == quote {
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
