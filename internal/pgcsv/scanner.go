package pgcsv

import "bytes"

// A Field is one field of a record, as a range of the record's bytes. It has no more than four
// fields, which stay in registers.
type Field struct {
	Start, End int32
	Quote      byte // that stands in it, 0 for none: it is not NULL, and Value must unquote it
	Escape     byte // in its quotes; without a quote a backslash of the text format stands in it, which Value reads
}

// A Scanner walks the records of one chunk.
//
//	s.Reset(chunk, eol, firstLine)
//	for s.Next() {
//		use(s.Record(), s.Line())
//	}
type Scanner struct {
	dialect Dialect
	rules   rules // of it, nil for CSV
	rest    []byte
	calm    int  // how many bytes at the beginning of rest are certainly not special
	start   byte // a special byte stands in no record where this one does not
	eol     EOL
	record  []byte
	raw     int // length of the record with its line break
	line    int64
	next    int64 // line on which rest starts
	special bool
	ended   bool // the record's line break was there
	odd     bool // a carriage return or a line feed that no record should have is somewhere in the chunk
}

// Reset starts at the beginning of chunk, the first line of which is number
// line.
func (s *Scanner) Reset(chunk []byte, eol EOL, line int64) {
	if s.rules == nil {
		s.SetDialect(CSV.Dialect())
	}
	*s = Scanner{dialect: s.dialect, rules: s.rules, start: s.start, rest: chunk, eol: eol, next: line, odd: bytes.IndexByte(chunk, strayOf(eol)) >= 0}
	s.look()
}

// SetDialect changes the dialect, which is CSV otherwise. It must be called before Reset.
func (s *Scanner) SetDialect(d Dialect) {
	s.dialect, s.rules, s.start = d, d.rules(), d.Quote
	if d.Format == Text {
		s.start = '\\'
	}
}

// strayOf returns the byte of a line break that stands in no record.
func strayOf(eol EOL) byte {
	if eol == CR {
		return '\n'
	}
	return '\r'
}

// Next goes to the next record. It returns false after the last one.
func (s *Scanner) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.line = s.next
	end := bytes.IndexByte(s.rest[:s.calm], s.eol.last()) + 1
	if end > 0 {
		s.special = false
		s.next++
	} else {
		var lines int64
		end, lines, s.special = s.rules.recordEnd(s.rest, s.eol.last())
		s.next += lines
	}
	s.raw = end
	s.record = s.rest[:end]
	s.rest = s.rest[end:]
	if s.calm -= end; s.calm < 0 {
		s.look()
	}
	s.trim()
	return true
}

// ahead is how far is looked for special bytes: records are read next, and so is a part of the
// memory that the processor has at hand.
const ahead = 4 << 10

// look finds out how far there is no special byte in rest.
func (s *Scanner) look() {
	if s.calm = min(len(s.rest), ahead); s.start != 0 {
		if i := bytes.IndexByte(s.rest[:s.calm], s.start); i >= 0 {
			s.calm = i
		}
	}
}

// trim takes the line break off the record.
func (s *Scanner) trim() {
	n := len(s.record)
	s.ended = n > 0 && s.record[n-1] == s.eol.last() && (!s.special || s.rules.breaks(s.record, n-1))
	if !s.ended {
		return
	}
	s.record = s.record[:n-1]
	if s.eol == CRLF && n > 1 && s.record[n-2] == '\r' {
		s.record = s.record[:n-2]
	}
}

// Record returns the record without its line break. The bytes are the chunk's.
func (s *Scanner) Record() []byte { return s.record }

// Line returns the number of the line on which the record starts.
func (s *Scanner) Line() int64 { return s.line }

// EOL returns how records end.
func (s *Scanner) EOL() EOL { return s.eol }

// Size returns the length of the record with its line break.
func (s *Scanner) Size() int { return s.raw }

// Special reports whether a byte stands anywhere in the record that changes what follows
// it: a quote, or in the text dialect a backslash.
func (s *Scanner) Special() bool { return s.special }

// AppendFields appends the fields of the record.
func (s *Scanner) AppendFields(dst []Field) []Field {
	return s.rules.appendFields(dst, s.record, s.dialect.Delimiter, s.special)
}

// LineBreak returns "" if the record ends as the input's first record does, and
// contains no other line break outside quotes. Otherwise it returns COPY's words
// for what is wrong.
func (s *Scanner) LineBreak() string {
	if s.eol == CRLF && s.ended && s.raw-len(s.record) != 2 {
		return s.words(strayNewline)
	}
	switch {
	case !s.odd:
		return ""
	case s.eol == CR:
		return s.stray('\n', strayNewline)
	}
	return s.stray('\r', strayReturn)
}

// COPY's words for a line break of another kind than the first record's.
const (
	strayNewline = "newline found in data"
	strayReturn  = "carriage return found in data"
)

// words returns what COPY says of that in its dialect.
func (s *Scanner) words(stray string) string { return formats[s.dialect.Format].stray + stray }

// stray returns complaint if c stands in the record where no special byte allows it.
func (s *Scanner) stray(c byte, complaint string) string {
	if bytes.IndexByte(s.record, c) < 0 || !s.rules.hasStray(s.record, c) {
		return ""
	}
	return s.words(complaint)
}

// appendPlainFields appends the fields of a record without special bytes.
func appendPlainFields(dst []Field, record []byte, delimiter byte) []Field {
	start := 0
	for {
		i := bytes.IndexByte(record[start:], delimiter)
		if i < 0 {
			return append(dst, Field{Start: int32(start), End: int32(len(record))})
		}
		dst = append(dst, Field{Start: int32(start), End: int32(start + i)})
		start += i + 1
	}
}

// Value returns the field's value. It is a part of record where possible, else it
// is appended to scratch, which is returned too.
func (f Field) Value(record, scratch []byte) (value, newScratch []byte) {
	raw := record[f.Start:f.End]
	if f.Quote == 0 {
		if f.Escape == 0 {
			return raw, scratch
		}
		n := len(scratch)
		scratch = appendUnescaped(scratch, raw)
		return scratch[n:], scratch
	}
	if n := len(raw); n >= 2 && raw[0] == f.Quote && raw[n-1] == f.Quote && bytes.IndexByte(raw[1:n-1], f.Quote) < 0 &&
		(f.Escape == f.Quote || bytes.IndexByte(raw[1:n-1], f.Escape) < 0) {
		return raw[1 : n-1], scratch
	}
	n := len(scratch)
	scratch = appendUnquoted(scratch, raw, f.Quote, f.Escape)
	return scratch[n:], scratch
}

// IsNull reports whether the field is NULL: unquoted and, as it is written, equal to
// null.
func (f Field) IsNull(record []byte, null string) bool {
	return f.Quote == 0 && string(record[f.Start:f.End]) == null
}
